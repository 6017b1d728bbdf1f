package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// rack is RACK's state: a segment is lost if one that was sent sufficiently later has been
// delivered. https://www.rfc-editor.org/rfc/rfc8985.html#section-5
type rack struct {
	xmitAt mono.Time // when the latest-sent of the delivered segments was sent (RACK.xmit_ts)
	rtt    time.Duration
	endSEQ seq.Num // where that segment ended (RACK.end_seq)
	fack   seq.Num // the highest octet delivered
	prior  seq.Num // what fack was before the present ACK

	round      seq.Num
	inRound    bool // a DSACK was counted; the next counts when round is acknowledged
	reordering bool
	mult       int32 // how many quarters of the minimum RTT the reordering window is
	persist    int32 // recoveries until mult is taken back
}

// reoPersist is how many recoveries a widened reordering window lasts (RFC 8985, section 6.2,
// step 4).
const reoPersist = 16

// sentAfter says whether a segment sent at t1 that ends at e1 was sent after another.
func sentAfter(t1 mono.Time, e1 seq.Num, t2 mono.Time, e2 seq.Num) bool {
	return t1 > t2 || t1 == t2 && e2.Less(e1)
}

// delivered is steps 2 and 3 for one segment that an ACK newly reports.
func (r *rack) delivered(s *sent, now mono.Time, minRTT time.Duration, echo, sentTS uint32, hasEcho bool) {
	again := s.mark&markTwice != 0
	original := !again || hasEcho && int32(echo-sentTS) < 0
	// Overtaken is what an earlier ACK skipped: the order within one ACK says nothing.
	if r.fack.Less(s.end) {
		r.fack = s.end
	}
	// The RFC looks only at segments that were never sent again. But an original that came after
	// it was given up was overtaken by more than one that came before.
	if original && s.end.Less(r.prior) {
		r.reordering = true
	}
	// Which transmission is reported? Not the last one, if the echo is older than it, or the
	// answer came sooner than any answer can.
	rtt := now.Sub(s.at)
	if again && (original || rtt < minRTT) {
		return
	}
	r.rtt = rtt
	if sentAfter(s.at, s.end, r.xmitAt, r.endSEQ) {
		r.xmitAt, r.endSEQ = s.at, s.end
	}
}

// dsack widens the reordering window: what was sent again was not lost (step 4). Once a round.
func (r *rack) dsack(una, nxt seq.Num) {
	if r.inRound && una.Less(r.round) {
		return
	}
	r.inRound, r.round = true, nxt
	r.mult++
	r.persist = reoPersist
}

// recovered takes note that a recovery has ended.
func (r *rack) recovered() {
	r.persist--
	if r.persist <= 0 {
		r.mult = 1
	}
}

// reoWindow is how long a segment may be overtaken before it is taken for lost.
func (c *Conn) reoWindow() time.Duration {
	r := &c.rack
	if !r.reordering && (c.rec.mode != modeOpen || c.board.sackedSegs >= dupThresh) {
		return 0
	}
	return min(time.Duration(r.mult)*c.rtt.minRTT/4, c.rtt.srtt)
}

// noteDelivered is called for each segment that the ACK seg newly reports.
func (c *Conn) noteDelivered(now mono.Time, s *sent, seg *wire.Segment) {
	c.rate.onDelivered(c.p.Scratch, s, now)
	if s.mark&markTwice == 0 && s.end.LessEq(c.rec.recover) {
		c.rec.original += s.len()
	}
	// What is reported by SACK alone lies beyond a hole, and the echo is of what came before that
	// (RFC 7323, section 4.3): it says nothing of s.
	hasEcho := c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && s.end.LessEq(seg.ACK)
	c.rack.delivered(s, now, c.rtt.minRTT, seg.Opt.TSEcr, c.timestampClock(s.at), hasEcho)
}

// rackDetect is step 5: it gives up what was sent long enough before something delivered,
// and arms the timer for what may follow. It returns the octets newly given up and the
// first of them that was never sent again, or the first at all.
func (c *Conn) rackDetect(now mono.Time) (lost int, first seq.Num) {
	r := &c.rack
	window := r.rtt + c.reoWindow()
	wait := time.Duration(0)
	for i := 0; i < c.board.len(); i++ {
		s := c.board.at(i)
		if s.mark&markSacked != 0 {
			i += int(s.run)
			continue
		}
		if s.mark&(markLost|markResent) == markLost {
			continue
		}
		if !sentAfter(r.xmitAt, r.endSEQ, s.at, s.end) {
			if s.mark&markTwice == 0 {
				break // what follows was sent later still
			}
			continue
		}
		if left := s.at.Add(window).Sub(now); left > 0 {
			wait = max(wait, left)
			continue
		}
		again := s.mark&markResent != 0
		n := c.board.markLost(i)
		if again {
			c.p.Stats.TCPLostRetransmit++
		}
		if lost == 0 {
			first = s.start
		}
		lost += n
	}
	c.timers[timerReorder] = mono.Never
	if wait > 0 {
		c.timers[timerReorder] = now.Add(wait)
	}
	return lost, first
}

// onReorder is the reordering timer's expiry: nothing has cleared what was overtaken.
func (c *Conn) onReorder(now mono.Time) {
	if lost, first := c.rackDetect(now); lost > 0 {
		c.ack.Acked, c.ack.CumAcked, c.ack.NewlyLost = 0, 0, 0 // no ACK has shown it
		c.foundLost(now, lost, first)
		if c.rec.mode == modeFast {
			c.govern(0)
		}
	}
}

// rackOnRTO gives up the oldest segment, and what was sent so long ago that it should have
// been reported. https://www.rfc-editor.org/rfc/rfc8985.html#section-6.3
func (c *Conn) rackOnRTO(now mono.Time) int {
	window := c.rack.rtt + c.reoWindow()
	lost := 0
	for i := range c.board.len() {
		if s := c.board.at(i); i == 0 || s.at.Add(window) <= now {
			lost += c.board.markLost(i)
		}
	}
	return lost
}
