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
	"sync"
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
	// ahead is how many frames the sender may be ahead of the receiver. TCP's window does
	// the same; without it the receiver would spend itself on frames that are dropped. Half
	// of a transmit ring of 1024.
	ahead = 512
	// stalled is how long a sender waits for frames that do not come before it takes them
	// for lost.
	stalled = 2 * time.Millisecond
)

// End is a port at one end of a link.
type End struct {
	nic   *millrace.NIC
	port  dataplane.Port // the real one
	frame []byte         // what is sent: headers, and the room of the payload
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
	size := min(mtu, e.nic.Info().MTU) + 14
	if e.frame, err = frame(on, peer, size); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// frame makes a segment from one host to the other.
func frame(from, to *lab.Host, size int) ([]byte, error) {
	t, err := wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Src: [6]byte(from.MAC), Dst: [6]byte(to.MAC)},
		Src: from.IP4.Addr(), Dst: to.IP4.Addr(),
	})
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n := t.Put(b, size-t.Len(), 0)
	s := wire.Segment{SrcPort: Port, DstPort: Port, Flags: wire.ACK}
	if n == 0 || wire.PutTCP(b[n:], &s) == 0 {
		return nil, fmt.Errorf("raw: make frame: %d octets are too few", size)
	}
	return b, nil
}

// About says how the port was opened.
func (e *End) About() string {
	return fmt.Sprintf("%s, frames of %d octets", e.nic.Info(), len(e.frame))
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
type Link struct{ A, B *End }

// Run moves frames for the workload's time: Bulk towards A (Upload) or from it, or, as
// RequestResponse, one frame back and forth. What it counts is the payload that TCP would
// have had in the frames.
func (l Link) Run(ctx context.Context, w bench.Workload) (bench.Result, error) {
	if err := w.Check(); err != nil {
		return bench.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, w.Time)
	defer cancel()
	switch {
	case w.Kind == bench.RequestResponse:
		return pingPong(ctx, l.B, l.A, w)
	case w.Kind != bench.Bulk:
		return bench.Result{}, fmt.Errorf("raw: there is no %s without TCP", w.Kind)
	case w.Way == bench.Upload:
		return stream(ctx, l.B, l.A)
	}
	return stream(ctx, l.A, l.B)
}

// flight is what sender and receiver know of each other.
type flight struct {
	received atomic.Int64
	waits    atomic.Bool // the sender does
}

// stream sends frames one way until ctx ends.
func stream(ctx context.Context, from, to *End) (r bench.Result, err error) {
	var f flight
	var all sync.WaitGroup
	all.Go(func() { send(ctx, from, &f) })
	defer all.Wait()
	defer context.AfterFunc(ctx, to.port.Wake)()
	var batch [dataplane.BatchMax]dataplane.Frame
	var start time.Time
	for ctx.Err() == nil {
		n := to.port.Recv(batch[:])
		if n == 0 {
			to.port.Flush()
			if err := to.port.Wait(stalled); err != nil {
				return r, err
			}
			continue
		}
		if start.IsZero() {
			start = time.Now()
		}
		for i := range n {
			r.Octets += int64(max(0, len(batch[i].Data)-headers))
		}
		to.port.Free(batch[:n])
		r.Count += int64(n)
		f.received.Store(r.Count)
		if f.waits.Load() {
			from.port.Wake()
		}
	}
	if r.Count == 0 {
		return r, errors.New("raw: no frame came")
	}
	r.Elapsed = time.Since(start)
	return r, nil
}

// send sends as the receiver receives, until ctx ends.
func send(ctx context.Context, e *End, f *flight) {
	var batch [dataplane.BatchMax]dataplane.Frame
	sent, lost := int64(0), int64(0)
	for ctx.Err() == nil {
		room := int(ahead - (sent - lost - f.received.Load()))
		n := 0
		if room > 0 {
			n = e.port.Alloc(batch[:min(room, len(batch))])
		}
		if n == 0 {
			e.port.Flush()
			before := f.received.Load()
			f.waits.Store(true)
			if f.received.Load() == before && e.port.Wait(stalled) != nil {
				return
			}
			f.waits.Store(false)
			if f.received.Load() == before {
				lost = sent - before
			}
			continue
		}
		for i := range n {
			batch[i].Data = batch[i].Data[:len(e.frame)]
			copy(batch[i].Data, e.frame[:headers])
		}
		e.port.Send(batch[:n])
		e.port.Flush()
		sent += int64(n)
	}
}

// pingPong sends a frame back and forth until ctx ends.
func pingPong(ctx context.Context, from, to *End, w bench.Workload) (r bench.Result, err error) {
	size := headers + w.Size
	if size > len(from.frame) {
		return r, fmt.Errorf("raw: %d octets do not fit one frame", w.Size)
	}
	for receiveOne(from) || receiveOne(to) {
		// What an earlier run left on the way is nobody's answer.
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, to.port.Wake)()
	all.Go(func() {
		for ctx.Err() == nil {
			if receiveOne(to) {
				sendOne(to, size)
			}
		}
	})
	start := time.Now()
	for ctx.Err() == nil {
		began := time.Now()
		sendOne(from, size)
		for !receiveOne(from) {
			if ctx.Err() != nil || time.Since(began) > time.Second {
				break
			}
		}
		took := time.Since(began)
		if ctx.Err() == nil {
			r.Latency.Record(took)
			r.Count++
		}
		r.Elapsed = time.Since(start)
	}
	if r.Count == 0 {
		return r, errors.New("raw: no frame came back")
	}
	return r, nil
}

// receiveOne waits a little for a frame and drops it.
func receiveOne(e *End) bool {
	var batch [1]dataplane.Frame
	if e.port.Recv(batch[:]) == 0 {
		e.port.Flush()
		_ = e.port.Wait(stalled) // a port that is closed is closed by who ends ctx
		return false
	}
	e.port.Free(batch[:])
	return true
}

func sendOne(e *End, size int) {
	var batch [1]dataplane.Frame
	if e.port.Alloc(batch[:]) == 0 {
		return
	}
	batch[0].Data = batch[0].Data[:size]
	copy(batch[0].Data, e.frame[:headers])
	e.port.Send(batch[:])
	e.port.Flush()
}
