package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// timer is a slot of Conn.timers. A slot that is not armed holds mono.Never.
type timer uint8

const (
	timerRetransmit timer = iota // SYN, and what is on the scoreboard
	timerDelayedACK
	timerReorder // RACK's: what was overtaken is lost by now
	timerProbe   // the tail loss probe's
	timerPersist // the window is closed, or too small to be worth a segment
	timerKeepalive
	timerUser   // RFC 9293's user timeout
	timerClose  // FIN-WAIT-2 without an application, and TIME-WAIT
	timerPace   // the pacer holds data back
	timerShrink // the memory that a busy scoreboard needed is given back when idle
	timerCount
)

// Tick does what is due at now. Early, or for nothing, it does nothing.
func (c *Conn) Tick(now mono.Time) {
	// A probe that is due with the time-out goes first, and puts it off.
	if c.due(timerProbe, now) {
		c.onProbe(now)
	}
	if c.due(timerRetransmit, now) {
		c.onRetransmit(now)
	}
	if c.due(timerReorder, now) {
		c.onReorder(now)
	}
	if c.due(timerDelayedACK, now) {
		c.p.Stats.DelayedACKs++
		c.owe.ack = true
	}
	if c.due(timerPersist, now) {
		c.onPersist(now)
	}
	if c.due(timerKeepalive, now) {
		c.onKeepalive(now)
	}
	if c.due(timerUser, now) {
		// "Flush all queues, signal the user, delete the TCB": nothing is sent, for who did
		// not hear the data would not hear an RST (RFC 9293, section 3.10.8).
		c.p.Stats.TCPAbortOnTimeout++
		if !c.state.Synchronized() {
			c.p.Stats.AttemptFails++
		}
		c.end(TimedOut)
	}
	if c.due(timerClose, now) {
		c.end(None)
	}
	c.due(timerPace, now) // Output looks
	if c.due(timerShrink, now) {
		c.onShrink(now)
	}
}

// shrinkIdle is how long a connection is idle before it gives up memory that it would need
// again at once if it were not.
const shrinkIdle = time.Second

func (c *Conn) onShrink(now mono.Time) {
	if idle := c.snd.sentAt.Add(shrinkIdle); now < idle {
		c.timers[timerShrink] = idle
		return
	}
	c.board.shrink()
}

// due says whether t has expired, and disarms it if so.
func (c *Conn) due(t timer, now mono.Time) bool {
	if now < c.timers[t] || c.timers[t] == mono.Never {
		return false
	}
	c.timers[t] = mono.Never
	return true
}

// giveUp ends a connection whose peer does not answer.
func (c *Conn) giveUp() {
	c.p.Stats.TCPAbortOnTimeout++
	c.abort(TimedOut)
}

func (c *Conn) onRetransmit(now mono.Time) {
	c.life.retries++
	switch c.state {
	case StateSynSent, StateSynReceived:
		c.resendSYN(now)
		return
	case StateClosed, StateListen, StateEstablished, StateFinWait1, StateFinWait2,
		StateCloseWait, StateClosing, StateLastAck, StateTimeWait:
	}
	if c.life.retries > c.cfg.Retries && !c.takenBack() {
		// The peer is gone: it would not hear an RST.
		c.p.Stats.TCPAbortOnTimeout++
		c.end(TimedOut)
		return
	}
	if c.board.len() > 0 {
		c.onRTO(now)
	}
}

// takenBack says whether the peer has closed its window on what was on its way, and answers what is
// sent again: it probes the window then. "As long as the receiving TCP peer continues to send
// acknowledgments ... the sending TCP peer MUST allow the connection to stay open", unless nobody
// can end it any more. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6
func (c *Conn) takenBack() bool {
	return c.snd.WND == 0 && c.rcv.heardAt >= c.snd.sentAt && !c.life.closed
}

// askSoon has the SYN repeated soon, once, after an RST to a peer whose ACK is of something else: an
// old connection, which the RST has ended by then, so that the peer takes the SYN. The RFC leaves it
// to the retransmission timer, a second later; Linux does not wait for that either.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.5.1
func (c *Conn) askSoon(now mono.Time) {
	if c.life.retries == 0 && !c.life.askedSoon {
		c.life.askedSoon, c.life.askSoon = true, true
		c.timers[timerRetransmit] = min(c.timers[timerRetransmit], now.Add(askSoonAfter))
	}
}

// askSoonAfter is what an RST is ahead of the SYN that follows it.
const askSoonAfter = 2 * time.Millisecond

// resendSYN repeats the SYN, or SYN and ACK, with back-off, and gives up in the end: see
// Config.SYNRetries. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.3
func (c *Conn) resendSYN(now mono.Time) {
	if c.life.askSoon {
		// Nothing was lost. Which of the two SYNs is answered is not known: the round trip is not
		// measured.
		c.life.askSoon = false
		c.life.retries--
		c.count.unmeasured = true
		c.owe.syn = true
		return
	}
	limit := c.cfg.SYNRetries
	if c.state == StateSynReceived {
		limit = c.cfg.SYNACKRetries
	}
	if c.life.retries > limit {
		c.p.Stats.AttemptFails++
		c.end(TimedOut)
		return
	}
	c.p.Stats.TCPSynRetrans++
	c.count.synResent++
	c.rtt.backoff++
	c.owe.syn = true
}

// armPersist arms the timer that keeps a blocked sender asking, with back-off.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.1
func (c *Conn) armPersist(now mono.Time) {
	if c.timers[timerPersist] != mono.Never {
		return
	}
	c.timers[timerPersist] = now.Add(backedOff(c.rtt.rto, c.count.persist, c.cfg.RTOMax))
	// While the window has room nothing was sent yet that could be unacknowledged.
	if c.life.stalledAt == mono.Never && c.snd.WND == 0 {
		c.life.stalledAt = now
		c.armUserTimeout(now)
	}
}

// onPersist probes a closed window, or overrides the avoidance of small segments.
func (c *Conn) onPersist(now mono.Time) {
	if c.board.len() > 0 {
		return // what is on its way will be answered
	}
	if c.orphanStuck(now) {
		c.giveUp()
		return
	}
	if c.snd.WND > 0 {
		c.owe.override = true
		return
	}
	// "As long as the receiving TCP peer continues to send acknowledgments in response to
	// the probe segments, the sending TCP peer MUST allow the connection to stay open."
	if c.life.probes > c.cfg.Retries {
		c.giveUp()
		return
	}
	c.life.probes++
	c.count.persist++
	c.p.Stats.TCPWinProbe++
	c.owe.probe = true
	c.armPersist(now)
}

// armKeepalive arms or disarms the keepalive timer after a change or a sign of life.
func (c *Conn) armKeepalive(now mono.Time) {
	c.timers[timerKeepalive] = mono.Never
	if c.opt.keepAlive && c.state.Synchronized() && c.state != StateTimeWait {
		c.timers[timerKeepalive] = max(now, c.rcv.heardAt.Add(c.opt.keepIdle))
	}
}

// onKeepalive probes an idle peer, and gives up when the probes stay unanswered. "Keep-alive
// packets MUST only be sent when no sent data is outstanding, and no data or acknowledgment
// packets have been received for the connection within an interval."
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.4
func (c *Conn) onKeepalive(now mono.Time) {
	if !c.opt.keepAlive {
		return
	}
	if c.life.keepProbes == 0 {
		if idle := c.rcv.heardAt.Add(c.opt.keepIdle); now < idle {
			c.timers[timerKeepalive] = idle
			return
		}
	}
	if c.board.len() > 0 || c.timers[timerPersist] != mono.Never {
		c.timers[timerKeepalive] = now.Add(c.opt.keepIdle)
		return
	}
	if c.life.keepProbes >= c.opt.keepCount {
		c.giveUp()
		return
	}
	c.life.keepProbes++
	c.p.Stats.TCPKeepAlive++
	c.owe.probe = true
	c.timers[timerKeepalive] = now.Add(c.opt.keepEvery)
}
