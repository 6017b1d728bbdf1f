package bbr

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/mono"
)

const mss = 1000

func newFlow(srtt time.Duration) (*BBR, *congestion.Flow) {
	b, _ := New().(*BBR)
	f := &congestion.Flow{MSS: mss, IW: 10 * mss, SRTT: srtt, SACK: true, Rand: 1}
	f.SetSsthresh(congestion.SsthreshMax)
	f.SetCwnd(f.IW)
	b.Init(f, mono.Time(time.Hour))
	return b, f
}

// O12: the gains of each state.
func TestOracleGains(t *testing.T) {
	b, _ := newFlow(0)
	for _, tt := range []struct {
		state        State
		pacing, cwnd float64
	}{
		{Startup, 2.77, 2}, {Drain, .5, 2}, {ProbeBWDown, .90, 2}, {ProbeBWCruise, 1, 2}, {ProbeBWRefill, 1, 2},
		{ProbeBWUp, 1.25, 2.25}, {ProbeRTT, 1, .5},
	} {
		b.enter(tt.state)
		oracle.Is(t, "O12", "pacing gain of "+tt.state.String(), tt.pacing, float64(b.pacingGain)/100, 1e-9)
		oracle.Is(t, "O12", "cwnd gain of "+tt.state.String(), tt.cwnd, float64(b.cwndGain)/100, 1e-9)
	}
}

// O12: the initial pacing rate is 2.77 IW in a round trip, or in a millisecond where none was
// measured; the quantum is a millisecond's worth, from two segments to 64 KiB.
func TestOraclePacing(t *testing.T) {
	for _, tt := range []struct {
		srtt          time.Duration
		rate, quantum float64
	}{{0, 27.7e6, 27700}, {100 * time.Millisecond, 277e3, 2 * mss}, {20 * time.Microsecond, 1385e6, 64 << 10}} {
		_, f := newFlow(tt.srtt)
		oracle.Near(t, "O12", "initial pacing rate with an SRTT of "+tt.srtt.String(), tt.rate, float64(f.Pacing()), 1e-6)
		oracle.Is(t, "O12", "quantum at that", tt.quantum, float64(f.Quantum()), 1)
	}
	b, f := newFlow(100 * time.Millisecond)
	b.fullBW.reached, b.bw.current = true, 1_000_000
	b.boundBWForModel()
	b.setPacingRateWithGain(f, 100)
	oracle.Is(t, "O12", "pacing rate at a bandwidth of 1 MB/s, margin 1 %", 990_000, float64(f.Pacing()), 1)
}

// O12: what a loss, a probe and a wait come to.
func TestOracleModel(t *testing.T) {
	b, f := newFlow(100 * time.Millisecond)
	is := func(what string, want, got float64) {
		t.Helper()
		oracle.Is(t, "O12", what, want, got, 1e-9)
	}
	is("min RTT filter in s", 10, minRTTFilterLen.Seconds())
	is("ProbeRTT interval in s", 5, ProbeRTTIntervalDefault.Seconds())
	is("ProbeRTT duration in s", .2, probeRTTDuration.Seconds())
	is("rounds of extra_acked", 10, extraAckedFilterLen)
	is("ranges lost that end Startup", 6, startupLossRanges)
	b.bw.bounded = 1
	is("least window in segments", 4, float64(b.probeRTTCwnd(f))/mss)
	is("20 of 1000 lost is too much", 0, truth(b.tooHigh(f, 20, 1000)))
	is("21 of 1000 lost is too much", 1, truth(b.tooHigh(f, 21, 1000)))
	b.inflight.longterm = 100 * mss
	is("segments of 100 with headroom", 85, float64(b.inflightWithHeadroom(f))/mss)

	b.state, b.bw.current, b.latest.lossInRound = ProbeBWCruise, 1_000_000, true
	f.SetCwnd(100 * mss)
	b.adaptLowerBoundsFromCongestion(f)
	is("bw_shortterm of 1 MB/s after a round with loss", 700_000, float64(b.bw.shortterm))
	is("inflight_shortterm of 100 segments", 70, float64(b.inflight.shortterm)/mss)

	least, most := time.Hour, time.Duration(0)
	for range 10_000 {
		b.pickProbeWait()
		least, most = min(least, b.probe.wait), max(most, b.probe.wait)
	}
	oracle.Within(t, "O12", "least wait for a probe in s", 2, 2.01, least.Seconds())
	oracle.Within(t, "O12", "longest wait for a probe in s", 2.99, 3, most.Seconds())

	// Reno's bound: as many rounds as segments are in flight, 63 at most, less one by chance.
	b.bw.current, b.bw.shortterm = 1<<40, infinity
	b.boundBWForModel()
	for _, tt := range []struct{ cwnd, rounds int }{{10, 10}, {62, 62}, {63, 63}, {5000, 63}} {
		f.SetCwnd(tt.cwnd * mss)
		for b.rounds.sinceProbeUp = 0; !b.renoCoexistenceProbeTime(f); b.rounds.sinceProbeUp++ {
		}
		is("rounds until a probe beside Reno", float64(tt.rounds), float64(b.rounds.sinceProbeUp))
	}
	b.bw.current, b.bw.previous = 5, 9
	is("max_bw is of two cycles", 9, float64(b.bw.max()))
	b.bw.advance()
	is("and then of the last", 5, float64(b.bw.max()))
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
