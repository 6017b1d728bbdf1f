// Package bbr is BBR version 3: congestion control by a model of the path, its bandwidth, its
// round trip and how much it holds, rather than by loss alone.
// https://datatracker.ietf.org/doc/draft-ietf-ccwg-bbr/
//
// All arithmetic is on whole numbers, so that a simulation comes out alike on every machine.
// Functions bear the names of the draft, without its prefix.
package bbr

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// The constants of the draft, sections 2.6 to 2.15. Gains are in percent.
const (
	startupPacingGain = 277
	drainPacingGain   = 50
	downPacingGain    = 90
	upPacingGain      = 125
	defaultCwndGain   = 200
	upCwndGain        = 225
	probeRTTCwndGain  = 50

	pacingMargin      = 1  // percent by which the rate stays below the bandwidth
	lossThresh        = 2  // percent
	beta              = 70 // percent that a round with loss leaves
	headroom          = 15 // percent of inflight_longterm that is left to others
	minPipeCwnd       = 4  // segments
	startupLossRanges = 6
	fullBWRounds      = 3
	drainRounds       = 3
	renoRoundsMax     = 63

	minRTTFilterLen  = 10 * time.Second
	probeRTTDuration = 200 * time.Millisecond
	probeWaitMin     = 2 * time.Second
	probeWaitSpread  = time.Second

	// ProbeRTTIntervalDefault is how long a lowest round trip is believed before the queue is
	// emptied to measure it again.
	ProbeRTTIntervalDefault = 5 * time.Second
)

// infinity stands for "not set" of rates and volumes.
const infinity = math.MaxInt64

// Config says how BBR is made. The zero value is the draft's.
type Config struct {
	// ProbeRTTInterval is ProbeRTTIntervalDefault if 0.
	ProbeRTTInterval time.Duration
}

// New returns BBR with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.ProbeRTTInterval <= 0 {
		cfg.ProbeRTTInterval = ProbeRTTIntervalDefault
	}
	return &BBR{cfg: cfg}
}

// New returns BBR as the draft has it.
func New() congestion.Algorithm { return Config{}.New() }

// BBR is the state of one connection.
type BBR struct {
	cfg   Config
	state State
	rand  uint64

	pacingGain, cwndGain int // percent

	rounds   rounds
	bw       bandwidth
	fullBW   fullPipe
	rtt      roundTrip
	excess   aggregation
	latest   latest
	probe    probe
	episode  episode
	inflight struct {
		longterm, shortterm int // infinity: not set
	}

	drainStart  uint64 // round in which Drain began
	idleRestart bool
	priorCwnd   int // the last window that neither recovery nor ProbeRTT has cut
	measured    bool
}

// Name returns "bbr".
func (b *BBR) Name() string { return "bbr" }

// OwnsRecovery says that the window holds in recovery too.
func (b *BBR) OwnsRecovery() bool { return true }

// Init is OnInit of section 5.2.1.
func (b *BBR) Init(f *congestion.Flow, now mono.Time) {
	*b = BBR{cfg: b.cfg, rand: f.Rand}
	b.inflight.longterm = infinity
	b.rtt.start(now, f.SRTT)
	b.excess.start = now
	b.probe.ackedPerInc = infinity
	b.resetCongestionSignals()
	b.resetShortTermModel()
	b.initPacingRate(f)
	b.enterStartup()
	b.setSendQuantum(f)
}

// Adopt takes a live connection over: it starts as a new one does, from the window there is
// and the rate that the network is known to deliver.
func (b *BBR) Adopt(f *congestion.Flow, now mono.Time, from congestion.State) {
	b.Init(f, now)
	b.episode.open = from.InRecovery
	b.bw.update(from.Rate, false)
	b.boundBWForModel()
	b.setPacingRateWithGain(f, b.pacingGain)
	b.setSendQuantum(f)
}

// OnSent is OnTransmit of section 5.2.2, done after the segment that ends the silence: a flow
// that restarts in ProbeBW paces at the bandwidth itself.
func (b *BBR) OnSent(f *congestion.Flow, s *congestion.Sent) {
	if !s.Restart {
		return
	}
	b.idleRestart = true
	b.excess.start = s.Now
	switch {
	case b.state.probingCycle():
		b.setPacingRateWithGain(f, 100)
	case b.state == ProbeRTT:
		b.checkProbeRTTDone(f, s.Now)
	}
}

// OnAck is UpdateOnACK of section 5.2.3.
func (b *BBR) OnAck(f *congestion.Flow, a *congestion.Ack) {
	b.updateModelAndState(f, a)
	b.setPacingRate(f)
	b.setSendQuantum(f)
	b.setCwnd(f, a)
}

func (b *BBR) updateModelAndState(f *congestion.Flow, a *congestion.Ack) {
	b.updateLatestDeliverySignals(f, a)
	b.updateCongestionSignals(f, a)
	b.excess.update(a, f, b)
	b.checkFullBWReached(a)
	b.checkStartupDone(f, a)
	b.checkDrainDone(f, a)
	b.updateProbeBWCyclePhase(f, a)
	b.updateMinRTT(f, a)
	b.checkProbeRTT(f, a)
	b.advanceLatestDeliverySignals(a)
	b.boundBWForModel()
}

// OnCongestion takes note of an episode. The window is the model's but after a time-out.
func (b *BBR) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	switch e.Cause {
	case congestion.CauseLoss, congestion.CauseRTO:
		b.saveStateUponLoss(f)
		b.episode.fast, b.episode.startRound = e.Cause == congestion.CauseLoss, b.rounds.count
		if e.Cause == congestion.CauseRTO {
			f.SetCwnd(f.Flight + f.MSS)
		}
	case congestion.CauseECN:
		// "the congestion controller response MUST treat any CE marks as congestion": as a
		// loss in this round that is too much of a probe. Section 3.7.
		b.noteLoss(f)
		if b.probe.sampled {
			b.handleInflightTooHigh(f, e.Now, f.Flight, false)
		}
	case congestion.CauseIdle: // the window stays (section 5.4.1)
	}
}

// OnRecovered restores the window that there was before the episode.
func (b *BBR) OnRecovered(f *congestion.Flow, _ *congestion.Congestion) {
	b.endEpisode()
	b.restoreCwnd(f)
}

// Inspect shows the model.
func (b *BBR) Inspect(v []congestion.Value) []congestion.Value {
	finite := func(n int) float64 {
		if n == infinity {
			return 0
		}
		return float64(n)
	}
	return append(v,
		congestion.Value{Name: "state", Text: b.state.String()},
		congestion.Value{Name: "bw", Number: float64(b.bw.bounded)},
		congestion.Value{Name: "max_bw", Number: float64(b.bw.max())},
		congestion.Value{Name: "bw_shortterm", Number: finite(int(b.bw.shortterm))},
		congestion.Value{Name: "inflight_longterm", Number: finite(b.inflight.longterm)},
		congestion.Value{Name: "inflight_shortterm", Number: finite(b.inflight.shortterm)},
		congestion.Value{Name: "min_rtt", Number: b.rtt.min.Seconds()},
		congestion.Value{Name: "extra_acked", Number: float64(b.excess.max())},
		congestion.Value{Name: "pacing_gain", Number: float64(b.pacingGain) / 100},
		congestion.Value{Name: "cwnd_gain", Number: float64(b.cwndGain) / 100},
	)
}

// percent returns p percent of n, which may be infinity.
func percent(n, p int) int {
	if n == infinity {
		return infinity
	}
	return n/100*p + n%100*p/100
}
