package xsk

import (
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// sizeMin is the shortest frame that is sent: an Ethernet header. The kernel refuses a
// descriptor of length 0 without ever completing it, so it must not see one.
const sizeMin = 14

// Recv takes received frames off the receive ring.
func (p *Port) Recv(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	rx := &p.sock.rx
	n, octets, refused := 0, 0, 0
	for n < len(dst) {
		got := rx.available(uint32(len(dst) - n))
		if got == 0 {
			break
		}
		for range got {
			d := rx.descs[rx.cons&rx.mask]
			rx.cons++
			chunk, ok := p.takeRX(&d)
			if !ok {
				refused++
				continue
			}
			size := int(d.Len)
			start := int(d.Addr)
			dst[n] = dataplane.Frame{
				Data: p.sock.umem[start : start+size : start+size],
				// Reduced to its chunk, so that a freed frame is always whole.
				Handle: uint64(chunk) << p.shift,
			}
			octets += size
			n++
		}
		rx.release()
	}
	if refused > 0 {
		p.sock.fill.publish()
	}
	if n > 0 {
		p.nTaken += n
		p.stats.rxFrames.Add(uint64(n))
		p.stats.rxOctets.Add(uint64(octets))
	}
	return n
}

// takeRX checks a descriptor from the kernel and takes its frame over. A frame that is
// refused, and is ours, is back on the fill ring; the caller publishes.
func (p *Port) takeRX(d *unix.XDPDesc) (chunk uint32, ok bool) {
	if d.Addr >= uint64(p.cfg.RXFrames)<<p.shift || p.holder[d.Addr>>p.shift] != withKernel {
		p.nBogus++
		p.stats.rxInvalid.Add(1)
		return 0, false
	}
	chunk = uint32(d.Addr >> p.shift)
	room := uint64(p.cfg.FrameSize) - d.Addr&uint64(p.cfg.FrameSize-1)
	first := !p.chained
	p.chained = d.Options&unix.XDP_PKT_CONTD != 0
	if first && !p.chained && uint64(d.Len) <= room {
		p.holder[chunk] = withWorker
		return chunk, true
	}
	// A packet of several descriptors is dropped whole, and counted once.
	if first {
		p.stats.rxInvalid.Add(1)
	}
	p.refill(chunk)
	return 0, false
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

// Alloc lends free transmit frames.
func (p *Port) Alloc(dst []dataplane.Frame) int {
	if p.closed.Load() {
		return 0
	}
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	if len(p.txFree) < len(dst) {
		p.collect()
	}
	n := min(len(dst), len(p.txFree))
	for i := range n {
		chunk := p.txFree[len(p.txFree)-1-i]
		start := int(chunk) << p.shift
		end := start + p.cfg.FrameSize
		dst[i] = dataplane.Frame{Data: p.sock.umem[start:end:end], Handle: uint64(start)}
		p.holder[chunk] = withWorker
	}
	p.txFree = p.txFree[:len(p.txFree)-n]
	p.nLent += n
	if n < len(dst) {
		p.starved = true
	}
	return n
}

// giveBack checks that f is on loan, and returns its chunk.
func (p *Port) giveBack(f *dataplane.Frame) uint32 {
	chunk := f.Handle >> p.shift
	if chunk < uint64(p.cfg.RXFrames) || chunk >= uint64(len(p.holder)) || p.holder[chunk] != withWorker {
		panic("BUG: xsk: gave back a frame that was not allocated, or twice")
	}
	return uint32(chunk)
}

// Send puts frames on the transmit ring. There is room for all: a frame is on the ring
// only while it is not completed, and there are no more frames than entries.
func (p *Port) Send(frames []dataplane.Frame) {
	if len(frames) == 0 || p.closed.Load() {
		return
	}
	tx := &p.sock.tx
	sent, octets := 0, 0
	for i := range frames {
		f := &frames[i]
		chunk := p.giveBack(f)
		size := len(f.Data)
		if size > p.cfg.FrameSize {
			panic("BUG: xsk: sent a frame longer than its room")
		}
		if size < sizeMin {
			p.holder[chunk] = free
			p.txFree = append(p.txFree, chunk)
			continue
		}
		tx.descs[tx.prod&tx.mask] = unix.XDPDesc{Addr: uint64(chunk) << p.shift, Len: uint32(size)}
		tx.prod++
		p.holder[chunk] = withKernel
		sent++
		octets += size
	}
	tx.publish()
	p.nLent -= len(frames)
	p.txOwed = true
	p.stats.txFrames.Add(uint64(sent))
	p.stats.txOctets.Add(uint64(octets))
	if short := len(frames) - sent; short > 0 {
		p.stats.txDropped.Add(uint64(short))
	}
}

// Cancel takes allocated frames back.
func (p *Port) Cancel(frames []dataplane.Frame) {
	if p.closed.Load() {
		return
	}
	for i := range frames {
		chunk := p.giveBack(&frames[i])
		p.holder[chunk] = free
		p.txFree = append(p.txFree, chunk)
	}
	p.nLent -= len(frames)
}

// collect takes completed frames back from the kernel, and returns how many.
func (p *Port) collect() int {
	comp := &p.sock.comp
	n := comp.available(uint32(p.cfg.TXRing))
	for range n {
		addr := comp.addrs[comp.cons&comp.mask]
		comp.cons++
		chunk := addr >> p.shift
		if chunk < uint64(p.cfg.RXFrames) || chunk >= uint64(len(p.holder)) || p.holder[chunk] != withKernel {
			// Not counted back: the frame that was meant stays missing until Close says so.
			p.stats.txInvalid.Add(1)
			continue
		}
		p.holder[chunk] = free
		p.txFree = append(p.txFree, uint32(chunk))
	}
	if n > 0 {
		comp.release()
	}
	return int(n)
}
