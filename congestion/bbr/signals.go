package bbr

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// latest is what the last round delivered, and whether it lost anything (section 5.5.10.3).
type latest struct {
	bw             int64
	inflight       int
	lossInRound    bool
	roundDelivered uint64 // Delivered at which the round of losses ends
	roundStart     bool   // the ACK at hand begins one
}

func (b *BBR) updateLatestDeliverySignals(f *congestion.Flow, a *congestion.Ack) {
	l := &b.latest
	l.roundStart = false
	l.bw = max(l.bw, a.Rate.OctetsPerSec)
	l.inflight = max(l.inflight, a.Rate.Delivered)
	if a.Rate.TxInFlight > 0 && a.Rate.PriorDelivered >= l.roundDelivered {
		l.roundDelivered = f.Delivered
		l.roundStart = true
	}
}

func (b *BBR) advanceLatestDeliverySignals(a *congestion.Ack) {
	if b.latest.roundStart {
		b.latest.bw, b.latest.inflight = a.Rate.OctetsPerSec, a.Rate.Delivered
	}
}

func (b *BBR) resetCongestionSignals() {
	b.latest.lossInRound, b.latest.bw, b.latest.inflight = false, 0, 0
}

func (b *BBR) updateCongestionSignals(f *congestion.Flow, a *congestion.Ack) {
	b.rounds.update(f, a)
	b.bw.update(a.Rate.OctetsPerSec, a.Rate.AppLimited)
	if !b.latest.roundStart {
		return
	}
	b.adaptLowerBoundsFromCongestion(f)
	b.latest.lossInRound = false
}

// adaptLowerBoundsFromCongestion slows down to what was delivered in a round with loss, but
// not while the flow accelerates: then what is lost tells how much is too much.
func (b *BBR) adaptLowerBoundsFromCongestion(f *congestion.Flow) {
	if b.state.accelerates() || !b.latest.lossInRound {
		return
	}
	if b.bw.shortterm == infinity {
		b.bw.shortterm = b.bw.max()
	}
	if b.inflight.shortterm == infinity {
		b.inflight.shortterm = f.Cwnd()
	}
	b.bw.shortterm = max(b.latest.bw, int64(percent(int(b.bw.shortterm), beta)))
	b.inflight.shortterm = max(b.latest.inflight, percent(b.inflight.shortterm, beta))
}

func (b *BBR) resetShortTermModel() { b.bw.shortterm, b.inflight.shortterm = infinity, infinity }

// noteLoss takes note of the first loss of a round.
func (b *BBR) noteLoss(f *congestion.Flow) {
	if !b.latest.lossInRound {
		b.latest.roundDelivered = f.Delivered
	}
	b.latest.lossInRound = true
}

// OnLost is HandleLostPacket of section 5.5.10.2.
func (b *BBR) OnLost(f *congestion.Flow, l *congestion.Lost) {
	b.saveStateUponLoss(f)
	b.noteLoss(f)
	b.episode.noteRange(l)
	if !b.probe.sampled || l.TxInFlight == 0 {
		return
	}
	lost := int(f.Lost - l.Lost)
	if b.tooHigh(f, lost, l.TxInFlight) {
		b.handleInflightTooHigh(f, l.Now, inflightAtLoss(l, lost), l.AppLimited)
	}
}

// tooHigh is IsInflightTooHigh: more than lossThresh of what was in flight is lost, or
// anything where only one loss a round can be seen.
func (b *BBR) tooHigh(f *congestion.Flow, lost, inFlight int) bool {
	return lost*100 > inFlight*lossThresh || lost > 0 && !f.SACK
}

// handleInflightTooHigh lowers what the flow puts in flight in the long term, once a probe.
func (b *BBR) handleInflightTooHigh(f *congestion.Flow, now mono.Time, inFlight int, appLimited bool) {
	b.probe.prevTooHigh = true
	b.probe.sampled = false
	if !appLimited {
		b.inflight.longterm = max(inFlight, percent(b.targetInflight(f), beta))
	}
	if b.state == ProbeBWUp {
		b.episode.undo = undoProbeBWUp
		b.startProbeBWDown(f, now)
	}
}

// inflightAtLoss is how much was in flight when losses went beyond lossThresh, which may have
// been in the middle of a segment that is a burst. A budget that was overdrawn before the
// segment counts as none left.
func inflightAtLoss(l *congestion.Lost, lost int) int {
	inflightPrev := l.TxInFlight - l.Octets
	lostPrev := lost - l.Octets
	lostPrefix := (lossThresh*inflightPrev - 100*lostPrev) / (100 - lossThresh)
	return inflightPrev + max(0, lostPrefix)
}
