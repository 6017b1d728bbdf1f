package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/mono"
)

// The example test cases of draft-ietf-ccwg-bbr that are about ProbeRTT, paths that change,
// and recoveries that prove spurious.

// "Entering and Exiting PROBE_RTT"
func TestBBRDraft10ProbeRTT(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	in := r.untilState(30*time.Second, bbr.ProbeRTT)
	if !in.after.ProbeRTTExpired || in.after.CwndGain != 50 || in.after.PacingGain != 100 || !in.after.FullBWReached {
		t.Errorf("entered with %+v", in.after)
	}
	out := r.until(2*time.Second, "the end of ProbeRTT", func(s bbrStep) bool { return s.left(bbr.ProbeRTT) })
	if d := out.at.Sub(in.at); d < 200*time.Millisecond || d > 500*time.Millisecond {
		t.Errorf("ProbeRTT took %v, want 200 ms and a little to drain", d)
	}
	if out.after.State != bbr.ProbeBWCruise || out.cwnd < in.cwndBefore*8/10 {
		t.Errorf("went on in %v with a window of %d, which was %d", out.after.State, out.cwnd, in.cwndBefore)
	}
	low := out.cwnd
	for _, s := range r.steps {
		if s.at >= in.at && s.at < out.at {
			low = min(low, s.flight)
		}
	}
	if low > in.after.BDP*55/100 {
		t.Errorf("no fewer than %d were in flight, BDP %d", low, in.after.BDP)
	}
	if !near(float64(out.after.MinRTT), float64(50*time.Millisecond), 0.02) {
		t.Errorf("min_rtt is %v", out.after.MinRTT)
	}
	// A lower round trip that is measured meanwhile counts as a visit.
	next := r.untilState(30*time.Second, bbr.ProbeRTT)
	if d := next.at.Sub(out.at); d < 5*time.Second || d > 12*time.Second {
		t.Errorf("the next came %v after, want 5 s or a little more", d)
	}
}

// "Skipping PROBE_RTT Due to Application-Limited Sending"
func TestBBRDraft11IdleSkipsProbeRTT(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	r.untilState(5*time.Second, bbr.ProbeBWCruise)
	c := r.flows[0].client
	c.does.write = c.written
	r.pass(8 * time.Second) // what was written ahead leaves, and then nothing for 5 s at least
	before := len(r.steps)
	if last := r.steps[before-1]; r.now.Sub(last.at) < 5*time.Second {
		t.Fatalf("idle for %v only", r.now.Sub(last.at))
	}
	r.write(1 << 20)
	restart := false
	s := r.until(time.Second, "an ACK", func(s bbrStep) bool {
		restart = restart || s.before.IdleRestart
		return len(r.steps) > before
	})
	if !restart || !s.after.ProbeRTTExpired || s.after.IdleRestart {
		t.Errorf("idle_restart %v, expired %v, after: %v", restart, s.after.ProbeRTTExpired, s.after.IdleRestart)
	}
	r.pass(2 * time.Second)
	for _, s := range r.steps[before:] {
		if s.after.State == bbr.ProbeRTT {
			t.Fatalf("in ProbeRTT at %v", s.at)
		}
	}
}

// "Increasing Bandwidth 10x and Ensuring Full Bandwidth is Reached"
func TestBBRDraft15Faster(t *testing.T) {
	r := newBBRRun(t, "rate=10mbit,rtt=50ms,queue=1000kb", unlimited)
	r.flows[0].client.host.options.sendBuffer = 8 << 20
	r.until(60*time.Second, "CRUISE", func(s bbrStep) bool { return s.at > 10e9 && s.after.State == bbr.ProbeBWCruise })
	r.setRate(100e6)
	began := r.now
	s := r.until(60*time.Second, "the new bandwidth", func(s bbrStep) bool { return float64(s.after.MaxBW) >= 0.9*payload(100e6) })
	// A wait of three seconds at most; then a quarter more each round: 11 rounds for ten times.
	if d := s.at.Sub(began); d > 20*time.Second {
		t.Errorf("it took %v to find ten times the bandwidth", d)
	}
}

// The same where the flow had known how much fits: inflight_longterm grows by 1, 2, 4, …
// segments a round, and the bandwidth is found by that.
func TestBBRDraft15LongtermDoubles(t *testing.T) {
	r := newBBRRun(t, "rate=10mbit,rtt=50ms,queue=0.5bdp", unlimited)
	r.until(120*time.Second, "inflight_longterm", func(s bbrStep) bool { return s.after.InflightLongterm != bbr.Unset })
	r.setRate(100e6)
	r.paths[0].cfg.QueueOctets = 1 << 20
	began := r.now
	s := r.until(60*time.Second, "the new bandwidth", func(s bbrStep) bool { return float64(s.after.MaxBW) >= 0.9*payload(100e6) })
	if d := s.at.Sub(began); d > 30*time.Second {
		t.Errorf("it took %v to find ten times the bandwidth", d)
	}
	// What it grew by in each round of the longest run of UP.
	var grew []int
	for i, s := range r.steps {
		if s.at < began || s.after.State != bbr.ProbeBWUp {
			continue
		}
		if s.after.Round != s.before.Round || i == 0 {
			grew = append(grew, 0)
		}
		if d := s.after.InflightLongterm - s.before.InflightLongterm; len(grew) > 0 && d > 0 {
			grew[len(grew)-1] += d / 1448
		}
	}
	doubled := 0
	for i := 1; i < len(grew); i++ {
		if grew[i] >= 2*grew[i-1]-1 && grew[i-1] > 0 {
			doubled++
		}
	}
	if doubled < 3 {
		t.Errorf("grew by %v segments a round, want it to double", grew)
	}
}

// "Decreasing Bandwidth 10x and Ensuring Max Bandwidth Adapts Down"
func TestBBRDraft16Slower(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=0.5bdp", unlimited)
	r.until(60*time.Second, "CRUISE", func(s bbrStep) bool { return s.at > 10e9 && s.after.State == bbr.ProbeBWCruise })
	r.setRate(10e6)
	began := r.now
	s := r.until(10*time.Second, "bw_shortterm", func(s bbrStep) bool {
		return s.after.BWShortterm != bbr.Unset && float64(s.after.BWShortterm) < 2*payload(10e6)
	})
	if d := s.at.Sub(began); d > 5*time.Second { // rounds are as long as the queue: 0.3 s
		t.Errorf("bw_shortterm took %v to come down", d)
	}
	s = r.until(30*time.Second, "max_bw", func(s bbrStep) bool { return float64(s.after.MaxBW) <= 1.1*payload(10e6) })
	if d := s.at.Sub(began); d > 15*time.Second {
		t.Errorf("max_bw took %v to come down", d)
	}
}

// "Handling Token Bucket Policers"
func TestBBRDraft17Policer(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=2bdp,police=10mbit:60kb", unlimited)
	r.until(30*time.Second, "bw_shortterm", func(s bbrStep) bool {
		return s.after.BWShortterm != bbr.Unset && s.after.InflightShortterm != bbr.Unset
	})
	r.pass(20 * time.Second)
	before := r.paths[0].stats
	got, want := r.goodput(30*time.Second), 8*payload(10e6)
	after := r.paths[0].stats
	if got < 0.8*want {
		t.Errorf("goodput %.2f Mbit/s, want 0.8 of %.2f", got/1e6, want/1e6)
	}
	if lost := float64(after.Policed-before.Policed) / float64(after.Sent-before.Sent); lost > 0.05 {
		t.Errorf("%.1f %% are policed away, want 5 at most", 100*lost)
	}
}

// undone runs a flow to UP, spoils its path for a moment, and returns the undo.
func undone(t *testing.T, spoil func(r *bbrRun)) (r *bbrRun, before bbr.View, s bbrStep) {
	t.Helper()
	r = newBBRRun(t, "rate=20mbit,rtt=50ms,queue=4bdp", unlimited)
	r.until(60*time.Second, "UP", func(s bbrStep) bool { return s.at > 6e9 && s.after.State == bbr.ProbeBWUp })
	r.pass(70 * time.Millisecond)
	if before = r.alg.View(); before.State != bbr.ProbeBWUp {
		t.Fatalf("in %v", before.State)
	}
	spoil(r)
	return r, before, r.until(5*time.Second, "an undo", func(s bbrStep) bool { return s.undo })
}

func wantRestored(t *testing.T, before bbr.View, s bbrStep) {
	t.Helper()
	if s.after.BWShortterm < before.BWShortterm || s.after.InflightShortterm < before.InflightShortterm ||
		s.after.InflightLongterm < before.InflightLongterm || s.cwnd < s.before.PriorCwnd {
		t.Errorf("restored %+v, cwnd %d, want no less than %+v", s.after, s.cwnd, before)
	}
	if s.before.State != bbr.ProbeBWUp && s.after.State != bbr.ProbeBWRefill {
		t.Errorf("went from UP to %v, and after the undo to %v, want REFILL", s.before.State, s.after.State)
	}
}

// "Handling Spurious Fast Recovery"
func TestBBRDraft18SpuriousFastRecovery(t *testing.T) {
	r, before, s := undone(t, func(r *bbrRun) {
		r.paths[0].cfg.Reorder, r.paths[0].cfg.ReorderBy = 0.3, 40*time.Millisecond
		r.pass(60 * time.Millisecond)
		r.paths[0].cfg.Reorder = 0
	})
	wantRestored(t, before, s)
	if i := r.flows[0].client.conn.TCP().Info(r.now); i.Timeouts > 0 || i.FastRecoveries == 0 {
		t.Errorf("%d time-outs, %d recoveries: not what the test is for", i.Timeouts, i.FastRecoveries)
	}
}

// "Handling Spurious RTO Recovery"
func TestBBRDraft19SpuriousRTO(t *testing.T) {
	r, before, s := undone(t, func(r *bbrRun) {
		r.paths[0].cfg.Delay += 700 * time.Millisecond
		r.after(time.Second, func(mono.Time) { r.paths[0].cfg.Delay -= 700 * time.Millisecond })
	})
	wantRestored(t, before, s)
	if i := r.flows[0].client.conn.TCP().Info(r.now); i.Timeouts == 0 {
		t.Error("no time-out: not what the test is for")
	}
}
