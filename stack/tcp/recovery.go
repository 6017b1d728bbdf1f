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
	modeFast              // fast recovery: by SACK, or RFC 6582 without
	modeLoss              // after a retransmission time-out
)

// recovery is the episode manager: it asks the algorithm once an episode, and decides what
// may be sent until the episode ends.
type recovery struct {
	mode        recoveryMode
	limit       congestion.Limit // what held data back when last asked
	cwndLimited bool             // when last asked, the window did
	partial     bool             // a partial ACK was seen
	frto        bool             // after a time-out whose cause is still open (RFC 5682)
	holdResent  bool             // send new data, not what was given up: F-RTO's test
	recover     seq.Num          // the episode ends when this is acknowledged: SND.NXT when it began
	dupNXT      seq.Num          // SND.NXT at the first duplicate ACK: later is limited transmit
	dupAcks     int
	inflation   int // NewReno's: what cwnd is above (or below) the algorithm's window
	// inflationMax is how far duplicate ACKs inflate it: what was on its way when it began.
	inflationMax int
	original     int // octets of the episode that this ACK delivered and were sent once
	lossWindow   int // after a time-out, until something is delivered, cwnd is at most this; 0: no bound
	episode      congestion.Congestion
}

// bySACK says whether recovery goes by what the peer reports, byRACK whether by time as well.
func (c *Conn) bySACK() bool { return c.rcv.sackOK && c.cfg.Detector != DetectDupACK }
func (c *Conn) byRACK() bool { return c.rcv.sackOK && c.cfg.Detector == DetectRACK }

// cwnd is the window in force: the algorithm's, or the governor's during fast recovery.
func (c *Conn) cwnd() int {
	if c.governed() {
		return max(c.prr.window, c.flow.MSS)
	}
	if c.rec.lossWindow > 0 {
		return min(c.flow.Cwnd(), c.rec.lossWindow)
	}
	return max(c.flow.Cwnd()+c.rec.inflation, c.flow.MSS)
}

// governed says whether PRR decides what is sent.
func (c *Conn) governed() bool {
	return c.rec.mode == modeFast && c.bySACK() && c.cfg.Governor == GovernPRR && !c.ownsRecovery()
}

// sendWindow is cwnd and what limited transmit adds: one segment for each of the first two
// duplicate ACKs. https://www.rfc-editor.org/rfc/rfc3042.html#section-2
// With SACK the octets reported leave the pipe, which has the same effect.
func (c *Conn) sendWindow() int {
	w := c.cwnd()
	if c.rec.mode == modeOpen && !c.bySACK() {
		w += min(c.rec.dupAcks, dupThresh-1) * c.flow.MSS
	}
	return w
}

// recover is the loss detector's and the episode manager's step for one ACK.
func (c *Conn) recover(now mono.Time, ack seq.Num, duplicate bool) {
	if c.ack.CumAcked > 0 {
		c.recoverAcked(now, ack)
	} else if duplicate {
		c.recoverDuplicate(now)
	}
	if !c.bySACK() {
		return
	}
	var lost int
	var first seq.Num
	switch c.cfg.Detector {
	case DetectRACK:
		lost, first = c.rackDetect(now)
	case DetectSACK:
		lost, first = c.board.detect(c.flow.MSS)
	case DetectDupACK:
	}
	if lost > 0 {
		c.foundLost(now, lost, first)
	}
	if c.rec.mode == modeFast {
		c.govern(c.ack.Acked)
	}
}

// foundLost takes what the detector gave up, of which first is the first octet. It begins an
// episode only if that was sent after the last one began.
func (c *Conn) foundLost(now mono.Time, lost int, first seq.Num) {
	c.ack.NewlyLost += lost
	c.countLost(now, lost, false)
	probe := c.searchLost(now, lost, first)
	if probe || c.rec.mode == modeFast || first.Less(c.rec.recover) {
		return
	}
	c.p.Stats.TCPSACKRecovery++
	c.prr.start(c.snd.NXT.Sub(c.snd.UNA), c.board.sacked, c.ack.Acked)
	c.enterFast(now, c.flightSize(0))
	c.owe.resend = c.cfg.Governor == GovernPipe || c.ownsRecovery()
}

// flightSize is FlightSize without what limited transmit added (RFC 5681, section 3.2, step 2).
// ACKs come in batches: those before this one in its batch took from the flight what there
// was no turn to send anew. If the window was full at the last turn, it is what was in flight.
// acked is what the present ACK took that is to count as in flight.
func (c *Conn) flightSize(acked int) int {
	flight := c.snd.NXT.Sub(c.snd.UNA)
	if c.rec.dupAcks > 0 {
		flight = c.rec.dupNXT.Sub(c.snd.UNA)
	}
	flight += acked
	if c.rec.cwndLimited && c.rec.limit != congestion.LimitPacing {
		flight = max(flight, c.flow.Cwnd()/c.flow.MSS*c.flow.MSS)
	}
	return flight
}

// enterFast begins an episode of fast recovery.
func (c *Conn) enterFast(now mono.Time, flight int) {
	c.remember()
	c.carryOver()
	c.rec.mode = modeFast
	c.rec.recover = c.snd.NXT
	c.rec.inflation = 0
	c.rec.partial = false
	c.count.fastRetrans++
	c.congested(now, congestion.CauseLoss, flight)
}

// congested tells the algorithm of an episode.
func (c *Conn) congested(now mono.Time, cause congestion.Cause, flight int) {
	e := &c.rec.episode
	*e = congestion.Congestion{Now: now, Cause: cause, Flight: flight, Lost: c.board.lost}
	if cause == congestion.CauseLoss || cause == congestion.CauseECN {
		e.Acked = c.ack.Acked
	}
	c.flow.Flight = c.pipe()
	c.ecn.reduced = true
	c.tellCongestion()
}

// recoverDuplicate is RFC 5681, section 3.2, for a peer without SACK.
func (c *Conn) recoverDuplicate(now mono.Time) {
	c.p.Stats.TCPDupAcks++
	r := &c.rec
	if r.dupAcks == 0 {
		r.dupNXT = c.snd.NXT
	}
	r.dupAcks++
	if c.bySACK() {
		return
	}
	if r.mode == modeFast {
		// "For each additional duplicate ACK received (after the third), cwnd MUST be
		// incremented by SMSS." But not beyond what was on its way, "a TCP MAY limit the number
		// of times", or a peer could have a burst of any size.
		r.inflation = min(r.inflation+c.flow.MSS, r.inflationMax)
		return
	}
	// "If the cumulative acknowledgment field covers more than recover": else the duplicates
	// may come from what was sent again in vain. RFC 6582, section 3.2, step 2.
	if r.dupAcks != dupThresh || !r.recover.Less(c.snd.UNA) {
		return
	}
	c.p.Stats.TCPRenoRecovery++
	if c.path.out && c.path.probe.Start == c.board.first().start {
		c.searchFailed(now)
	}
	c.ack.NewlyLost += c.board.first().len()
	c.tellLost(now, c.board.first(), false)
	c.enterFast(now, c.flightSize(0))
	r.inflation = dupThresh * c.flow.MSS
	r.inflationMax = max(r.inflation, c.snd.NXT.Sub(c.snd.UNA))
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
			c.exitRecovery()
			c.tellRecovered(now, congestion.CauseRTO)
		}
	case modeFast:
		if r.recover.LessEq(ack) {
			c.exitFast()
			c.tellRecovered(now, congestion.CauseLoss)
		} else if !c.bySACK() {
			c.partialACK(now)
		}
	}
}

// exitRecovery ends an episode in good order.
func (c *Conn) exitRecovery() {
	c.rec.mode = modeOpen
	c.rec.frto, c.rec.holdResent = false, false
	c.rack.recovered()
}

// exitFast ends fast recovery: "cwnd = min(ssthresh, max(FlightSize, SMSS) + SMSS)", which
// avoids a burst. https://www.rfc-editor.org/rfc/rfc6582.html#section-3.2 (step 3)
// With SACK the pipe is known all the time, and cwnd is ssthresh.
func (c *Conn) exitFast() {
	c.exitRecovery()
	c.rec.inflation = 0
	if !c.bySACK() && !c.ownsRecovery() {
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
	if c.path.out {
		c.searchFailed(now)
	}
	c.blackHole(now)
	c.count.timeouts++
	flight := c.pipe()
	fresh := c.rec.mode == modeOpen || c.rec.recover.LessEq(c.snd.UNA)
	if c.life.retries == 1 {
		c.remember()
		c.undo.timeout = true
	}
	var lost int
	if c.byRACK() && c.life.retries == 1 && c.board.first().mark&markSacked == 0 {
		lost = c.rackOnRTO(now)
	} else {
		lost = c.board.allLost()
	}
	c.countLost(now, lost, true)
	c.rec.inflation = 0
	c.rec.dupAcks = 0
	c.tlp.out = false
	c.owe.tailNew, c.owe.tailOld = false, false
	// "When a TCP sender detects segment loss using the retransmission timer and the given
	// segment has already been retransmitted by way of the retransmission timer at least
	// once, the value of ssthresh is held constant."
	if c.life.retries == 1 {
		c.congested(now, congestion.CauseRTO, flight)
	}
	c.collapse()
	c.rec.mode = modeLoss
	c.rec.recover = c.snd.NXT
	c.rec.frto = fresh && c.bySACK() && !c.cfg.NoFRTO
	c.rec.holdResent = false
	c.board.judged = c.snd.NXT
	c.rtt.backoff++
	c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	c.timers[timerReorder], c.timers[timerProbe] = mono.Never, mono.Never
}

// collapse is the loss window, one segment. An algorithm that owns recovery counts it from
// what RACK leaves in flight. Whatever it sets later, the bound stays until something is
// delivered: no algorithm can take the back-off away.
func (c *Conn) collapse() {
	if c.plug != nil && c.plug.shadow != nil {
		c.plug.shadow.collapse(c.pipe())
	}
	c.rec.lossWindow = c.flow.MSS
	if c.ownsRecovery() {
		c.rec.lossWindow += c.pipe()
		c.flow.SetCwnd(min(c.flow.Cwnd(), c.rec.lossWindow))
		return
	}
	c.flow.SetCwnd(c.flow.MSS)
}
