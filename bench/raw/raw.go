// Package raw measures what is below TCP: how fast frames pass a port of the data plane,
// from one end of a link to the other, with nobody who looks into them. That is the ceiling
// for a stack on this port. It takes the port from millrace.Open itself, and so has the
// program, the mode and the memory that the stack has.
package raw

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Port is the TCP port that frames are sent to: claimed, so that they reach the socket.
const Port = 5009

const (
	// headers is what is not payload of a frame: Ethernet, IPv4, TCP and its timestamps, as
	// of a bulk transfer.
	headers = 14 + 20 + tcpLen
	tcpLen  = 32
	// ahead is how many frames the sender may be ahead of the receiver, all pieces of packets
	// counted. TCP's window does the same; without it the receiver would spend itself on
	// packets that are dropped. Half of a transmit ring of 1024.
	ahead = 512
	// stalled is how long a sender waits for frames that do not come before it takes them
	// for lost.
	stalled = 2 * time.Millisecond
)

// End is a port at one end of a link.
type End struct {
	nic  *millrace.NIC
	port dataplane.Port // the real one
	head []byte         // the headers of a packet
	size int            // of a full packet
}

// Open opens a host's interface. Frames go to the peer.
func Open(on, peer *lab.Host, mtu int, cfg millrace.Config) (e *End, err error) {
	e = new(End)
	cfg.Queues = 1
	cfg.WrapPort = func(_ int, p dataplane.Port) dataplane.Port {
		e.port = p
		return &stub{Port: p, gate: make(chan struct{}, 1)}
	}
	err = on.Do(func() (err error) {
		if e.nic, err = millrace.Open(on.Interface, cfg); err != nil {
			return err
		}
		if _, err = e.nic.Listen("tcp", netip.AddrPortFrom(on.IP4.Addr(), Port).String()); err != nil {
			err = errors.Join(err, e.Close())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	e.size = min(min(mtu, e.nic.Info().MTU)+14, e.port.Info().PacketMax())
	if e.head, err = header(on, peer, e.size); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// template makes the headers below TCP's from one host to the other.
func template(from, to *lab.Host) (wire.Template, error) {
	return wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Src: [6]byte(from.MAC), Dst: [6]byte(to.MAC)},
		Src: from.IP4.Addr(), Dst: to.IP4.Addr(),
	})
}

// header makes the headers of a segment from one host to the other.
func header(from, to *lab.Host, size int) ([]byte, error) {
	t, err := template(from, to)
	if err != nil {
		return nil, err
	}
	b := make([]byte, headers)
	n := t.Put(b, size-t.Len(), 0)
	s := wire.Segment{SrcPort: Port, DstPort: Port, Flags: wire.ACK}
	if n == 0 || size < headers || wire.PutTCP(b[n:], &s) == 0 {
		return nil, fmt.Errorf("raw: make packet: %d octets are no length of one", size)
	}
	return b, nil
}

// About says how the port was opened.
func (e *End) About() string {
	return fmt.Sprintf("%s, packets of %d octets in %d frames", e.nic.Info(), e.size, e.pieces(e.size))
}

// Close gives the port and the interface back.
func (e *End) Close() error { return e.nic.Close() }

// stub is the port that the stack gets: nothing comes from it, nothing can be sent. The real
// one is closed through it.
type stub struct {
	dataplane.Port
	gate   chan struct{}
	closed atomic.Bool
}

func (s *stub) Recv([]dataplane.Frame) int  { return 0 }
func (s *stub) Free([]dataplane.Frame)      {}
func (s *stub) Alloc([]dataplane.Frame) int { return 0 }
func (s *stub) Send([]dataplane.Frame)      {}
func (s *stub) Cancel([]dataplane.Frame)    {}
func (s *stub) Flush()                      {}

func (s *stub) Wake() {
	select {
	case s.gate <- struct{}{}:
	default:
	}
}

func (s *stub) Wait(d time.Duration) error {
	if s.closed.Load() {
		return fmt.Errorf("raw: wait: %w", net.ErrClosed)
	}
	if d < 0 {
		<-s.gate
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.gate:
	case <-t.C:
	}
	return nil
}

func (s *stub) Close() error {
	s.closed.Store(true)
	s.Wake()
	return s.Port.Close()
}

// Link is both ends. It runs one workload at a time.
type Link struct {
	A, B *End
	// Spin has both ends of a RequestResponse look for the packet without end, each on a
	// processor of its own, and never sleep.
	Spin bool
}

// Run moves packets for the workload's time: Bulk towards A (Upload) or from it, or, as
// RequestResponse, one packet back and forth. What it counts is the payload that TCP would
// have had in them.
func (l Link) Run(ctx context.Context, w bench.Workload) (bench.Result, error) {
	if err := w.Check(); err != nil {
		return bench.Result{}, err
	}
	if w.Kind == bench.RequestResponse {
		return l.pingPong(ctx, w)
	}
	if w.Kind != bench.Bulk {
		return bench.Result{}, fmt.Errorf("raw: there is no %s without TCP", w.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, w.Time)
	defer cancel()
	if w.Way == bench.Upload {
		return stream(ctx, l.B, l.A)
	}
	return stream(ctx, l.A, l.B)
}
