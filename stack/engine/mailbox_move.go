package engine

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// A connection that we open sends its SYN from a queue of our choice, and where nobody can tell
// how the NIC, or the peer of a veth, spreads what comes back, the answer may arrive on another
// one. All that follows will too: so the connection moves there, once, before it has seen the
// answer. What comes by yet another queue afterwards is forwarded, see Directory.
//
// A move is in the hands of one worker at each moment. That of the old queue takes the
// connection out of its tables, writes the new one into the directory and into shared.eng, and
// does not touch it any more; that of the new one puts it into its tables, and then looks at the
// answer. What is posted in between, or reaches the old one's list late, finds its way by
// shared.eng.

// Mover is an Observer whose connections can move to another engine.
type Mover interface {
	Observer
	// ConnMoved is called on the worker of the engine that c belongs to from now on, before
	// anything else happens there.
	ConnMoved(c *Conn, to *Engine)
}

// Held returns how many connections the engine has. Any goroutine may call it.
func (e *Engine) Held() int { return int(e.mail.held.Load()) }

// follow moves c to the engine of the queue that the packet in e.in came on, with the packet, if
// that is the answer to its SYN. It says whether it did.
func (e *Engine) follow(c *Conn, from *Engine) bool {
	if _, can := c.observer.(Mover); !can || c.tcp.State() != tcp.StateSynSent ||
		e.in.seg.Flags&(wire.SYN|wire.ACK) != wire.SYN|wire.ACK {
		return false
	}
	if c.ready || c.closed {
		return false // on the ring, or among the orphans: stay, and have it all forwarded
	}
	e.leave(c)
	if !from.welcome(c, e.in.frame) {
		e.add(c)
		return false
	}
	e.stats.Moved++
	return true
}

// leave takes c out of all that is e's. Its place in the directory stays.
func (e *Engine) leave(c *Conn) {
	e.timers.cancel(c)
	e.untable(c)
}

// welcome takes c over, to be served by the worker of e with a packet for it. It says false when
// that does not work any more; then nothing has happened. The worker that c belonged to calls it.
func (e *Engine) welcome(c *Conn, packet []byte) bool {
	m := &e.mail
	m.mu.Lock()
	if m.closed.Load() {
		m.mu.Unlock()
		return false
	}
	e.directoryAdd(&c.key)
	c.moving = true
	c.shared.eng.Store(e)
	m.commands = append(m.commands, func(now mono.Time) {
		e.settle(c)
		e.in.frame, e.in.rest = packet, nil
		e.frameIn(now, e)
	})
	m.orders.Store(true)
	m.mu.Unlock()
	e.wake()
	return true
}

// settle makes c one of ours, if it has moved here and is not that yet.
func (e *Engine) settle(c *Conn) {
	if !c.moving {
		return
	}
	c.moving = false
	c.tcp.Rehome(&e.stats.TCP, e.challenges, &e.core)
	e.keeping.keep(c)
	c.way.pathGeneration = e.paths.generation - 1 // ask ours
	e.add(c)
	c.observer.(Mover).ConnMoved(c, e)
}

// holds says whether c, which was on the list of e, belongs to e; else it goes on the list of
// the engine that it has moved to.
func (e *Engine) holds(c *Conn) bool {
	if at := c.shared.eng.Load(); at != e {
		at.enlist(c)
		at.wake()
		return false
	}
	e.settle(c)
	return true
}

// passOn hands the packet in e.in, whose flow is in no table, to the engine that owns it, and
// says whether there is one. That may be e: the connection is on its way here then, and the
// packet goes behind it.
func (e *Engine) passOn(from *Engine) bool {
	if e.cfg.Directory == nil {
		return false
	}
	owner := e.cfg.Directory.ownerOf(&e.in.key)
	if owner == nil || owner == e && from == e {
		return false
	}
	e.handTo(owner)
	return true
}
