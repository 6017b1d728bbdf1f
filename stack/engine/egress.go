package engine

import (
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Limits of one step's output.
const (
	// quantum is how many frames a connection sends before the next one's turn: 32 full
	// segments are 46 KiB, 0.4 ms at 1 Gbit/s.
	quantum = 32
	// stepFrames is how many frames all of them send before input is looked at again: four
	// batches, so that a busy sender sees ACKs, and frees frames, every 256 frames. As many are
	// taken, for each one that is sent brings an ACK at the most.
	stepFrames = 4 * dataplane.BatchMax
	// stepRounds is how many turns a connection gets in a step: a lone one fills the step.
	stepRounds = stepFrames / quantum
	// allocBatch is how many frames are asked for at once: few enough that a step that sends
	// one ACK does not walk through a batch.
	allocBatch = 16
	// exhaustedRetry is when output is tried again that found no free frame, if nothing else
	// happens before: about 20 full frames at 1 Gbit/s.
	exhaustedRetry = 250_000 // ns
)

// tx is the transmit frames of the present step.
type tx struct {
	frames    [dataplane.BatchMax]dataplane.Frame
	n         int // allocated
	next      int // frames before it are filled, from it on are empty
	left      int // of stepFrames
	exhausted bool

	rest [dataplane.PiecesMax][]byte // the frames of a packet behind its first
}

// room sees to it that there are need empty frames, at most dataplane.PiecesMax, from next on.
func (e *Engine) room(need int) bool {
	t := &e.tx
	for t.n-t.next < need {
		if t.exhausted {
			return false
		}
		ask := max(allocBatch, need-(t.n-t.next))
		if t.n+ask > len(t.frames) {
			e.sendFilled()
		}
		got := e.port.Alloc(t.frames[t.n : t.n+ask])
		t.n += got
		if got == 0 {
			t.exhausted = true
			e.stats.FramesExhausted++
		}
	}
	return true
}

// frame returns an empty frame, which stays in its place until used or dropped by endTX; nil
// if there is none.
func (e *Engine) frame() *dataplane.Frame {
	if !e.room(1) {
		return nil
	}
	return &e.tx.frames[e.tx.next]
}

// sendFilled hands the filled frames to the port. Those that are empty move to the front.
func (e *Engine) sendFilled() {
	t := &e.tx
	e.port.Send(t.frames[:t.next])
	t.n = copy(t.frames[:], t.frames[t.next:t.n])
	t.next = 0
}

// endTX sends what is filled, gives back what is not, and has the port see to it.
func (e *Engine) endTX() {
	t := &e.tx
	if t.next < t.n {
		e.port.Cancel(t.frames[t.next:t.n])
		t.n = t.next
	}
	if t.next > 0 {
		e.sendFilled()
	}
	e.port.Flush()
}

// touch puts c on the ring of connections to be served.
func (e *Engine) touch(c *Conn) {
	if !c.ready {
		c.ready = true
		e.ready.push(c)
	}
}

// serveReady gives each connection that is ready its turn, and then another one to those that
// have more to send, as long as stepFrames lasts: what one flush moves, one kick carries. It
// says whether one had a turn.
func (e *Engine) serveReady(now mono.Time) bool {
	turns := e.ready.n
	e.tx.left, e.tx.exhausted = stepFrames, false
	sent := false
	for range stepRounds {
		if !e.serveRound(now) {
			break
		}
		sent = true
	}
	// With no frame to be had there is nothing to do until one is free.
	return sent || (turns > 0 && !e.tx.exhausted)
}

// serveRound gives each connection that is ready one turn, and says whether any sent.
func (e *Engine) serveRound(now mono.Time) bool {
	before := e.tx.left
	for range e.ready.n {
		if e.tx.left <= 0 || e.tx.exhausted {
			break
		}
		c := e.ready.pop()
		c.ready = false
		if !e.serve(now, c) {
			e.touch(c)
		}
	}
	return before != e.tx.left
}

// serve lets c send what it owes, tells its observer what happened, and looks to its
// timers. It says whether c has nothing more to send.
func (e *Engine) serve(now mono.Time, c *Conn) bool {
	if c.dead {
		return true
	}
	if c.prompt || c.holds && c.tcp.ACKCanWait() {
		e.notify(c)
	}
	done := true
	if e.route(now, c) {
		done = e.output(now, c)
	}
	e.notify(c)
	if c.tcp.State() == tcp.StateClosed && (done || !c.way.known) {
		e.bury(c)
		return true
	}
	if done && c.tcp.State() == tcp.StateTimeWait && c.closed {
		e.rest(now, c)
	}
	if c.inTable {
		e.timers.schedule(c, c.deadline())
		e.notePaced(c, c.tcp.Paced())
	}
	return done
}

// notePaced counts c among the connections whose data a pacer holds back.
func (e *Engine) notePaced(c *Conn, held bool) {
	switch {
	case held && !c.paced:
		e.paced++
	case !held && c.paced:
		e.paced--
	}
	c.paced = held
}

// deadline is when c must be served though nothing happens.
func (c *Conn) deadline() mono.Time { return min(c.tcp.Deadline(), c.way.retryAt) }

// output sends what c owes, up to its quantum. It says whether that was all.
func (e *Engine) output(now mono.Time, c *Conn) bool {
	t := &e.tx
	w := &c.way
	header, need := w.header.Len(), e.framesOf(w)
	for range quantum {
		if !e.room(need) {
			return false
		}
		frames := t.frames[t.next : t.next+need]
		for i := range frames[1:] {
			t.rest[i] = frames[1+i].Data
		}
		f := &frames[0]
		n := c.tcp.OutputPieces(now, f.Data[header:], t.rest[:need-1])
		if n == 0 {
			return true
		}
		w.ipID++
		w.header.PutTOS(f.Data, n, w.ipID, c.tcp.OutputECN())
		used := e.seal(c, frames, header+n)
		e.stats.TXFrames++
		t.next += used
		t.left -= used
		if t.left <= 0 {
			return false
		}
	}
	return false
}

// framesOf is how many frames a packet on this way may need.
func (e *Engine) framesOf(w *way) int {
	if size := e.info.FrameSize; w.mtu+wire.EthernetVLANLen > size {
		return (w.mtu + wire.EthernetVLANLen + size - 1) / size
	}
	return 1
}

// seal cuts frames to the packet of size octets that c has written, completes its checksum or
// leaves that to the port, and returns how many frames it takes.
func (e *Engine) seal(c *Conn, frames []dataplane.Frame, size int) (used int) {
	w, f := &c.way, &frames[0]
	first, left := min(size, len(f.Data)), size-min(size, len(f.Data))
	f.Data = f.Data[:first]
	for used = 1; left > 0; used++ {
		n := min(left, len(frames[used].Data))
		frames[used].Data = frames[used].Data[:n]
		frames[used-1].More = true
		left -= n
	}
	if e.info.TXChecksum {
		w.header.FinishPartial(f.Data, size-first)
		f.ChecksumAt = uint16(w.header.Len())
		return used
	}
	w.header.FinishSum(f.Data, size-first, c.tcp.OutputSum())
	return used
}

// notify shows the application what has changed.
func (e *Engine) notify(c *Conn) {
	events := c.tcp.Events()
	if events&tcp.PathFound != 0 {
		events &^= tcp.PathFound
		e.learnPath(e.now, c, c.tcp.PathMSS()+c.way.overhead())
	}
	before := c.Status()
	c.publish()
	if c.Status().SendFinished() && !before.SendFinished() {
		events |= tcp.Writable // who lingers waits for it
	}
	if events != 0 && c.observer != nil {
		c.observer.ConnEvent(c, events)
	}
}

// ring is a queue of connections.
type ring struct {
	buf  []*Conn // length a power of two, or zero
	head int
	n    int
}

func (r *ring) push(c *Conn) {
	if r.n == len(r.buf) {
		buf := make([]*Conn, max(tableMin, 2*len(r.buf)))
		for i := range r.n {
			buf[i] = r.buf[(r.head+i)&(len(r.buf)-1)]
		}
		r.buf, r.head = buf, 0
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = c
	r.n++
}

func (r *ring) pop() *Conn {
	c := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return c
}
