package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// recoveryMode is what the sender is recovering from.
type recoveryMode uint8

const (
	modeOpen recoveryMode = iota
	modeFast              // fast recovery: RFC 6675 with SACK, RFC 6582 without
	modeLoss              // after a retransmission time-out
)

// recovery is the episode manager: it asks the algorithm once an episode, and decides what
// may be sent until the episode ends.
type recovery struct {
	mode        recoveryMode
	recover     seq.Num // the episode ends when this is acknowledged: SND.NXT when it began
	dupAcks     int
	dupNXT      seq.Num // SND.NXT at the first duplicate ACK: later is limited transmit
	inflation   int     // NewReno's: what cwnd is above (or below) the algorithm's window
	partial     bool    // a partial ACK was seen
	cwndLimited bool    // when last asked, the window held data back
	episode     congestion.Congestion
}

// cwnd is the window in force: the algorithm's, as inflated by fast recovery.
func (c *Conn) cwnd() int {
	return max(c.flow.Cwnd()+c.rec.inflation, c.flow.MSS)
}

// sendWindow is cwnd and what limited transmit adds: one segment for each of the first two
// duplicate ACKs. https://www.rfc-editor.org/rfc/rfc3042.html#section-2
// With SACK the octets reported leave the pipe, which has the same effect.
func (c *Conn) sendWindow() int {
	w := c.cwnd()
	if c.rec.mode == modeOpen && !c.rcv.sackOK {
		w += min(c.rec.dupAcks, dupThresh-1) * c.flow.MSS
	}
	return w
}

// recover is the loss detector and the episode manager's step for one ACK.
func (c *Conn) recover(now mono.Time, ack seq.Num, duplicate bool) {
	if c.ack.CumAcked > 0 {
		c.recoverAcked(now, ack)
	} else if duplicate {
		c.recoverDuplicate(now)
	}
	if !c.rcv.sackOK || c.board.sacked == 0 {
		return
	}
	lost, first := c.board.detect(c.flow.MSS)
	if lost == 0 {
		return
	}
	c.noteLost(lost)
	// A new episode only if what is lost was sent after the last one began.
	if c.rec.mode != modeFast && c.rec.recover.LessEq(first) {
		c.p.Stats.TCPSACKRecovery++
		c.enterFast(now, c.flightSize())
		c.owe.resend = true
	}
}

// noteLost adds to the news of the ACK at hand.
func (c *Conn) noteLost(octets int) {
	c.ack.NewlyLost += octets
	c.flow.Lost += uint64(octets)
}

// flightSize is FlightSize without what limited transmit added (RFC 5681, section 3.2, step 2).
func (c *Conn) flightSize() int {
	if c.rec.dupAcks > 0 {
		return c.rec.dupNXT.Sub(c.snd.UNA)
	}
	return c.snd.NXT.Sub(c.snd.UNA)
}

// enterFast begins an episode of fast recovery.
func (c *Conn) enterFast(now mono.Time, flight int) {
	c.rec.mode = modeFast
	c.rec.recover = c.snd.NXT
	c.rec.inflation = 0
	c.rec.partial = false
	c.count.fastRetrans++
	c.congested(now, congestion.CauseLoss, flight)
}

// congested tells the algorithm of an episode.
func (c *Conn) congested(now mono.Time, cause congestion.Cause, flight int) {
	c.rec.episode = congestion.Congestion{Now: now, Cause: cause, Flight: flight, Lost: c.board.lost}
	c.flow.Flight = c.pipe()
	c.alg.OnCongestion(&c.flow, &c.rec.episode)
}

// recoverDuplicate is RFC 5681, section 3.2, for a peer without SACK.
func (c *Conn) recoverDuplicate(now mono.Time) {
	c.p.Stats.TCPDupAcks++
	r := &c.rec
	if r.dupAcks == 0 {
		r.dupNXT = c.snd.NXT
	}
	r.dupAcks++
	if c.rcv.sackOK {
		return
	}
	if r.mode == modeFast {
		// "For each additional duplicate ACK received (after the third), cwnd MUST be
		// incremented by SMSS."
		r.inflation += c.flow.MSS
		return
	}
	// "If the cumulative acknowledgment field covers more than recover": else the duplicates
	// may come from what was sent again in vain. RFC 6582, section 3.2, step 2.
	if r.dupAcks != dupThresh || !r.recover.Less(c.snd.UNA) {
		return
	}
	c.p.Stats.TCPRenoRecovery++
	c.noteLost(c.board.first().len())
	c.enterFast(now, c.flightSize())
	r.inflation = dupThresh * c.flow.MSS
	c.owe.resend = true
}

// recoverAcked is an ACK of new data.
func (c *Conn) recoverAcked(now mono.Time, ack seq.Num) {
	r := &c.rec
	r.dupAcks = 0
	switch r.mode {
	case modeOpen:
		// A gap of 2^31 octets must not make an old recovery point look new.
		if r.recover.Add(1 << 30).Less(ack) {
			r.recover = ack.Add(-1)
		}
	case modeLoss:
		if r.recover.LessEq(ack) {
			r.mode = modeOpen
		}
	case modeFast:
		if r.recover.LessEq(ack) {
			c.exitFast()
		} else if !c.rcv.sackOK {
			c.partialACK(now)
		}
	}
}

// exitFast ends fast recovery: "cwnd = min(ssthresh, max(FlightSize, SMSS) + SMSS)", which
// avoids a burst. https://www.rfc-editor.org/rfc/rfc6582.html#section-3.2 (step 3)
func (c *Conn) exitFast() {
	c.rec.mode = modeOpen
	c.rec.inflation = 0
	if !c.rcv.sackOK {
		flight := c.snd.NXT.Sub(c.snd.UNA)
		c.flow.SetCwnd(min(c.flow.Cwnd(), max(flight, c.flow.MSS)+c.flow.MSS))
	}
}

// partialACK retransmits the next hole: "deflate the congestion window by the amount of new
// data acknowledged ... if the partial ACK acknowledges at least one SMSS of new data, then
// add back SMSS bytes to the congestion window." RFC 6582, section 3.2, step 3.
func (c *Conn) partialACK(now mono.Time) {
	c.p.Stats.TCPPartialAcks++
	r := &c.rec
	r.inflation -= c.ack.CumAcked
	if c.ack.CumAcked >= c.flow.MSS {
		r.inflation += c.flow.MSS
	}
	r.inflation = max(r.inflation, c.flow.MSS-c.flow.Cwnd())
	if !r.partial {
		r.partial = true
		c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	}
	c.owe.resend = true
}

// onRTO is the retransmission timer's expiry (RFC 6298, 5.4 to 5.7; RFC 5681, section 3.1).
func (c *Conn) onRTO(now mono.Time) {
	c.p.Stats.TCPTimeouts++
	c.count.timeouts++
	flight := c.pipe()
	lost := c.board.allLost()
	c.flow.Lost += uint64(lost)
	c.rec.inflation = 0
	c.rec.dupAcks = 0
	// "When a TCP sender detects segment loss using the retransmission timer and the given
	// segment has already been retransmitted by way of the retransmission timer at least
	// once, the value of ssthresh is held constant."
	if c.life.retries == 1 {
		c.congested(now, congestion.CauseRTO, flight)
	}
	c.flow.SetCwnd(c.flow.MSS)
	c.rec.mode = modeLoss
	c.rec.recover = c.snd.NXT
	c.board.judged = c.snd.NXT
	c.rtt.backoff++
	c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
}
