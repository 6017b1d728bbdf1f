package fault

import (
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
)

// A received frame's handle is the wrapped port's, shifted, or the number of a box with
// this bit set. Wrappers can so be stacked; a port's handles are far below 2^63.
const ofBox = 1

// Recv receives what the faults leave, of one batch of the wrapped port at most: what is
// lost is not made up for, or a link that loses all would hold the worker here.
func (p *Port) Recv(dst []dataplane.Frame) int {
	dst = dst[:min(len(dst), dataplane.BatchMax)]
	now := p.now()
	n := p.judge(dst, now, p.recvDue(now, dst, 0))
	if n == len(dst) || p.inBox.n > 0 {
		return n
	}
	p.inBox.n = p.inner.Recv(p.inBox.frames[:len(dst)-n])
	return p.judge(dst, now, n)
}

// judge passes the packets of inBox on, each followed by what became due through it.
func (p *Port) judge(dst []dataplane.Frame, now mono.Time, n int) int {
	in := &p.inBox
	k := 0
	for k < in.n {
		packet := in.frames[k : k+dataplane.PacketLen(in.frames[k:in.n])]
		if len(packet) > len(dst)-n {
			break
		}
		k += len(packet)
		if p.rx.admit(now, packet) {
			for _, f := range packet {
				f.Handle <<= 1
				dst[n] = f
				n++
			}
		} else {
			p.inner.Free(packet)
		}
		n = p.recvDue(now, dst, n)
	}
	in.n = copy(in.frames[:], in.frames[k:in.n])
	return n
}

// recvDue appends the boxes that are due to dst[:n].
func (p *Port) recvDue(now mono.Time, dst []dataplane.Frame, n int) int {
	for n < len(dst) {
		i, ok := p.rx.due(now)
		if !ok {
			break
		}
		p.rx.done(now)
		b := &p.rx.boxes[i]
		b.taken = true
		p.nTaken++
		dst[n] = dataplane.Frame{Data: b.data, Handle: uint64(i)<<1 | ofBox}
		n++
	}
	return n
}

// Free gives frames back, the wrapped port's to it.
func (p *Port) Free(frames []dataplane.Frame) {
	back := &p.back
	back.n = 0
	for i := range frames {
		h := frames[i].Handle
		if h&ofBox == 0 {
			if back.n == len(back.frames) {
				p.inner.Free(back.frames[:])
				back.n = 0
			}
			back.frames[back.n] = frames[i]
			back.frames[back.n].Handle = h >> 1
			back.n++
			continue
		}
		h >>= 1
		if h >= uint64(len(p.rx.boxes)) || !p.rx.boxes[h].taken {
			panic("BUG: fault: freed a frame that was not received, or twice")
		}
		p.rx.boxes[h].taken = false
		p.rx.unpack(uint32(h))
		p.nTaken--
	}
	p.inner.Free(back.frames[:back.n])
}

// Leave leaves received frames to readers: copies, which are memory like any other, and those of
// the wrapped port, which lets frames be kept.
func (p *Port) Leave(frames []dataplane.Frame) {
	var theirs []dataplane.Frame
	for _, f := range frames {
		if f.Handle&ofBox != 0 {
			p.nTaken--
			continue
		}
		f.Handle >>= 1
		theirs = append(theirs, f)
	}
	if inner, ok := p.inner.(dataplane.KeepingPort); ok {
		inner.Leave(theirs)
	}
}

// Return gives one of those back.
func (p *Port) Return(f dataplane.Frame) {
	if f.Handle&ofBox == 0 {
		f.Handle >>= 1
		p.inner.(dataplane.KeepingPort).Return(f)
	}
}

// Crowded says whether the wrapped port is, of one that knows.
func (p *Port) Crowded() bool { return dataplane.Crowded(p.inner) }

// Alloc lends transmit frames of the wrapped port.
func (p *Port) Alloc(dst []dataplane.Frame) int { return p.inner.Alloc(dst) }

// Cancel gives them back to it.
func (p *Port) Cancel(frames []dataplane.Frame) { p.inner.Cancel(frames) }

// Send sends what the faults leave.
func (p *Port) Send(frames []dataplane.Frame) {
	now := p.now()
	p.sendDue(now)
	for rest := frames; len(rest) > 0; {
		n := dataplane.PacketLen(rest)
		if p.tx.admit(now, rest[:n]) {
			p.pass(rest[:n])
		} else {
			p.inner.Cancel(rest[:n])
		}
		p.sendDue(now)
		rest = rest[n:]
	}
	p.passOn()
}

// sendDue sends the boxes that are due. A box that finds no transmit frame stays due; the
// frames of the worker may then overtake it.
func (p *Port) sendDue(now mono.Time) {
	for {
		i, ok := p.tx.due(now)
		if !ok {
			return
		}
		if !p.sendBox(p.tx.boxes[i].data) {
			return
		}
		p.tx.done(now)
		p.tx.unpack(i)
	}
}

// sendBox sends a copy of data, if there are as many transmit frames as it takes.
func (p *Port) sendBox(data []byte) bool {
	need := max(1, (len(data)+p.size-1)/p.size)
	if p.out.n+need > len(p.out.frames) {
		p.passOn()
	}
	frames := p.out.frames[p.out.n : p.out.n+need]
	if got := p.inner.Alloc(frames); got < need {
		p.inner.Cancel(frames[:got])
		return false
	}
	for i := range frames {
		f := &frames[i]
		n := copy(f.Data, data)
		f.Data, data = f.Data[:n], data[n:]
		f.More = i < need-1
	}
	p.out.n += need
	return true
}

// pass lets a packet go on to the wrapped port.
func (p *Port) pass(frames []dataplane.Frame) {
	if p.out.n+len(frames) > len(p.out.frames) {
		p.passOn()
	}
	p.out.n += copy(p.out.frames[p.out.n:], frames)
}

// passOn hands the frames that passed to the wrapped port.
func (p *Port) passOn() {
	p.inner.Send(p.out.frames[:p.out.n])
	p.out.n = 0
}

// Flush sends what became due, and flushes the wrapped port.
func (p *Port) Flush() {
	p.sendDue(p.now())
	p.passOn()
	p.inner.Flush()
}

// dueWait is how long Wait sleeps when a frame is due and could not be sent for want of a
// transmit frame.
const dueWait = time.Millisecond

// Wait is the wrapped port's, but ends when a frame that waits becomes due.
func (p *Port) Wait(d time.Duration) error {
	if d == 0 {
		return p.inner.Wait(0)
	}
	rx, tx := p.rx.next(), p.tx.next()
	if next := min(rx, tx); next != mono.Never || p.inBox.n > 0 {
		now := p.now()
		until := next.Sub(now)
		if until <= 0 && rx > now && p.inBox.n == 0 {
			until = dueWait
		}
		if until <= 0 || p.inBox.n > 0 {
			return p.inner.Wait(0)
		}
		if d < 0 || until < d {
			d = until
		}
	}
	return p.inner.Wait(d)
}
