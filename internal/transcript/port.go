package transcript

import (
	"net"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

var (
	macLocal  = [6]byte{2, 0, 0, 0, 0, 1}
	macRemote = [6]byte{2, 0, 0, 0, 0, 2}
)

// frameSize is room for a segment of any MTU that a script sets.
const frameSize = 16 << 10

// port is the engine's link: what is sent is kept with its time, and what is injected is
// received in the next step.
type port struct {
	now  func() mono.Time
	in   [][]byte
	sent []sent
}

var _ dataplane.Port = (*port)(nil)

// sent is a segment that the engine has sent.
type sent struct {
	at  mono.Time
	ip  wire.Packet
	seg wire.Segment
}

func (p *port) Recv(dst []dataplane.Frame) int {
	n := min(len(dst), len(p.in))
	for i := range n {
		dst[i] = dataplane.Frame{Data: p.in[i]}
	}
	p.in = p.in[n:]
	return n
}

func (p *port) Free([]dataplane.Frame) {}

func (p *port) Alloc(dst []dataplane.Frame) int {
	for i := range dst {
		dst[i] = dataplane.Frame{Data: make([]byte, frameSize)}
	}
	return len(dst)
}

// Send keeps what can be read. The engine builds its own packets: one that cannot be read is
// kept as an empty segment, which no line expects.
func (p *port) Send(frames []dataplane.Frame) {
	for _, f := range frames {
		s := sent{at: p.now()}
		var eth wire.EthHeader
		if wire.ParseEthernet(f.Data, &eth) == nil && wire.ParseIP(f.Data[eth.Len:], &s.ip) == nil && s.ip.TCPValid() {
			_ = wire.ParseTCP(s.ip.Payload, &s.seg)
		}
		p.sent = append(p.sent, s)
	}
}

func (p *port) Cancel([]dataplane.Frame) {}
func (p *port) Flush()                   {}

// Wait returns at once: virtual time does not pass in it.
func (p *port) Wait(time.Duration) error { return net.ErrClosed }

func (p *port) Wake() {}

func (p *port) Info() dataplane.Info {
	return dataplane.Info{Name: "transcript", FrameSize: frameSize, TXFrames: dataplane.BatchMax}
}

func (p *port) Stats() dataplane.Stats { return dataplane.Stats{} }
func (p *port) Close() error           { return nil }
