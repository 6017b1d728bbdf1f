// Package bbr1 is BBR version 1, as Linux has had it since 4.9: it goes by the bandwidth and
// the lowest round trip alone, and takes no notice of loss. It holds its rate under random
// loss of many percent, and is unfair to others in small buffers: for study, and for networks
// of one's own. Package bbr is its successor.
// https://datatracker.ietf.org/doc/html/draft-cardwell-iccrg-bbr-congestion-control-00
//
// Of what Linux adds to the draft, the estimate of policers and that of aggregated ACKs are left out.
package bbr1

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/winmax"
	"github.com/millrace-tcp/millrace/mono"
)

// The constants of the draft, section 4. Gains are in thousandths.
const (
	highGain      = 2885 // 2/ln 2: doubles each round
	drainGain     = 346  // its inverse
	probeCwndGain = 2000
	unity         = 1000

	bwRounds         = 10
	minRTTFilterLen  = 10 * time.Second
	probeRTTDuration = 200 * time.Millisecond
	minPipeCwnd      = 4  // segments
	pacingMargin     = 10 // thousandths by which the rate stays below the bandwidth
	fullBWRounds     = 3
	sendQuantumMax   = 64 << 10
)

// cycle is the gains of ProbeBW, a lowest round trip each.
var cycle = [8]int{1250, 750, unity, unity, unity, unity, unity, unity}

// state is where a flow is in the state machine.
type state uint8

const (
	startup state = iota
	drain
	probeBW
	probeRTT
)

// String returns the state as the draft spells it.
func (s state) String() string {
	switch s {
	case startup:
		return "Startup"
	case drain:
		return "Drain"
	case probeBW:
		return "ProbeBW"
	case probeRTT:
		return "ProbeRTT"
	}
	return "unknown"
}

// BBR is the state of one connection.
type BBR struct {
	state                state
	rand                 uint64
	pacingGain, cwndGain int // thousandths

	bw    winmax.Filter // octets a second
	round uint64
	next  uint64 // Delivered at which this round ends
	start bool   // the ACK at hand begins one

	minRTT      time.Duration // 0: none
	minRTTStamp mono.Time
	expired     bool
	doneStamp   mono.Time // when ProbeRTT has lasted; 0: the queue has not drained yet
	roundDone   bool

	fullBW      int64
	fullBWCount int
	filled      bool

	phase      int // index of cycle
	cycleStamp mono.Time
	lost       bool // in this phase

	recovering  bool
	conserving  bool   // the first round of recovery: one out for each one in
	conserveEnd uint64 // round in which that ends
	priorCwnd   int
	idleRestart bool
	measured    bool
}

// New returns BBR version 1.
func New() congestion.Algorithm { return new(BBR) }

// Name returns "bbr1".
func (b *BBR) Name() string { return "bbr1" }

// OwnsRecovery says that the window holds in recovery too.
func (b *BBR) OwnsRecovery() bool { return true }

// Init begins in Startup.
func (b *BBR) Init(f *congestion.Flow, now mono.Time) {
	*b = BBR{rand: f.Rand, minRTT: f.SRTT, minRTTStamp: now}
	b.initPacingRate(f)
	b.enterStartup()
	b.setQuantum(f)
}

// Adopt takes a live connection over, at the rate that its network is known to deliver.
func (b *BBR) Adopt(f *congestion.Flow, now mono.Time, from congestion.State) {
	b.Init(f, now)
	if from.Rate > 0 {
		b.bw.Update(from.Rate, 0, bwRounds)
	}
	b.setPacing(f, b.pacingGain)
	b.setQuantum(f)
}

// OnSent paces at the bandwidth itself after silence.
func (b *BBR) OnSent(f *congestion.Flow, s *congestion.Sent) {
	if !s.Restart {
		return
	}
	b.idleRestart = true
	switch b.state {
	case probeBW:
		b.setPacing(f, unity)
	case probeRTT:
		b.checkProbeRTTDone(f, s.Now)
	case startup, drain:
	}
}

// OnAck updates model, state and controls, in the order of section 4.2.2.
func (b *BBR) OnAck(f *congestion.Flow, a *congestion.Ack) {
	b.updateBandwidth(f, a)
	b.updateCycle(f, a)
	b.checkFullPipe(a)
	b.checkDrain(f, a.Now)
	b.updateMinRTT(f, a)
	b.checkProbeRTT(f, a)
	b.setPacing(f, b.pacingGain)
	b.setQuantum(f)
	b.setCwnd(f, a)
}

// OnCongestion keeps the window for after the episode. Loss changes nothing else.
func (b *BBR) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	switch e.Cause {
	case congestion.CauseLoss:
		b.saveCwnd(f)
		b.recovering, b.conserving, b.conserveEnd = true, true, b.round+1
		b.next = f.Delivered
		f.SetCwnd(f.Flight + max(e.Acked, f.MSS))
	case congestion.CauseRTO:
		b.saveCwnd(f)
		b.recovering, b.conserving = true, false
		b.fullBW = 0
		f.SetCwnd(f.Flight + f.MSS)
	case congestion.CauseECN, congestion.CauseIdle:
	}
}

// OnLost notes that a phase of the cycle has found its limit.
func (b *BBR) OnLost(*congestion.Flow, *congestion.Lost) { b.lost = true }

// OnRecovered restores the window that there was before the episode.
func (b *BBR) OnRecovered(f *congestion.Flow, _ *congestion.Congestion) {
	b.recovering, b.conserving = false, false
	f.SetCwnd(max(f.Cwnd(), b.priorCwnd))
}

// Undo does the same, and looks for the full pipe again.
func (b *BBR) Undo(f *congestion.Flow) {
	b.OnRecovered(f, nil)
	b.fullBW, b.fullBWCount = 0, 0
}

// Inspect shows the model.
func (b *BBR) Inspect(v []congestion.Value) []congestion.Value {
	return append(v,
		congestion.Value{Name: "state", Text: b.state.String()},
		congestion.Value{Name: "bw", Number: float64(b.bw.Max())},
		congestion.Value{Name: "min_rtt", Number: b.minRTT.Seconds()},
		congestion.Value{Name: "pacing_gain", Number: float64(b.pacingGain) / unity},
		congestion.Value{Name: "cwnd_gain", Number: float64(b.cwndGain) / unity},
	)
}
