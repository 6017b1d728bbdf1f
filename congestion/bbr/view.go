package bbr

import "time"

// View is the model and the state machine, for tests and tools. Rates are octets a second,
// volumes octets, Unset where the draft says infinity.
type View struct {
	State                               State
	PacingGain, CwndGain                int // percent
	MaxBW, BW, BWShortterm              int64
	InflightLongterm, InflightShortterm int
	BDP                                 int
	ExtraAcked                          int
	MinRTT                              time.Duration
	Round, DrainStartRound              uint64
	FullBWReached, FullBWNow            bool
	FullBWCount                         int
	ProbeWait                           time.Duration
	IdleRestart, ProbeRTTExpired        bool
	PrevProbeTooHigh                    bool
	LossInRound                         bool
	PriorCwnd                           int
}

// Unset is a rate or a volume that is without bound.
const Unset = infinity

// View returns them as they are. For the worker, as every method is.
func (b *BBR) View() View {
	return View{
		State: b.state, PacingGain: b.pacingGain, CwndGain: b.cwndGain,
		MaxBW: b.bw.max(), BW: b.bw.bounded, BWShortterm: b.bw.shortterm,
		InflightLongterm: b.inflight.longterm, InflightShortterm: b.inflight.shortterm,
		BDP: b.bdp(b.bw.bounded), ExtraAcked: b.excess.max(), MinRTT: b.rtt.min,
		Round: b.rounds.count, DrainStartRound: b.drainStart,
		FullBWReached: b.fullBW.reached, FullBWNow: b.fullBW.now, FullBWCount: b.fullBW.count,
		ProbeWait: b.probe.wait, IdleRestart: b.idleRestart, ProbeRTTExpired: b.rtt.expired,
		PrevProbeTooHigh: b.probe.prevTooHigh, LossInRound: b.latest.lossInRound, PriorCwnd: b.priorCwnd,
	}
}
