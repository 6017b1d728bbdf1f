package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// tailProbe is the tail loss probe: when the last segments of a flight may be lost, one more
// brings the ACK that shows it, sooner than a time-out.
// https://www.rfc-editor.org/rfc/rfc8985.html#section-7
type tailProbe struct {
	out    bool    // a probe is unanswered
	resent bool    // it repeated the last segment
	endSEQ seq.Num // SND.NXT when it was sent
}

const (
	// probeTimeoutInitial is the probe's time-out before there is an SRTT.
	probeTimeoutInitial = time.Second
	// probeTimeoutMin is for paths so short that scheduling takes longer than a round trip.
	probeTimeoutMin = 2 * time.Millisecond
	// ackDelayMax is what a peer may add when a single segment is in flight.
	ackDelayMax = 200 * time.Millisecond
)

// probeTimeout returns when a probe is due after now, or Never where it does not apply: in
// recovery, with SACKed segments, or while a probe is unanswered.
func (c *Conn) probeTimeout(now mono.Time) mono.Time {
	if !c.byRACK() || c.cfg.NoTLP || c.rec.mode != modeOpen || c.board.sacked > 0 || c.board.len() == 0 || c.tlp.out {
		return mono.Never
	}
	pto := probeTimeoutInitial
	if c.rtt.samples > 0 {
		pto = max(2*c.rtt.srtt, probeTimeoutMin)
		if c.pipe() <= c.flow.MSS {
			pto += ackDelayMax
		}
	}
	return min(now.Add(pto), now.Add(c.rtt.timeout()), c.timers[timerRetransmit])
}

// onProbe sends the probe: new data if there is any and the peer takes it, else the last
// segment again. The retransmission timer runs from now.
func (c *Conn) onProbe(now mono.Time) {
	if c.board.len() == 0 || c.rec.mode != modeOpen {
		return
	}
	c.p.Stats.TCPLossProbes++
	c.tlp = tailProbe{out: true, endSEQ: c.snd.NXT}
	c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	next := c.snd.off + uint64(c.snd.NXT.Sub(c.snd.UNA))
	unsent := !c.snd.fin && c.p.Send.End() > next
	if unsent && c.snd.NXT.Less(c.snd.UNA.Add(c.snd.WND)) {
		c.owe.tailNew = true
		return
	}
	c.tlp.resent = true
	c.owe.tailOld = true
}

// probeAnswered judges an ACK that covers the probe. If the probe repeated a segment and no
// DSACK says that this was in vain, it repaired a loss, which congestion control must hear of.
// https://www.rfc-editor.org/rfc/rfc8985.html#section-7.4.2
func (c *Conn) probeAnswered(now mono.Time, ack seq.Num, duplicate, dsack bool) {
	t := &c.tlp
	if !t.out || ack.Less(t.endSEQ) {
		return
	}
	switch {
	case !t.resent, dsack:
		t.out = false
	case t.endSEQ.Less(ack):
		t.out = false
		if c.rec.mode == modeOpen {
			c.p.Stats.TCPLossProbeRecovery++
			c.rec.recover = c.snd.NXT
			c.congested(now, congestion.CauseLoss, c.flightSize(c.ack.CumAcked))
			c.tellRecovered(now, congestion.CauseLoss)
		}
	case duplicate && c.board.sacked == 0:
		t.out = false
	}
}
