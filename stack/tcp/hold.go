package tcp

import "github.com/millrace-tcp/millrace/mono"

// ACKCanWait says whether an ACK is owed, at once by the rules, that the application's answer
// may carry: of a short segment at the start of a connection, or of the peer's FIN.
func (c *Conn) ACKCanWait() bool { return c.owe.soon }

// HoldACK puts such an ACK off, for as long as any may be delayed. It is for who knows that the
// application has been woken for what is to be acknowledged: mostly it answers a request, or
// closes its side after the peer's, and there goes a packet less. The quick ACKs at the start
// are for a peer that fills its window, or waits by Nagle's algorithm for an ACK before it
// sends the rest of what the application waits for. A short segment comes from none of the
// former, and for the latter's sake the caller sees to it that the ACK is released as soon as
// the application waits again.
func (c *Conn) HoldACK(now mono.Time) {
	if !c.owe.soon {
		return
	}
	c.owe.soon, c.owe.held = false, true
	if c.timers[timerDelayedACK] == mono.Never {
		c.timers[timerDelayedACK] = now.Add(c.cfg.DelayedACK)
	}
}

// ACKHeld says whether one is put off.
func (c *Conn) ACKHeld() bool { return c.owe.held }

// ReleaseACK owes the ACK that was put off.
func (c *Conn) ReleaseACK() {
	if c.owe.held {
		c.owe.held, c.owe.ack = false, true
	}
}
