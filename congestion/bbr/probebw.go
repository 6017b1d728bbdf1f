package bbr

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// ackPhase says what ACKs tell of a probe for bandwidth.
type ackPhase uint8

const (
	acksInit          ackPhase = iota // nothing
	acksRefilling                     // that the pipe is being filled
	acksProbeStarting                 // nothing yet: what they acknowledge was sent before
	acksProbeFeedback                 // what comes of it
	acksProbeStopping                 // what came of it, though it is over
)

// probe is the cycle of ProbeBW (section 5.3.3).
type probe struct {
	phase       ackPhase
	sampled     bool // ACKs are of a probe that has not been found too high: is_bw_probe_sample
	upAcked     int
	ackedPerInc int // infinity: inflight_longterm does not grow
	upRounds    int
	wait        time.Duration
	cycleStamp  mono.Time
	// prevTooHigh says that the last probe lost too much, prevPrecautionary that the last
	// was ended before it could.
	prevTooHigh, prevPrecautionary bool
}

func (b *BBR) startProbeBWDown(f *congestion.Flow, now mono.Time) {
	b.resetCongestionSignals()
	b.probe.ackedPerInc = infinity
	b.pickProbeWait()
	b.probe.cycleStamp = now
	b.probe.phase = acksProbeStopping
	b.rounds.begin(f)
	b.enter(ProbeBWDown)
}

func (b *BBR) startProbeBWRefill(f *congestion.Flow) {
	b.resetShortTermModel()
	b.probe.upRounds, b.probe.upAcked = 0, 0
	b.probe.prevPrecautionary = false
	b.probe.phase = acksRefilling
	b.rounds.begin(f)
	b.enter(ProbeBWRefill)
}

func (b *BBR) startProbeBWUp(f *congestion.Flow, a *congestion.Ack) {
	b.probe.phase = acksProbeStarting
	b.rounds.begin(f)
	b.fullBW.reset(a.Rate.OctetsPerSec)
	b.enter(ProbeBWUp)
	b.raiseInflightLongtermSlope(f)
}

// updateProbeBWCyclePhase advances the cycle.
func (b *BBR) updateProbeBWCyclePhase(f *congestion.Flow, a *congestion.Ack) {
	if !b.fullBW.reached || b.adaptLongTermModel(f, a) {
		return
	}
	switch b.state {
	case ProbeBWDown:
		if !b.timeToProbeBW(f, a.Now) && b.timeToCruise(f) {
			b.enter(ProbeBWCruise)
		}
	case ProbeBWCruise:
		b.timeToProbeBW(f, a.Now)
	case ProbeBWRefill:
		if b.rounds.start {
			b.probe.sampled = true
			b.startProbeBWUp(f, a)
		}
	case ProbeBWUp:
		if b.timeToGoDown(f, a) {
			b.probe.prevTooHigh = false // no high loss yet
			b.startProbeBWDown(f, a.Now)
		}
	case Startup, Drain, ProbeRTT:
	}
}

// timeToProbeBW goes on to Refill when the wait is over, or as many rounds have passed as
// Reno would need to win back its window. Section 5.3.3.8.
func (b *BBR) timeToProbeBW(f *congestion.Flow, now mono.Time) bool {
	if now <= b.probe.cycleStamp.Add(b.probe.wait) && !b.renoCoexistenceProbeTime(f) {
		return false
	}
	b.startProbeBWRefill(f)
	return true
}

func (b *BBR) renoCoexistenceProbeTime(f *congestion.Flow) bool {
	return b.rounds.sinceProbeUp >= min(b.targetInflight(f)/f.MSS, renoRoundsMax)
}

// targetInflight is how much the flow wants in flight: the BDP, unless the window was cut.
func (b *BBR) targetInflight(f *congestion.Flow) int { return min(b.bdp(b.bw.bounded), f.Cwnd()) }

// pickProbeWait draws how long to wait until the next probe, so that flows do not probe at once.
func (b *BBR) pickProbeWait() {
	r := b.draw()
	b.rounds.sinceProbeUp = int(r & 1)
	b.probe.wait = probeWaitMin + time.Duration((r>>1)%uint64(probeWaitSpread))
}

// draw returns the next number of the connection's own row (splitmix64).
func (b *BBR) draw() uint64 {
	b.rand += 0x9e3779b97f4a7c15
	z := b.rand
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// timeToCruise says that Down has left room for others, and no queue.
func (b *BBR) timeToCruise(f *congestion.Flow) bool {
	return f.Flight <= b.inflightWithHeadroom(f) && f.Flight <= b.inflightFor(f, b.bw.max(), 100)
}

// timeToGoDown ends Up: as soon as what was too high before is reached again, or when the
// pipe is found full. While inflight_longterm is what holds the flow back, it cannot be.
func (b *BBR) timeToGoDown(f *congestion.Flow, a *congestion.Ack) bool {
	if b.probe.prevTooHigh && f.Flight >= b.inflight.longterm {
		b.probe.prevPrecautionary = true
		return true
	}
	if a.CwndLimited && f.Cwnd() >= b.inflight.longterm {
		b.fullBW.reset(a.Rate.OctetsPerSec)
		return false
	}
	return b.fullBW.now
}

// inflightWithHeadroom leaves a part of what is known to fit to others.
func (b *BBR) inflightWithHeadroom(f *congestion.Flow) int {
	if b.inflight.longterm == infinity {
		return infinity
	}
	room := max(f.MSS, percent(b.inflight.longterm, headroom))
	return max(b.inflight.longterm-room, minPipeCwnd*f.MSS)
}

// raiseInflightLongtermSlope doubles, each round of Up, by how much inflight_longterm grows.
func (b *BBR) raiseInflightLongtermSlope(f *congestion.Flow) {
	growth := 1 << b.probe.upRounds
	b.probe.upRounds = min(b.probe.upRounds+1, 30)
	b.probe.ackedPerInc = max(f.Cwnd()/growth, f.MSS)
}

// probeInflightLongtermUpward grows inflight_longterm while it is in full use.
func (b *BBR) probeInflightLongtermUpward(f *congestion.Flow, a *congestion.Ack) {
	if !a.CwndLimited || f.Cwnd() < b.inflight.longterm {
		return
	}
	p := &b.probe
	p.upAcked += a.Acked
	if p.upAcked >= p.ackedPerInc {
		steps := p.upAcked / p.ackedPerInc
		p.upAcked -= steps * p.ackedPerInc
		b.inflight.longterm += steps * f.MSS
	}
	if b.rounds.start {
		b.raiseInflightLongtermSlope(f)
	}
}

// adaptLongTermModel follows what ACKs tell of a probe. It says whether it has decided where
// to go.
func (b *BBR) adaptLongTermModel(f *congestion.Flow, a *congestion.Ack) bool {
	p := &b.probe
	if p.phase == acksProbeStarting && b.rounds.start {
		p.phase = acksProbeFeedback
	}
	if p.phase == acksProbeStopping && b.rounds.start {
		p.sampled = false
		p.phase = acksInit
		if b.state.probingCycle() && !a.Rate.AppLimited {
			b.bw.advance()
		}
		if b.state.probingCycle() && p.prevPrecautionary && !p.prevTooHigh {
			b.startProbeBWRefill(f)
			return true
		}
	}
	if a.Rate.TxInFlight == 0 || b.tooHigh(f, a.Rate.Lost, a.Rate.TxInFlight) || b.inflight.longterm == infinity {
		return false
	}
	b.inflight.longterm = max(b.inflight.longterm, a.Rate.TxInFlight)
	if b.state == ProbeBWUp {
		b.probeInflightLongtermUpward(f, a)
	}
	return false
}
