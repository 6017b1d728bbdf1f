package engine

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// OrphansDefault is the most connections that their applications have closed and that are not
// at their end: 65,536 of 4 KiB are 256 MiB, besides what they have still to send, which
// counts against MemoryMax.
const OrphansDefault = 1 << 16

// orphans is the connections that their applications have closed, oldest first, until they
// are CLOSED or rest in TIME-WAIT. When there are too many the oldest is ended: one whose peer
// is alive does not grow old, and who collects them loses his own first.
type orphans struct {
	first, last *Conn
	n           int
}

func (o *orphans) add(c *Conn) {
	c.orphan.in = true
	c.orphan.prev = o.last
	if o.last != nil {
		o.last.orphan.next = c
	} else {
		o.first = c
	}
	o.last = c
	o.n++
}

func (o *orphans) remove(c *Conn) {
	if !c.orphan.in {
		return
	}
	prev, next := c.orphan.prev, c.orphan.next
	if prev != nil {
		prev.orphan.next = next
	} else {
		o.first = next
	}
	if next != nil {
		next.orphan.prev = prev
	} else {
		o.last = prev
	}
	c.orphan = orphanLink{}
	o.n--
}

// orphanLink is a connection's place among the orphans.
type orphanLink struct {
	prev, next *Conn
	in         bool
}

// orphaned takes note that the application has closed c, and makes room if there are too many.
func (e *Engine) orphaned(now mono.Time, c *Conn) {
	switch c.tcp.State() {
	case tcp.StateClosed, tcp.StateTimeWait:
		return
	case tcp.StateListen, tcp.StateSynSent, tcp.StateSynReceived, tcp.StateEstablished, tcp.StateFinWait1,
		tcp.StateFinWait2, tcp.StateCloseWait, tcp.StateClosing, tcp.StateLastAck:
	}
	if c.dead || c.orphan.in {
		return
	}
	e.orphans.add(c)
	if e.orphans.n <= e.cfg.OrphansMax {
		return
	}
	oldest := e.orphans.first
	e.orphans.remove(oldest)
	e.stats.TCPAbortOnMemory++
	oldest.tcp.Abort(now)
	e.touch(oldest)
}
