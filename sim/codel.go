package sim

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// CoDel is controlled delay (RFC 8289): when packets have waited for longer than Target for
// all of Interval, one is dropped, or marked, and then more and more often until they do not.
type CoDel struct {
	Target   time.Duration // 0: there is no CoDel
	Interval time.Duration // 100 ms if 0
}

// codel is CoDel at work, in the names of the RFC's pseudocode.
// https://www.rfc-editor.org/rfc/rfc8289.html#section-5
type codel struct {
	cfg        CoDel
	firstAbove mono.Time // when the delay will have been above Target for Interval; 0: it is not above
	dropNext   mono.Time
	count      int
	lastCount  int
	dropping   bool
}

// controlLaw is "t + interval / sqrt(count)".
func (c *codel) controlLaw(t mono.Time) mono.Time {
	return t.Add(time.Duration(float64(c.cfg.Interval) / math.Sqrt(float64(c.count))))
}

// okToDrop looks at a packet that is taken from the queue: it waited for so long, and left is
// what is queued behind it.
func (c *codel) okToDrop(now mono.Time, waited time.Duration, left int) bool {
	if waited < c.cfg.Target || left <= MTU {
		c.firstAbove = 0
		return false
	}
	if c.firstAbove == 0 {
		c.firstAbove = now.Add(c.cfg.Interval)
		return false
	}
	return now >= c.firstAbove
}

// enter begins to drop. "If min went above target close to when it last went below, assume
// that the drop rate that controlled the queue on the last cycle is a good starting point."
func (c *codel) enter(now mono.Time) {
	c.dropping = true
	delta := c.count - c.lastCount
	if delta > 1 && now.Sub(c.dropNext) < 16*c.cfg.Interval {
		c.count = delta
	} else {
		c.count = 1
	}
	c.dropNext = c.controlLaw(now)
	c.lastCount = c.count
}

// served is a queue whose packets are judged when they leave it, so that each has an event
// when it does. Queues that judge what arrives know at once when it will leave, and need none.
type served struct {
	codel   codel
	waiting []waiting // a ring of length a power of two
	head, n int
	octets  int
	busy    bool
}

// waiting is a packet in the queue. Cross traffic has a length only.
type waiting struct {
	ref    int32 // -1: cross traffic
	octets int32
	came   mono.Time
}

func (s *served) push(w waiting) {
	if s.n == len(s.waiting) {
		ring := make([]waiting, max(64, 2*len(s.waiting)))
		for i := range s.n {
			ring[i] = s.waiting[(s.head+i)&(len(s.waiting)-1)]
		}
		s.waiting, s.head = ring, 0
	}
	s.waiting[(s.head+s.n)&(len(s.waiting)-1)] = w
	s.n++
	s.octets += int(w.octets)
}

func (s *served) pop() waiting {
	w := s.waiting[s.head]
	s.head = (s.head + 1) & (len(s.waiting) - 1)
	s.n--
	s.octets -= int(w.octets)
	return w
}

// serve puts packet ref, or one of cross traffic, into the queue of path number at.
func (n *network) serve(at int16, ref int32, octets int) {
	l := n.paths[at]
	q := &l.served
	if !l.room(q.n, q.octets, octets) {
		l.stats.QueueDrops++
		l.log(QueueEvent{At: n.now, Kind: QueueDrop, Octets: octets})
		n.lose(ref)
		return
	}
	l.log(QueueEvent{At: n.now, Kind: QueueIn, Octets: octets})
	q.push(waiting{ref, int32(octets), n.now})
	if !q.busy {
		n.transmit(at)
	}
}

// transmit takes the next packet that CoDel lets pass from the queue, and begins to send it.
func (n *network) transmit(at int16) {
	l := n.paths[at]
	q := &l.served
	w, mark, ok := n.dequeue(l)
	if q.busy = ok; !ok {
		return
	}
	begins, leaves := l.leave(n.now, int(w.octets))
	l.free = leaves
	l.log(QueueEvent{At: leaves, Kind: QueueOut, Octets: int(w.octets), Waited: leaves.Sub(w.came)})
	l.delay.add(n.now, begins.Sub(w.came))
	l.stats.Octets += uint64(w.octets)
	n.events.put(event{at: leaves, kind: eventTransmit, arg: at})
	if w.ref < 0 {
		return
	}
	frame := n.packets.all[w.ref].frame()
	v := l.deliver(frame, leaves)
	v.mark = mark
	n.fly(w.ref, l, &v)
}

// dequeue is the RFC's: it drops or marks what is due.
func (n *network) dequeue(l *path) (w waiting, mark, ok bool) {
	q, c := &l.served, &l.served.codel
	next := func() (okToDrop bool) {
		if ok = q.n > 0; !ok {
			c.firstAbove = 0
			return false
		}
		w = q.pop()
		return c.okToDrop(n.now, n.now.Sub(w.came), q.octets)
	}
	drop := next()
	switch {
	case c.dropping && !drop:
		c.dropping = false
	case c.dropping:
		for c.dropping && n.now >= c.dropNext {
			c.count++
			if n.hit(l, w) {
				c.dropNext = c.controlLaw(c.dropNext)
				return w, true, true
			}
			if c.dropping = next(); c.dropping {
				c.dropNext = c.controlLaw(c.dropNext)
			}
		}
	case drop:
		if mark = n.hit(l, w); !mark {
			next()
		}
		c.enter(n.now)
	}
	return w, mark, ok
}

// hit marks a packet if it can be, and loses it else.
func (n *network) hit(l *path, w waiting) (marked bool) {
	if w.ref >= 0 && ecnCapable(n.packets.all[w.ref].frame()) && l.cfg.MarkECT {
		return true
	}
	l.stats.QueueDrops++
	l.log(QueueEvent{At: n.now, Kind: QueueDrop, Octets: int(w.octets)})
	n.lose(w.ref)
	return false
}

// lose gives up a packet that is on a path; one of cross traffic has no buffer.
func (n *network) lose(ref int32) {
	if ref < 0 {
		return
	}
	p := &n.packets.all[ref]
	n.paths[p.path].lostData(p.frame())
	v := verdict{dropped: true}
	n.trace.add(n.now, p.from, p.frame(), &v)
	n.packets.drop(ref, placeFlying)
}
