package bbr

import "github.com/millrace-tcp/millrace/congestion"

// State is where a flow is in the state machine of section 5.1.
type State uint8

// The states.
const (
	Startup State = iota
	Drain
	ProbeBWDown
	ProbeBWCruise
	ProbeBWRefill
	ProbeBWUp
	ProbeRTT
)

// String returns the state as the draft spells it.
func (s State) String() string {
	switch s {
	case Startup:
		return "Startup"
	case Drain:
		return "Drain"
	case ProbeBWDown:
		return "ProbeBW_DOWN"
	case ProbeBWCruise:
		return "ProbeBW_CRUISE"
	case ProbeBWRefill:
		return "ProbeBW_REFILL"
	case ProbeBWUp:
		return "ProbeBW_UP"
	case ProbeRTT:
		return "ProbeRTT"
	}
	return "unknown"
}

// probingCycle is IsInAProbeBWState.
func (s State) probingCycle() bool { return s >= ProbeBWDown && s <= ProbeBWUp }

// accelerates is IsProbingBW.
func (s State) accelerates() bool { return s == Startup || s == ProbeBWRefill || s == ProbeBWUp }

// enter goes into a state, with its row of the table of section 5.6.1.
func (b *BBR) enter(s State) {
	b.state = s
	b.cwndGain, b.pacingGain = defaultCwndGain, 100
	switch s {
	case Startup:
		b.pacingGain = startupPacingGain
	case Drain:
		b.pacingGain = drainPacingGain
	case ProbeBWDown:
		b.pacingGain = downPacingGain
	case ProbeBWCruise, ProbeBWRefill:
	case ProbeBWUp:
		b.pacingGain, b.cwndGain = upPacingGain, upCwndGain
	case ProbeRTT:
		b.cwndGain = probeRTTCwndGain
	}
}

func (b *BBR) enterStartup() { b.enter(Startup) }

// fullPipe looks for a plateau of the delivery rate.
type fullPipe struct {
	reached bool  // once in the life of the connection
	now     bool  // since it was last reset
	bw      int64 // the baseline
	count   int   // rounds without large growth
}

// reset is ResetFullBW, with the baseline to begin with.
func (p *fullPipe) reset(bw int64) { p.bw, p.count, p.now = bw, 0, false }

// checkFullBWReached finds the pipe full after three rounds that were not for want of data and
// brought less than a quarter more.
func (b *BBR) checkFullBWReached(a *congestion.Ack) {
	p := &b.fullBW
	if p.now || !b.rounds.start || a.Rate.AppLimited || a.Rate.TxInFlight == 0 {
		return
	}
	if a.Rate.OctetsPerSec*4 >= p.bw*5 {
		p.reset(a.Rate.OctetsPerSec)
		return
	}
	p.count++
	p.now = p.count >= fullBWRounds
	p.reached = p.reached || p.now
}

func (b *BBR) checkStartupDone(f *congestion.Flow, a *congestion.Ack) {
	b.checkStartupHighLoss(f, a)
	if b.state == Startup && b.fullBW.reached {
		b.enterDrain()
	}
}

// checkStartupHighLoss ends Startup where a whole round of fast recovery lost more than a
// flow may lose, in six places at least: with fewer it may be chance. Section 5.3.1.3.
func (b *BBR) checkStartupHighLoss(f *congestion.Flow, a *congestion.Ack) {
	e := &b.episode
	ranges := e.ranges
	if b.latest.roundStart {
		e.ranges = 0
	}
	switch {
	case b.state != Startup || b.fullBW.reached || !e.fast:
		return
	case !f.SACK: // it can tell one loss in a round only
	case b.latest.roundStart && b.rounds.count > e.startRound && ranges >= startupLossRanges && b.tooHigh(f, a.Rate.Lost, a.Rate.TxInFlight):
	default:
		return
	}
	e.undo = undoStartup
	b.fullBW.reached, b.fullBW.now = true, true
	b.inflight.longterm = max(b.bdp(b.bw.bounded), b.latest.inflight)
}

func (b *BBR) enterDrain() {
	b.enter(Drain)
	b.drainStart = b.rounds.count
}

// checkDrainDone ends Drain when the queue must be empty, or after three rounds.
func (b *BBR) checkDrainDone(f *congestion.Flow, a *congestion.Ack) {
	if b.state == Drain && (f.Flight <= b.inflightFor(f, b.bw.bounded, 100) || b.rounds.count > b.drainStart+drainRounds) {
		b.startProbeBWDown(f, a.Now)
	}
}
