package sim

import (
	"fmt"
	"net"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// port is the dataplane.Port of a simulated host: what is sent goes onto the host's path at
// once, and what arrives waits until it is received.
type port struct {
	net  *network
	host *host
	info dataplane.Info

	credit int           // transmit frames that are free
	slow   time.Duration // how long a transmit frame is in use after it was sent

	in     []int32 // waiting packets, a ring of length a power of two
	head   int
	n      int
	lent   int // allocated, neither sent nor cancelled
	taken  int // received, not freed
	stats  dataplane.Stats
	closed bool
}

var _ dataplane.Port = (*port)(nil)

func newPort(h *host, txFrames int, slow time.Duration) *port {
	return &port{
		net: h.net, host: h, credit: txFrames, slow: slow,
		info: dataplane.Info{Name: fmt.Sprintf("sim %c", 'a'+h.id), FrameSize: frameSize, TXFrames: txFrames},
	}
}

// arrive puts a packet where Recv finds it.
func (p *port) arrive(i int32) {
	if p.n == len(p.in) {
		ring := make([]int32, max(64, 2*len(p.in)))
		for j := range p.n {
			ring[j] = p.in[(p.head+j)&(len(p.in)-1)]
		}
		p.in, p.head = ring, 0
	}
	p.in[(p.head+p.n)&(len(p.in)-1)] = i
	p.n++
}

// Recv takes packets that have arrived.
func (p *port) Recv(dst []dataplane.Frame) int {
	n := min(len(dst), dataplane.BatchMax, p.n)
	s := &p.net.packets
	for j := range n {
		i := p.in[p.head]
		p.head = (p.head + 1) & (len(p.in) - 1)
		s.move(i, placeWaiting, placeTaken)
		k := &s.all[i]
		dst[j] = dataplane.Frame{Data: k.buf[:k.n], Handle: uint64(i)}
		p.stats.RXOctets += uint64(k.n)
	}
	p.n -= n
	p.taken += n
	p.stats.RXFrames += uint64(n)
	return n
}

// Free gives received packets back.
func (p *port) Free(frames []dataplane.Frame) {
	for j := range frames {
		p.net.packets.drop(int32(frames[j].Handle), placeTaken)
	}
	p.taken -= len(frames)
}

// Alloc lends transmit frames.
func (p *port) Alloc(dst []dataplane.Frame) int {
	n := 0
	for n < min(len(dst), dataplane.BatchMax) && p.credit > 0 {
		i, ok := p.net.packets.get(placeLent)
		if !ok {
			break
		}
		p.credit--
		dst[n] = dataplane.Frame{Data: p.net.packets.all[i].buf, Handle: uint64(i)}
		n++
	}
	p.lent += n
	return n
}

// Send puts frames onto the path. The buffer goes with the packet; the frame is free again
// at once, or after a while that imitates a slow link.
func (p *port) Send(frames []dataplane.Frame) {
	for j := range frames {
		f := &frames[j]
		i := int32(f.Handle)
		p.net.packets.move(i, placeLent, placeFlying)
		p.net.packets.all[i].n = len(f.Data)
		p.stats.TXOctets += uint64(len(f.Data))
		p.net.send(p.host, i)
	}
	n := len(frames)
	p.lent -= n
	p.stats.TXFrames += uint64(n)
	if n == 0 {
		return
	}
	if p.slow == 0 {
		p.credit += n
		return
	}
	p.net.events.put(event{at: p.net.now.Add(p.slow), kind: eventTX, ref: int32(n), arg: p.host.id})
}

// Cancel takes allocated frames back.
func (p *port) Cancel(frames []dataplane.Frame) {
	for j := range frames {
		p.net.packets.drop(int32(frames[j].Handle), placeLent)
	}
	p.lent -= len(frames)
	p.credit += len(frames)
}

// Flush has nothing to do: Send has done it.
func (p *port) Flush() {}

// Wait returns at once: virtual time does not pass in it.
func (p *port) Wait(time.Duration) error {
	if p.closed {
		return fmt.Errorf("sim: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	return nil
}

// Wake has the host stepped at this moment.
func (p *port) Wake() { p.host.dirty = true }

// Info describes the port.
func (p *port) Info() dataplane.Info { return p.info }

// Stats returns the counters.
func (p *port) Stats() dataplane.Stats { return p.stats }

// Close drops what waits. A frame that the engine still holds is an error.
func (p *port) Close() error {
	p.closed = true
	for ; p.n > 0; p.n-- {
		p.net.packets.drop(p.in[p.head], placeWaiting)
		p.head = (p.head + 1) & (len(p.in) - 1)
	}
	if p.lent != 0 || p.taken != 0 {
		return fmt.Errorf("sim: close %s: BUG: %d allocated and %d received frames are missing",
			p.info.Name, p.lent, p.taken)
	}
	return nil
}
