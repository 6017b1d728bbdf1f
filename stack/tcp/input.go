package tcp

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Input takes a segment that arrived for this connection. Nothing of it is kept. The steps
// are those of RFC 9293, section 3.10.7.4, in their order.
func (c *Conn) Input(now mono.Time, seg *wire.Segment) {
	c.count.segsIn++
	c.p.Stats.InSegs++
	switch c.state {
	case StateClosed, StateListen:
		return
	case StateSynSent:
		c.inputSynSent(now, seg)
		return
	case StateSynReceived, StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait,
		StateClosing, StateLastAck, StateTimeWait:
	}
	at, octets := seg.SEQ, seg.DataLen()
	if !c.checkTimestamp(now, seg) || !c.checkSequence(now, seg) {
		return
	}
	c.heard(now)
	c.ecnReceive(seg, octets)
	if seg.Flags.Has(wire.RST) {
		c.inputRST(seg)
		return
	}
	if !seg.Flags.Has(wire.ACK) {
		return
	}
	if c.state == StateSynReceived && !c.inputSynReceived(now, seg) {
		return
	}
	if !c.inputACK(now, seg) || c.state == StateClosed {
		return
	}
	c.takeTimestamp(now, at, seg)
	c.inputText(now, seg)
}

// Settle has the application see what Input has taken, once for a batch of segments. Output does it
// too.
func (c *Conn) Settle() { c.p.Recv.Settle(c.rcv.off) }

// heard takes note of a sign of life.
func (c *Conn) heard(now mono.Time) {
	c.rcv.heardAt = now
	c.life.probes = 0
	if c.life.keepProbes > 0 {
		c.life.keepProbes = 0
		c.armKeepalive(now)
	}
}

// inputSynSent is RFC 9293, section 3.10.7.3.
func (c *Conn) inputSynSent(now mono.Time, seg *wire.Segment) {
	acks := seg.Flags.Has(wire.ACK)
	if acks && (seg.ACK.LessEq(c.p.ISS) || c.snd.NXT.Less(seg.ACK)) {
		if !seg.Flags.Has(wire.RST) {
			c.refuse(seg.ACK)
			c.askSoon(now)
		}
		return
	}
	if seg.Flags.Has(wire.RST) {
		// "If the ACK was acceptable, then signal to the user 'error: connection reset'".
		if acks {
			c.p.Stats.AttemptFails++
			c.end(Refused)
		}
		return
	}
	if !seg.Flags.Has(wire.SYN) {
		return
	}
	c.peerSYN(now, seg)
	c.rcv.edge = c.rcv.NXT.Add(c.windowOfSYN())
	c.setWindow(int(seg.WND), seg)
	if acks {
		c.ecnGranted(seg)
		c.hearReport(seg)
	} else {
		// Simultaneous open: "enter SYN-RECEIVED, form a SYN,ACK segment and send it".
		c.setState(StateSynReceived)
		c.owe.syn = true
		return
	}
	c.handshakeRTT(now, seg)
	c.snd.UNA = seg.ACK
	c.owe.syn = false
	c.owe.ack = true
	c.timers[timerRetransmit] = mono.Never
	c.rtt.backoff = 0
	c.setState(StateEstablished)
	c.established(now)
	if seg.DataLen() > 0 || seg.Flags.Has(wire.FIN) {
		data := *seg
		data.Flags &^= wire.SYN
		data.SEQ = seg.SEQ.Add(1)
		c.trim(&data)
		c.inputText(now, &data)
	}
}

// refuse owes <SEQ=SEG.ACK><CTL=RST> while the connection goes on.
func (c *Conn) refuse(at seq.Num) {
	c.owe.rst, c.owe.rstBare, c.owe.rstSEQ = true, true, at
}

// checkSequence is the first step, and the fourth: is any of the segment in the window? It cuts
// off what is not. A segment that only acknowledges, into a closed window, passes.
//
// "If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also referred
// to as challenge ACK)": what comes with it is not looked at.
// https://www.rfc-editor.org/rfc/rfc5961.html#section-4.2
func (c *Conn) checkSequence(now mono.Time, seg *wire.Segment) bool {
	c.crossing(seg)
	window := c.rcv.edge.Sub(c.rcv.NXT)
	switch {
	case seg.Flags.Has(wire.RST):
		// Judged by where it begins: data with it is text, and may not move it to RCV.NXT.
		if seg.SEQ == c.rcv.NXT || seg.SEQ.In(c.rcv.NXT, window) {
			return true
		}
		c.p.Stats.TCPOutOfWindow++
		return false
	case seg.Flags.Has(wire.SYN):
	case c.acceptable(seg):
		c.trim(seg)
		return true
	case window == 0 && seg.SEQ == c.rcv.NXT:
		// "If the RCV.WND is zero, no segments will be acceptable, but special allowance
		// should be made to accept valid ACKs". A FIN alone passes too, as with Linux: it needs no
		// room, and a peer that sends it into a closed window would repeat it without end.
		if seg.DataLen() > 0 {
			c.p.Stats.TCPRcvTrimmed++
			seg.CutTo(0)
			seg.Flags &^= wire.FIN
		}
		c.owe.ack = true
		return true
	}
	c.inputUnacceptable(now, seg)
	return false
}

// crossing takes the SYN off a SYN and ACK that ends a simultaneous open: the SYN came before,
// alone, and the table of acceptable segments would have the ACK dropped with it. It repeats
// an octet that we have, and so gets an ACK, as Linux gives it: the peer may still lack ours.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.5 (figure 8, line 7)
func (c *Conn) crossing(seg *wire.Segment) {
	if c.state == StateSynReceived && seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN|wire.ACK &&
		seg.SEQ == c.rcv.IRS && seg.ACK == c.snd.NXT {
		seg.Flags &^= wire.SYN
		seg.SEQ = seg.SEQ.Add(1)
		c.owe.ack = true
	}
}

// inputUnacceptable answers a segment outside of the window, or with SYN: "send an
// acknowledgment".
func (c *Conn) inputUnacceptable(now mono.Time, seg *wire.Segment) {
	switch {
	case c.state == StateSynReceived && seg.Flags&(wire.SYN|wire.ACK) == wire.SYN && seg.SEQ == c.rcv.IRS:
		// The SYN again: our answer to it was lost.
		c.takeTimestamp(now, seg.SEQ, seg)
		c.owe.syn = true
	case c.state == StateTimeWait && seg.Flags&(wire.SYN|wire.FIN) == wire.FIN && seg.SEQ.Add(seg.LEN()) == c.rcv.NXT:
		// "The only thing that can arrive in this state is a retransmission of the remote
		// FIN. Acknowledge it, and restart the 2 MSL timeout."
		c.owe.ack = true
		c.timers[timerClose] = now.Add(2 * c.cfg.MSL)
	case seg.Flags.Has(wire.SYN):
		c.ecnAgain(seg)
		c.challenge(now, &c.p.Stats.TCPSYNChallenge)
	case c.repeats(seg):
		c.p.Stats.TCPRcvDuplicate++
		c.rcv.quick = max(c.rcv.quick, 1)
		c.oweDuplicate(now)
		c.noteDuplicate(seg)
		c.ecnRepeated(seg)
	default:
		// A probe of window or life, or stray: one answer, at a bounded rate.
		c.p.Stats.TCPOutOfWindow++
		if seg.LEN() == 0 {
			c.heard(now)
		}
		c.answer(now, &c.p.Stats.TCPACKSkippedSeq)
	}
}

// repeats says whether all of the segment was received before, so lately that the peer may
// still send it again: it never has more than a window on its way. Each of these is answered,
// for the peer counts the answers.
func (c *Conn) repeats(seg *wire.Segment) bool {
	n := seg.LEN()
	return n > 0 && seg.SEQ.Add(n).LessEq(c.rcv.NXT) &&
		c.rcv.NXT.Sub(seg.SEQ) <= max(c.p.Recv.Limit(), c.p.RecvMax, 0xffff)
}

// acceptable is the table of RFC 9293, section 3.10.7.4.
func (c *Conn) acceptable(seg *wire.Segment) bool {
	n := seg.LEN()
	window := c.rcv.edge.Sub(c.rcv.NXT)
	if n == 0 {
		return seg.SEQ == c.rcv.NXT || seg.SEQ.In(c.rcv.NXT, window)
	}
	if window == 0 {
		return false
	}
	return seg.SEQ.In(c.rcv.NXT, window) || seg.SEQ.Add(n-1).In(c.rcv.NXT, window)
}

// trim cuts what lies outside of the window off both ends.
func (c *Conn) trim(seg *wire.Segment) {
	if before := c.rcv.NXT.Sub(seg.SEQ); before > 0 {
		cut := min(before, seg.DataLen())
		if cut > 0 && c.rcv.sackOK {
			// A part came twice: https://www.rfc-editor.org/rfc/rfc2883.html#section-4.3
			c.rcv.holes.duplicate = seq.Range{Start: seg.SEQ, End: seg.SEQ.Add(cut)}
			c.rcv.holes.hasDuplicate = true
		}
		seg.CutBefore(cut)
		seg.SEQ = seg.SEQ.Add(cut)
	}
	if after := seg.SEQ.Add(seg.LEN()).Sub(c.rcv.edge); after > 0 {
		c.p.Stats.TCPRcvTrimmed++
		if seg.Flags.Has(wire.FIN) {
			seg.Flags &^= wire.FIN
			after--
		}
		seg.CutTo(seg.DataLen() - after)
	}
}

// inputRST is the second step, with the exact match that RFC 5961 asks for.
//
// "If the RST bit is set and the sequence number exactly matches the next expected sequence
// number (RCV.NXT), then TCP endpoints MUST reset the connection ... If it does not exactly
// match but is within the current receive window, TCP endpoints MUST send an
// acknowledgment (challenge ACK)." https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.7.4
func (c *Conn) inputRST(seg *wire.Segment) {
	if seg.SEQ != c.rcv.NXT {
		c.challenge(c.rcv.heardAt, &c.p.Stats.TCPChallengeACK)
		return
	}
	switch c.state {
	case StateTimeWait:
		// "An RST in TIME-WAIT state is ignored" (RFC 1337, section 4, fix F1).
		c.p.Stats.TWRST++
	case StateSynReceived:
		c.p.Stats.AttemptFails++
		c.end(Refused)
	case StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait:
		c.p.Stats.EstabResets++
		c.end(Reset)
	case StateClosing, StateLastAck:
		c.end(None)
	case StateClosed, StateListen, StateSynSent:
	}
}

// inputSynReceived is the fifth step in SYN-RECEIVED: does the segment acknowledge our SYN?
func (c *Conn) inputSynReceived(now mono.Time, seg *wire.Segment) bool {
	if !(c.snd.UNA.Less(seg.ACK) && seg.ACK.LessEq(c.snd.NXT)) {
		c.refuse(seg.ACK)
		return false
	}
	c.handshakeRTT(now, seg)
	c.snd.UNA = c.p.ISS.Add(1)
	c.snd.WL1, c.snd.WL2 = seg.SEQ.Add(-1), seg.ACK
	c.owe.syn = false
	c.ecnFirst(seg)
	c.timers[timerRetransmit] = mono.Never
	c.rtt.backoff = 0
	c.setState(StateEstablished)
	c.established(now)
	return true
}
