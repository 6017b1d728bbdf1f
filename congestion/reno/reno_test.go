package reno_test

import (
	"fmt"
	"testing"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/internal/oracle"
)

func newFlow(cwnd, ssthresh int) (*congestion.Flow, congestion.Algorithm) {
	f := &congestion.Flow{MSS: 1000, IW: 10_000}
	f.SetCwnd(cwnd)
	f.SetSsthresh(ssthresh)
	a := reno.New()
	a.Init(f, 0)
	return f, a
}

func ack(n int) *congestion.Ack {
	return &congestion.Ack{Acked: n, CumAcked: n, CwndLimited: true}
}

func TestConformance(t *testing.T) { congestiontest.Run(t, reno.New) }

// O2 with an ACK for each segment: the window doubles a round.
func TestOracleSlowStart(t *testing.T) {
	f, a := newFlow(10_000, congestion.SsthreshMax)
	for _, want := range []int{20_000, 40_000, 80_000, 160_000, 320_000} {
		for range f.Cwnd() / 1000 {
			a.OnAck(f, ack(1000))
		}
		oracle.Is(t, "O2", "cwnd after a round of slow start", float64(want), float64(f.Cwnd()), 0)
	}
}

// RFC 3465, section 2.2: one ACK adds at most L segments.
func TestSlowStartLimitsOneACK(t *testing.T) {
	f, a := newFlow(10_000, congestion.SsthreshMax)
	a.OnAck(f, ack(9000))
	if f.Cwnd() != 12_000 {
		t.Errorf("cwnd = %d, want 12000", f.Cwnd())
	}
}

// RFC 3465, section 2.3, leaves L to the implementation: 1 is as RFC 5681, more than 2 is
// for experiments.
// O2, L = 1 with an ACK for every second segment: 10, 15, 22.5, 33.75, to within the segment that
// a round may hold more or less.
func TestOracleDelayedACKs(t *testing.T) {
	f, _ := newFlow(10_000, congestion.SsthreshMax)
	a := reno.Config{Limit: 1}.New()
	a.Init(f, 0)
	for _, want := range []float64{15, 22.5, 33.75} {
		for left := f.Cwnd(); left >= 2000; left -= 2000 {
			a.OnAck(f, ack(2000))
		}
		oracle.Is(t, "O2", "cwnd in segments after a round of delayed ACKs, L = 1", want, float64(f.Cwnd())/1000, 1)
	}
}

func TestLimitIsConfigurable(t *testing.T) {
	for limit, want := range map[int]int{0: 12_000, 1: 11_000, 8: 18_000} {
		f, _ := newFlow(10_000, congestion.SsthreshMax)
		a := reno.Config{Limit: limit}.New()
		a.Init(f, 0)
		a.OnAck(f, ack(9000))
		if f.Cwnd() != want {
			t.Errorf("L = %d: cwnd = %d, want %d", limit, f.Cwnd(), want)
		}
	}
}

// O2: from 20000 in avoidance, 20 ACKs of 1000 octets give 21000, and no sooner.
func TestOracleAvoidance(t *testing.T) {
	f, a := newFlow(20_000, 20_000)
	for range 19 {
		a.OnAck(f, ack(1000))
	}
	oracle.Is(t, "O2", "cwnd of 20000 after 19 ACKs in avoidance", 20_000, float64(f.Cwnd()), 0)
	a.OnAck(f, ack(1000))
	oracle.Is(t, "O2", "cwnd of 20000 after 20 ACKs in avoidance", 21_000, float64(f.Cwnd()), 0)
}

// O3: ssthresh = max(FlightSize/2, 2*SMSS).
func TestOracleCongestion(t *testing.T) {
	for _, tt := range []struct{ flight, want int }{{20_000, 10_000}, {3000, 2000}, {0, 2000}} {
		f, a := newFlow(20_000, congestion.SsthreshMax)
		a.OnCongestion(f, &congestion.Congestion{Cause: congestion.CauseLoss, Flight: tt.flight})
		oracle.Is(t, "O3", fmt.Sprintf("ssthresh after a loss, %d in flight", tt.flight), float64(tt.want), float64(f.Ssthresh()), 0)
		oracle.Is(t, "O3", fmt.Sprintf("cwnd after a loss, %d in flight", tt.flight), float64(tt.want), float64(f.Cwnd()), 0)
	}
}

// RFC 5681, equation 3: "cwnd += SMSS*SMSS/cwnd" for each ACK. From 6.5 segments, half a round of
// ACKs makes 7 of them fit, and a round more 8.
func TestHalfASegmentIsGrowthBegun(t *testing.T) {
	f, a := newFlow(13_000, 13_000)
	a.OnCongestion(f, &congestion.Congestion{Cause: congestion.CauseLoss, Flight: 13_000})
	for i, want := range []int{6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 8} {
		a.OnAck(f, ack(1000))
		if got := f.Cwnd() / f.MSS; got != want {
			t.Errorf("after %d ACKs %d segments fit, want %d", i+1, got, want)
		}
	}
}

func TestIdleKeepsSsthresh(t *testing.T) {
	f, a := newFlow(50_000, 40_000)
	a.OnCongestion(f, &congestion.Congestion{Cause: congestion.CauseIdle})
	if f.Cwnd() != 10_000 || f.Ssthresh() != 40_000 {
		t.Errorf("cwnd %d, ssthresh %d; want 10000, 40000", f.Cwnd(), f.Ssthresh())
	}
}

func TestNoGrowthWithoutNeed(t *testing.T) {
	for _, news := range []congestion.Ack{{CumAcked: 5000}, {CumAcked: 5000, CwndLimited: true, InRecovery: true}} {
		f, a := newFlow(10_000, congestion.SsthreshMax)
		a.OnAck(f, &news)
		if f.Cwnd() != 10_000 {
			t.Errorf("%+v: cwnd = %d, want 10000", news, f.Cwnd())
		}
	}
}

func BenchmarkOnAck(b *testing.B) {
	f, a := newFlow(20_000, 20_000)
	news := ack(1000)
	b.ReportAllocs()
	for b.Loop() {
		a.OnAck(f, news)
	}
}
