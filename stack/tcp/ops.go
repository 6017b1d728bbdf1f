package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// CloseWrite ends our side of the stream: FIN follows what was written. The other side stays
// open. Before the handshake is done it waits for that.
func (c *Conn) CloseWrite(now mono.Time) {
	switch c.state {
	case StateSynSent, StateSynReceived, StateEstablished, StateCloseWait:
		c.owe.fin = true
	case StateClosed, StateListen, StateFinWait1, StateFinWait2, StateClosing, StateLastAck, StateTimeWait:
	}
}

// CloseRead says that the application reads no more. What arrives from now on is answered
// with ACKs and dropped, as shutdown(SHUT_RD) does on Linux.
func (c *Conn) CloseRead(now mono.Time) {
	c.life.readShut = true
	c.Settle()
	c.p.Recv.Shut()
}

// EndRead says that the application has ended its side of reading, but may read what comes in spite
// of that. When it has ended the other side as well, data is answered with RST as after Close. Who
// uses CloseRead has the peer's data dropped instead, and the connection end in good order.
func (c *Conn) EndRead() { c.life.readEnded = true }

// Close ends both sides. With data unread, or arriving later, the peer is told by RST that
// it was lost; else the four-way close follows.
//
// "If such a host issues a CLOSE call while received data is still pending in TCP, or if
// new data is received after CLOSE is called, its TCP SHOULD send a RST to show that data
// was lost." https://www.rfc-editor.org/rfc/rfc1122.html#page-88
func (c *Conn) Close(now mono.Time) {
	c.Settle()
	unread := !c.life.readShut && c.p.Recv.Len() > 0
	c.life.closed = true
	c.CloseRead(now)
	switch c.state {
	case StateSynSent:
		c.end(Aborted)
	case StateEstablished, StateSynReceived, StateCloseWait, StateFinWait1:
		if unread {
			c.Abort(now)
			return
		}
		c.CloseWrite(now)
	case StateFinWait2:
		if unread {
			c.Abort(now)
			return
		}
		c.timers[timerClose] = now.Add(c.cfg.FinWait2)
	case StateClosed, StateListen, StateClosing, StateLastAck, StateTimeWait:
	}
}

// Abort ends the connection at once and tells the peer by RST.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.5
func (c *Conn) Abort(now mono.Time) {
	c.abort(Aborted)
}

// abort sends RST if the peer knows of the connection, and ends it.
func (c *Conn) abort(cause Cause) {
	switch c.state {
	case StateSynReceived, StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait,
		StateClosing, StateLastAck:
		c.owe.rst, c.owe.rstBare, c.owe.rstSEQ = true, false, c.snd.NXT
	case StateClosed, StateListen, StateSynSent, StateTimeWait:
	}
	c.end(cause)
}

// Consumed says that the application has read: the peer hears of it if its window may grow
// enough to matter.
func (c *Conn) Consumed(now mono.Time) {
	if !c.state.receives() {
		return
	}
	c.Settle()
	if c.updateDue() {
		c.owe.update = true
	}
}

// updateDue is the queue's rule of the same name, with the bounds that the peer's lack of window
// scaling sets, and the avoidance of silly windows: a window that cannot grow is no news, and a
// closed one is not told again for each octet that is read.
func (c *Conn) updateDue() bool {
	if !c.p.Recv.UpdateDue() {
		return false
	}
	left, limit := c.rcv.edge.Sub(c.rcv.NXT), c.p.Recv.Bound()
	return 0xffff<<c.rcv.shift >= 2*left && c.worthOffering(c.recvRoom(limit)-left, limit)
}

// SetNoDelay turns Nagle's algorithm off or on (RFC 9293, section 3.7.4).
func (c *Conn) SetNoDelay(on bool) {
	c.opt.noDelay = on
	if on && c.opt.cork && c.unsent() > 0 {
		c.owe.override = true // once, even what is corked: as Linux does
	}
}

// SetCork holds back, while it is on, what does not fill a segment; the persist timer, or a
// FIN, sends it in the end, as with Linux's TCP_CORK.
func (c *Conn) SetCork(on bool) { c.opt.cork = on }

// SetQuickACK has the next segments acknowledged at once, or as company permits (Linux's
// TCP_QUICKACK). What is owed already is sent when it is turned on.
func (c *Conn) SetQuickACK(on bool) {
	c.rcv.quick = 0
	if on {
		c.rcv.quick = quickACKs
		c.owe.ack = c.owe.ack || c.timers[timerDelayedACK] != mono.Never
	}
}

// SetKeepAlive turns keepalive on or off. A zero idle, interval or count keeps what is set:
// at first two hours, 75 seconds, ten probes.
func (c *Conn) SetKeepAlive(now mono.Time, on bool, idle, interval time.Duration, count int) {
	o := &c.opt
	o.keepAlive = on
	if idle > 0 {
		o.keepIdle = idle
	}
	if interval > 0 {
		o.keepEvery = interval
	}
	if count > 0 {
		o.keepCount = count
	}
	c.armKeepalive(now)
}

// SetUserTimeout bounds how long data, or the SYN of an active open, may stay unacknowledged
// before the connection is given up: "for any state" (RFC 9293, sections 3.9.1 and 3.10.8, and RFC
// 5482 for the notion); 0 leaves it to Retries and SYNRetries.
func (c *Conn) SetUserTimeout(now mono.Time, d time.Duration) {
	c.opt.userTimeout = d
	c.armUserTimeout(now)
}

// Age is how long ago the connection began.
func (c *Conn) Age(now mono.Time) time.Duration { return now.Sub(c.life.openedAt) }

// Unreachable takes note of an ICMP error about this connection. It ends an attempt to
// connect; later "the connection MUST NOT be aborted" (RFC 9293, section 3.9.2.2), for
// anyone can forge it and routes recover.
func (c *Conn) Unreachable(now mono.Time, refused bool) {
	if refused {
		c.FailConnect(Refused)
		return
	}
	c.FailConnect(Unreachable)
}

// FailConnect ends an attempt to connect for a cause that the network gave, and does nothing
// else.
func (c *Conn) FailConnect(cause Cause) {
	if c.state == StateSynSent {
		c.end(cause)
	}
}

// InFlight says whether the octet s is sent and not acknowledged: what an ICMP error must
// quote to be believed (RFC 5927, section 4.1).
func (c *Conn) InFlight(s seq.Num) bool {
	return c.snd.UNA.LessEq(s) && s.Less(c.snd.NXT)
}

// PeerFinished says that the peer has ended its side and all its data is in the queue.
func (c *Conn) PeerFinished() bool { return c.rcv.fin }

// SendFinished says that our FIN is acknowledged, or will never be: closing is done as far
// as the application can wait for it (SO_LINGER).
func (c *Conn) SendFinished() bool {
	switch c.state {
	case StateFinWait2, StateTimeWait, StateClosed:
		return true
	case StateListen, StateSynSent, StateSynReceived, StateEstablished, StateFinWait1,
		StateCloseWait, StateClosing, StateLastAck:
	}
	return false
}

// CanReuse says whether a connection in TIME-WAIT may give way to a new one with the same
// addresses and ports, begun by syn. Only then is the next initial sequence number, and
// what must be larger than NextISS.
//
// "(1) If the SYN's timestamp is larger ... accept; (2) if timestamps are not in use and
// the sequence number is larger than the last one seen, accept."
// https://www.rfc-editor.org/rfc/rfc6191.html#section-2
func (c *Conn) CanReuse(syn *wire.Segment) bool {
	t := TimeWait{rcvNXT: c.rcv.NXT, tsRecent: c.rcv.tsRecent, tsOK: c.rcv.tsOK}
	return c.state == StateTimeWait && t.CanReuse(syn)
}

// NextISS is a sequence number that no octet of this connection can be taken for.
func (c *Conn) NextISS() seq.Num { return c.snd.NXT.Add(0xffff) }

// Algorithm returns the congestion algorithm, nil before the handshake is done.
func (c *Conn) Algorithm() congestion.Algorithm { return c.alg }
