package congestion_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// What an algorithm sets is kept within bounds, and every correction is counted.
func TestSetClampsAndCounts(t *testing.T) {
	f := &congestion.Flow{MSS: 1000}
	for i, tt := range []struct {
		set       func()
		got       func() int
		want      int
		corrected bool
	}{
		{func() { f.SetCwnd(5000) }, f.Cwnd, 5000, false},
		{func() { f.SetCwnd(1) }, f.Cwnd, 1000, true},
		{func() { f.SetCwnd(-7) }, f.Cwnd, 1000, true},
		{func() { f.SetCwnd(1 << 40) }, f.Cwnd, congestion.CwndMax, true},
		{func() { f.SetSsthresh(0) }, f.Ssthresh, 2000, true},
		{func() { f.SetSsthresh(9000) }, f.Ssthresh, 9000, false},
		{func() { f.SetPacing(-1) }, func() int { return int(f.Pacing()) }, congestion.PacingMin, true},
		{func() { f.SetPacing(77) }, func() int { return int(f.Pacing()) }, congestion.PacingMin, true},
		{func() { f.SetPacing(1 << 50) }, func() int { return int(f.Pacing()) }, congestion.PacingMax, true},
		{func() { f.SetPacing(7700) }, func() int { return int(f.Pacing()) }, 7700, false},
		{func() { f.SetPacing(0) }, func() int { return int(f.Pacing()) }, 0, false},
		{func() { f.SetQuantum(-1) }, f.Quantum, 0, true},
	} {
		before := f.Clamps()
		tt.set()
		if tt.got() != tt.want {
			t.Errorf("case %d: got %d, want %d", i, tt.got(), tt.want)
		}
		if (f.Clamps() > before) != tt.corrected {
			t.Errorf("case %d: %d corrections counted, corrected is %v", i, f.Clamps()-before, tt.corrected)
		}
	}
}

// A value below zero is what overflow and NaN come to; one that is merely too large is clamped.
func TestAbsurd(t *testing.T) {
	f := &congestion.Flow{MSS: 1000}
	f.SetCwnd(congestion.CwndMax + 1)
	f.SetPacing(1)
	if f.Absurd() {
		t.Error("absurd after values that were clamped")
	}
	f.SetSsthresh(-1)
	if !f.Absurd() {
		t.Error("-1 is not absurd")
	}
	f.Forgive()
	if f.Absurd() {
		t.Error("absurd after it was forgiven")
	}
}

func TestInSlowStart(t *testing.T) {
	f := &congestion.Flow{MSS: 1000}
	f.SetSsthresh(5000)
	f.SetCwnd(4000)
	if !f.InSlowStart() {
		t.Error("4000 < 5000 is slow start")
	}
	f.SetCwnd(5000)
	if f.InSlowStart() {
		t.Error("5000 = 5000 is not")
	}
}

func TestCauseString(t *testing.T) {
	for c, want := range map[congestion.Cause]string{congestion.CauseLoss: "loss", congestion.CauseRTO: "rto",
		congestion.CauseECN: "ecn", congestion.CauseIdle: "idle", 99: "unknown"} {
		if c.String() != want {
			t.Errorf("%d.String() = %q, want %q", c, c.String(), want)
		}
	}
}

func TestOctetsIn(t *testing.T) {
	for _, tt := range []struct {
		rate int64
		d    time.Duration
		want int
	}{
		{1000, time.Second, 1000},
		{1000, time.Millisecond, 1},
		{999, time.Millisecond, 0},
		{1 << 30, time.Second, congestion.CwndMax},
		{1 << 40, time.Hour, congestion.CwndMax},
		{1<<63 - 1, 1<<63 - 1, congestion.CwndMax},
		{1<<63 - 1, 1, congestion.CwndMax},
		{1 << 40, 100 * time.Microsecond, 109951162},
		{-1, time.Second, 0},
		{1, -time.Second, 0},
	} {
		if got := congestion.OctetsIn(tt.rate, tt.d); got != tt.want {
			t.Errorf("%d for %v: got %d, want %d", tt.rate, tt.d, got, tt.want)
		}
	}
}
