package xsk

import (
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// begun is the pieces of a packet whose last one had not come, or for which a Recv had no room,
// and is how the next packet begins.
type begun struct {
	frames [dataplane.PiecesMax]dataplane.Frame
	n      int
	// skip says that the packet is lost, and what is still to come of it is to be dropped.
	skip bool
}

// Recv takes received packets off the receive ring.
func (p *Port) Recv(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	if len(dst) <= p.begun.n && p.begun.n > 0 {
		return 0
	}
	b := batch{dst: dst, n: copy(dst, p.begun.frames[:p.begun.n])}
	p.begun.n = 0
	rx := &p.sock.rx
	for b.n < len(dst) {
		got := rx.available(uint32(len(dst) - b.n))
		if got == 0 {
			break
		}
		for range got {
			d := rx.descs[rx.cons&rx.mask]
			rx.cons++
			p.takeRX(&b, &d)
		}
		rx.release()
	}
	if b.refused {
		p.sock.fill.publish()
	}
	p.begun.n = copy(p.begun.frames[:], dst[b.whole:b.n])
	if b.whole > 0 {
		p.nTaken += b.whole
		p.stats.rxFrames.Add(uint64(b.packets))
		p.stats.rxOctets.Add(uint64(b.octets))
	}
	return b.whole
}

// Crowded says whether less than half as many frames are there for the kernel to fill as the receive
// ring holds. The rest wait on it, or were kept; the NIC's own ring is not counted.
func (p *Port) Crowded() bool { return p.sock.fill.unread() < uint32(p.cfg.RXRing)/2 }

// batch is what a Recv has so far: n frames, of which those before whole are whole packets.
type batch struct {
	dst             []dataplane.Frame
	n, whole        int
	packets, octets int
	refused         bool // frames were put on the fill ring, which is to be published
}

// takeRX checks a descriptor from the kernel and takes its frame over.
func (p *Port) takeRX(b *batch, d *unix.XDPDesc) {
	more := d.Options&unix.XDP_PKT_CONTD != 0
	if d.Addr >= uint64(p.cfg.RXFrames)<<p.shift || p.holder[d.Addr>>p.shift] != withKernel {
		p.nBogus++
		p.spoil(b, more)
		return
	}
	chunk := uint32(d.Addr >> p.shift)
	room := uint64(p.cfg.FrameSize) - d.Addr&uint64(p.cfg.FrameSize-1)
	// One more piece than there may be is seen before it is stored: begun never overflows.
	if p.begun.skip || uint64(d.Len) > room || b.n-b.whole == dataplane.PiecesMax-1 && more {
		p.refill(chunk)
		b.refused = true
		p.spoil(b, more)
		return
	}
	p.holder[chunk] = withWorker
	start, size := int(d.Addr), int(d.Len)
	b.dst[b.n] = dataplane.Frame{
		Data: p.sock.umem[start : start+size : start+size],
		// Reduced to its chunk, so that a freed frame is always whole.
		Handle: uint64(chunk) << p.shift,
		More:   more,
	}
	b.n++
	b.octets += size
	if !more {
		b.whole = b.n
		b.packets++
	}
}

// spoil drops the packet that a bad descriptor is part of, whole, and counts it once. The
// pieces that came are on the fill ring again; those to come, if there are more, will be.
func (p *Port) spoil(b *batch, more bool) {
	if !p.begun.skip {
		p.stats.rxInvalid.Add(1)
	}
	for _, f := range b.dst[b.whole:b.n] {
		b.octets -= len(f.Data)
		p.refill(uint32(f.Handle >> p.shift))
		b.refused = true
	}
	b.n = b.whole
	p.begun.skip = more
}

// Free puts received frames back on the fill ring.
func (p *Port) Free(frames []dataplane.Frame) {
	if len(frames) == 0 || p.closed.Load() {
		return
	}
	for i := range frames {
		chunk := frames[i].Handle >> p.shift
		if chunk >= uint64(p.cfg.RXFrames) || p.holder[chunk] != withWorker {
			panic("BUG: xsk: freed a frame that was not received, or twice")
		}
		p.refill(uint32(chunk))
	}
	p.sock.fill.publish()
	p.nTaken -= len(frames)
}
