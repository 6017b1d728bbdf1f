package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// inputACK is the fifth step: what does the peer have, and what may be sent? It says whether
// the segment is to be processed further.
func (c *Conn) inputACK(now mono.Time, seg *wire.Segment) bool {
	if c.snd.NXT.Less(seg.ACK) {
		// "If the ACK acks something not yet sent (SEG.ACK > SND.NXT), then send an ACK,
		// drop the segment, and return."
		c.suspect()
		c.challenge(now, &c.p.Stats.TCPAckTooNew)
		return false
	}
	if c.guessed(now, seg) {
		c.p.Stats.TCPGuessedData++
		return false
	}
	if seg.ACK.Less(c.snd.UNA) {
		// Older than any window allows: a guess (RFC 5961, section 5).
		if seg.ACK.Less(c.snd.UNA.Add(-c.oldestACK())) {
			c.suspect()
			c.challenge(now, &c.p.Stats.TCPAckTooOld)
			return false
		}
		c.inputOvertaken(now, seg)
		return true
	}
	if c.noNews(seg) {
		c.updateWindow(now, seg)
		return true
	}
	a := &c.ack
	c.beginAck(now)
	duplicate := c.isDuplicate(seg)
	dsacks := c.count.dsacks
	c.updateWindow(now, seg)
	if c.rcv.sackOK && seg.Opt.Has&wire.HasSACK != 0 {
		a.Acked += c.takeSACK(now, seg)
	}
	if c.snd.UNA.Less(seg.ACK) {
		c.takeAcked(now, seg)
	}
	c.ecnFeedback(now, seg)
	c.flow.Delivered += uint64(a.Acked)
	c.flow.DeliveredCE += uint64(a.CEOctets)
	if a.Acked > 0 {
		c.rec.lossWindow = 0
	}
	a.InRecovery = c.rec.mode == modeFast
	c.judge(now, seg)
	c.recover(now, seg.ACK, duplicate)
	c.ecnReact(now)
	c.probeAnswered(now, seg.ACK, duplicate, c.count.dsacks > dsacks)
	if a.Acked > 0 {
		c.endAck()
	}
	if a.CumAcked > 0 {
		c.timers[timerProbe] = c.probeTimeout(now)
	} else if c.board.sacked > 0 {
		c.timers[timerProbe] = mono.Never
	}
	if a.CumAcked > 0 {
		c.validate(now)
	}
	c.closing(now)
	return true
}

// beginAck starts the account of what an ACK brings.
func (c *Conn) beginAck(now mono.Time) {
	a := &c.ack
	flight := c.pipe()
	*a = congestion.Ack{}
	a.Now, a.PriorFlight, a.CwndLimited = now, flight, c.cwndLimited(flight)
	c.rec.original = 0
	c.p.Scratch.newest = nil
	c.rack.prior = c.rack.fack
}

// endAck tells the algorithm of an ACK that delivered something.
func (c *Conn) endAck() {
	a := &c.ack
	c.flow.Flight = c.pipe()
	c.rate.finish(c.p.Scratch, a, &c.flow)
	c.rtt.minRTT = c.flow.MinRTT
	a.InRecovery = a.InRecovery || c.rec.mode == modeFast
	c.tellAck()
}

// inputOvertaken takes from an ACK that a newer one has overtaken what it alone may report: "each
// octet that is cumulatively ACKed or SACKed should be marked accordingly in the scoreboard data
// structure". It has no room for all blocks, so the newer one need not have repeated them. Whether
// a time-out was spurious is left to ACKs that come in order.
// https://www.rfc-editor.org/rfc/rfc6675.html#section-4
func (c *Conn) inputOvertaken(now mono.Time, seg *wire.Segment) {
	if !c.rcv.sackOK || seg.Opt.Has&wire.HasSACK == 0 || c.board.len() == 0 {
		return
	}
	a := &c.ack
	c.beginAck(now)
	c.rack.prior = c.snd.UNA // out of order are the ACKs: of the segments that tells nothing
	if a.Acked = c.takeSACK(now, seg); a.Acked == 0 {
		return
	}
	c.flow.Delivered += uint64(a.Acked)
	c.rec.lossWindow = 0
	a.InRecovery = c.rec.mode == modeFast
	c.recover(now, seg.ACK, false)
	c.endAck()
	c.timers[timerProbe] = mono.Never
}

// noNews says whether a segment tells a sender nothing but its window, as each does that a
// connection receives which sends nothing itself: all the rest of the fifth step is about what is on
// its way, or was.
func (c *Conn) noNews(seg *wire.Segment) bool {
	nothingOut := seg.ACK == c.snd.UNA && c.board.len() == 0 && !c.tlp.out
	nothingReported := seg.Opt.Has&wire.HasSACK == 0 && c.ecn.kind == ecnNone
	return nothingOut && nothingReported && c.rec.mode == modeOpen && !c.count.finAcked && !c.p.Scratch.long
}

// isDuplicate is the definition of RFC 5681, section 2: data is outstanding, the segment
// carries none, neither SYN nor FIN, and neither the ACK nor the window is news.
func (c *Conn) isDuplicate(seg *wire.Segment) bool {
	return c.board.len() > 0 && seg.LEN() == 0 && seg.ACK == c.snd.UNA &&
		int(seg.WND)<<c.snd.shift == c.snd.WND
}

// updateWindow takes the window of a segment that is not older than the last one it was
// taken from.
func (c *Conn) updateWindow(now mono.Time, seg *wire.Segment) {
	if !(c.snd.WL1.Less(seg.SEQ) || c.snd.WL1 == seg.SEQ && c.snd.WL2.LessEq(seg.ACK)) {
		return
	}
	c.setWindow(int(seg.WND)<<c.snd.shift, seg)
}

func (c *Conn) setWindow(octets int, seg *wire.Segment) {
	if octets > c.snd.WND {
		// There may be room now: Output decides, and arms the timer again if not.
		c.timers[timerPersist] = mono.Never
		c.count.persist = 0
	}
	c.snd.WND = octets
	c.snd.wndMax = max(c.snd.wndMax, int32(octets))
	c.snd.wndHope = max(c.snd.wndHope, int32(octets))
	c.snd.WL1, c.snd.WL2 = seg.SEQ, seg.ACK
}

// takeSACK marks what the peer has out of order and returns the octets that are news.
// Blocks that cannot be true are ignored: the peer may renege on what it says, but it cannot
// have what was not sent. https://www.rfc-editor.org/rfc/rfc2018.html#section-5
func (c *Conn) takeSACK(now mono.Time, seg *wire.Segment) int {
	n := 0
	for i, r := range seg.Opt.SACK[:seg.Opt.NSACK] {
		next := seg.Opt.SACK[1]
		switch {
		case r.Empty() || c.snd.NXT.Less(r.End):
			c.p.Stats.TCPSACKBlocksBad++
		case r.End.LessEq(seg.ACK):
			c.dsacked(now, r) // the octets came twice (RFC 2883)
		case i == 0 && seg.Opt.NSACK > 1 && next.Start.LessEq(r.Start) && r.End.LessEq(next.End):
			c.dsacked(now, r) // likewise, above the ACK: the second block holds the first
		case r.End.LessEq(c.snd.UNA): // acknowledged by the ACK that has overtaken this one
		case r.Start.LessEq(seq.Max(seg.ACK, c.snd.UNA)):
			c.p.Stats.TCPSACKBlocksBad++ // the ACK says that this octet is missing
		default:
			n += c.markSacked(now, r, seg)
		}
	}
	return n
}

func (c *Conn) markSacked(now mono.Time, r seq.Range, seg *wire.Segment) int {
	n := 0
	first := c.board.begins(r.Start)
	i, ok := c.board.unsacked(first, r.End)
	for ok {
		c.noteDelivered(now, c.board.at(i), seg)
		n += c.board.sack(i)
		i, ok = c.board.unsacked(i+1, r.End)
	}
	c.board.join(first, i)
	return n
}

// takeAcked moves SND.UNA up to the segment's ACK.
func (c *Conn) takeAcked(now mono.Time, seg *wire.Segment) {
	a := &c.ack
	a.CumAcked = seg.ACK.Sub(c.snd.UNA)
	var newest mono.Time
	fresh, again := false, false
	for c.board.len() > 0 {
		s := c.board.first()
		if seg.ACK.Less(s.end) {
			a.Acked += c.board.trimFirst(seg.ACK)
			break
		}
		switch {
		case s.mark == 0 && c.outshone(seg.ACK):
			a.Acked += s.len()
		case s.mark&markSacked == 0:
			a.Acked += s.len()
			c.noteDelivered(now, s, seg)
			newest, fresh = s.at, true
			again = again || s.mark&markTwice != 0
		}
		c.board.pop()
	}
	// What came with a segment that was sent again waited for that: it measures as little (Karn).
	a.RTT = c.takeRTT(now, newest, fresh && !again, seg.Opt.TSEcr, c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0)
	c.advanceUNA(now, seg.ACK)
}

// outshone says whether nothing is to be learnt of the oldest segment, sent once, because the next
// one was sent once, too, and later, and is acknowledged with it; and nothing is being recovered,
// nor was anything reported before, for which each segment counts.
func (c *Conn) outshone(ack seq.Num) bool {
	if c.board.len() < 2 || c.board.sacked > 0 || c.rec.mode != modeOpen || c.p.Scratch.long {
		return false
	}
	next := c.board.at(1)
	return next.mark == 0 && next.end.LessEq(ack) && c.rack.prior.LessEq(c.snd.UNA)
}

// advanceUNA gives acknowledged octets back and restarts the clocks that wait for them.
func (c *Conn) advanceUNA(now mono.Time, ack seq.Num) {
	octets := ack.Sub(c.snd.UNA)
	if c.snd.fin && ack == c.snd.NXT {
		octets-- // the FIN
		c.count.finAcked = true
	}
	c.snd.UNA = ack
	c.board.judged = seq.Max(c.board.judged, ack)
	c.passMarks()
	c.snd.off += uint64(octets)
	c.p.Send.Release(c.snd.off)
	c.count.acked += uint64(octets)
	if octets > 0 {
		c.searchAcked(now)
		c.tuneSend()
		c.events |= Writable
	}
	c.life.retries = 0
	if c.board.len() == 0 {
		c.timers[timerRetransmit] = mono.Never
		c.life.stalledAt = mono.Never
		if c.timers[timerShrink] == mono.Never && c.board.bulky() {
			c.timers[timerShrink] = now.Add(shrinkIdle)
		}
	} else {
		// "When an ACK is received that acknowledges new data, restart the retransmission
		// timer" (RFC 6298, 5.3), but in NewReno's recovery the first time only.
		if c.rec.mode != modeFast || c.bySACK() || !c.rec.partial {
			c.timers[timerRetransmit] = now.Add(c.restartedRTO(now))
		}
		c.life.stalledAt = now
	}
	c.armUserTimeout(now)
}

// passMarks lets go of the points in the stream that SND.UNA has passed. One that stayed behind
// would lie ahead again after 2^31 octets.
func (c *Conn) passMarks() {
	c.ecn.recover = seq.Max(c.ecn.recover, c.snd.UNA)
	c.snd.small = seq.Max(c.snd.small, c.snd.UNA)
	if c.rack.inRound && c.rack.round.LessEq(c.snd.UNA) {
		c.rack.inRound = false
	}
}

// pipe is how much is on its way: sent, and neither delivered nor given up (RFC 6675).
func (c *Conn) pipe() int { return c.snd.NXT.Sub(c.snd.UNA) - c.board.sacked - c.board.lost }

// closing goes on with a close whose FIN was acknowledged.
func (c *Conn) closing(now mono.Time) {
	if !c.count.finAcked {
		return
	}
	switch c.state {
	case StateFinWait1:
		c.setState(StateFinWait2)
		c.events |= Writable
		if c.life.closed {
			c.timers[timerClose] = now.Add(c.cfg.FinWait2)
		}
	case StateClosing:
		c.timeWait(now)
	case StateLastAck:
		c.end(None)
	case StateClosed, StateListen, StateSynSent, StateSynReceived, StateEstablished,
		StateFinWait2, StateCloseWait, StateTimeWait:
	}
}

// timeWait begins the wait of 2 MSL in which the last ACK can be repeated.
func (c *Conn) timeWait(now mono.Time) {
	c.p.Stats.TimeWaited++
	c.setState(StateTimeWait)
	c.timers[timerClose] = now.Add(2 * c.cfg.MSL)
	c.events |= Writable
}

// armUserTimeout bounds how long the oldest octet may stay unacknowledged.
func (c *Conn) armUserTimeout(now mono.Time) {
	c.timers[timerUser] = mono.Never
	if d := c.opt.userTimeout; d > 0 && c.life.stalledAt != mono.Never {
		c.timers[timerUser] = max(now, c.life.stalledAt.Add(d))
	}
}
