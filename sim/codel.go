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

// codelQueue is a queue with CoDel as its manager.
type codelQueue struct {
	fifo
	codel codel
}

// put is manager's.
func (q *codelQueue) put(n *network, l *path, w waiting) {
	if !l.room(q.n, q.octets, int(w.octets)) {
		n.refuse(l, w)
		return
	}
	l.log(QueueEvent{At: n.now, Kind: QueueIn, Octets: int(w.octets)})
	q.push(w)
}

// backlog is manager's.
func (q *codelQueue) backlog() (packets, octets int) { return q.n, q.octets }

// take is the RFC's dequeue: it drops or marks what is due.
func (q *codelQueue) take(n *network, l *path) (w waiting, mark, ok bool) {
	c := &q.codel
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
