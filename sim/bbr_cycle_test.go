package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The example test cases of draft-ietf-ccwg-bbr that are about the cycle of ProbeBW.

// "Exiting PROBE_UP on Bandwidth Plateau"
func TestBBRDraft05UpPlateau(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=4bdp", unlimited)
	r.untilState(30*time.Second, bbr.ProbeBWUp)
	s := r.until(5*time.Second, "the end of UP", func(s bbrStep) bool { return s.left(bbr.ProbeBWUp) })
	if s.after.State != bbr.ProbeBWDown || !s.before.FullBWNow && !s.after.FullBWNow || s.after.FullBWCount != 3 {
		t.Errorf("left UP with %+v, want DOWN after 3 rounds without growth", s.after)
	}
	if s.ack.Rate.Lost > 0 || s.before.PrevProbeTooHigh {
		t.Errorf("there was loss: %+v", s.ack)
	}
}

// "Exiting PROBE_UP on Loss When Application-Limited"
func TestBBRDraft06UpLossAppLimited(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	r.untilState(5*time.Second, bbr.ProbeBWDown)
	r.trickle(5*time.Millisecond, 40*time.Second, 4*1448)
	r.untilState(10*time.Second, bbr.ProbeBWUp)
	r.pass(200 * time.Millisecond) // now what is acknowledged was sent in UP, for want of data
	before := r.alg.View()
	n := 0
	r.lose = func(mono.Time, *wire.Segment) bool { n++; return n%10 == 0 }
	s := r.until(2*time.Second, "the end of UP", func(s bbrStep) bool { return s.after.State != bbr.ProbeBWUp })
	if s.after.State != bbr.ProbeBWDown || !s.after.PrevProbeTooHigh {
		t.Errorf("left UP with %+v, want DOWN for loss", s.after)
	}
	// "if (!RS.is_app_limited) BBR.inflight_longterm = …": it stays as it was.
	if s.after.InflightLongterm != before.InflightLongterm {
		t.Errorf("inflight_longterm went from %d to %d for want of data", before.InflightLongterm, s.after.InflightLongterm)
	}
}

// "Exiting PROBE_DOWN on Inflight"
func TestBBRDraft08DownInflight(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=1bdp", unlimited)
	r.untilState(30*time.Second, bbr.ProbeBWUp)
	s := r.untilState(5*time.Second, bbr.ProbeBWDown)
	if s.after.PacingGain != 90 || s.after.CwndGain != 200 {
		t.Errorf("gains in DOWN: %d, %d", s.after.PacingGain, s.after.CwndGain)
	}
	s = r.until(3*time.Second, "the end of DOWN", func(s bbrStep) bool { return s.left(bbr.ProbeBWDown) })
	if s.after.State != bbr.ProbeBWCruise || s.after.PacingGain != 100 {
		t.Errorf("left DOWN for %v, gain %d", s.after.State, s.after.PacingGain)
	}
	if most := int(float64(s.after.MaxBW) * s.after.MinRTT.Seconds()); s.flight > most {
		t.Errorf("left with %d in flight, more than the BDP %d", s.flight, most)
	}
	if l := s.after.InflightLongterm; l != bbr.Unset && s.flight > l*85/100 {
		t.Errorf("left with %d in flight, no headroom below %d", s.flight, l)
	}
}

// "Exiting PROBE_DOWN After Max Time". A link that a tenth less keeps the queue from draining
// is one whose queue holds more than two rounds of DOWN drain; here the rate falls by a half,
// while nothing is lost.
func TestBBRDraft09DownMaxTime(t *testing.T) {
	r := newBBRRunWith(t, "rate=20mbit,rtt=100ms,queue=20bdp", unlimited, bbr.Config{ProbeRTTInterval: time.Minute})
	r.untilState(30*time.Second, bbr.ProbeBWUp)
	in := r.untilState(5*time.Second, bbr.ProbeBWDown)
	r.setRate(8e6)
	out := r.until(10*time.Second, "the end of DOWN", func(s bbrStep) bool {
		return s.left(bbr.ProbeBWDown)
	})
	if out.after.State != bbr.ProbeBWRefill {
		t.Fatalf("left DOWN for %v, %d in flight, BDP %d", out.after.State, out.flight, out.after.BDP)
	}
	if d := out.at.Sub(in.at); d < 2*time.Second || d > 4*time.Second || d < in.after.ProbeWait {
		t.Errorf("waited %v, bw_probe_wait is %v", d, in.after.ProbeWait)
	}
}

// "Achieving Expected Cruise Bandwidth on a Link With Aggregation"
func TestBBRDraft13CruiseAggregation(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=4bdp,ackagg=25ms", unlimited)
	s := r.untilState(30*time.Second, bbr.ProbeBWCruise)
	if s.after.ExtraAcked < s.after.BDP/4 {
		t.Errorf("extra_acked is %d, BDP %d", s.after.ExtraAcked, s.after.BDP)
	}
	if s.cwnd < s.after.BDP+s.after.ExtraAcked {
		t.Errorf("cwnd %d is not raised by extra_acked %d, BDP %d", s.cwnd, s.after.ExtraAcked, s.after.BDP)
	}
	r.pass(5 * time.Second)
	if got, want := r.goodput(20*time.Second), 8*payload(20e6); got < 0.9*want {
		t.Errorf("goodput %.1f Mbit/s, want 0.9 of %.1f", got/1e6, want/1e6)
	}
}

// "Correctly Managing Sub-Packet BDPs"
func TestBBRDraft14SubPacketBDP(t *testing.T) {
	r := newBBRRun(t, "rate=1mbit,rtt=5ms,queue=20pkt", unlimited) // 625 octets
	r.untilState(60*time.Second, bbr.ProbeBWCruise)
	r.pass(10 * time.Second)
	low := 1 << 30
	for _, s := range r.steps[len(r.steps)-400:] {
		low = min(low, s.cwnd)
	}
	if low < 4*1448 {
		t.Errorf("cwnd fell to %d, want 4 segments at least", low)
	}
	if got, want := r.goodput(20*time.Second), 8*payload(1e6); got < 0.95*want {
		t.Errorf("goodput %.3f Mbit/s, want 0.95 of %.3f", got/1e6, want/1e6)
	}
	if v := r.alg.View(); !near(float64(v.MaxBW), payload(1e6), 0.1) {
		t.Errorf("max_bw %d, want %.0f within 10 %%", v.MaxBW, payload(1e6))
	}
}

// "Handling Loss During PROBE_UP After inflight_longterm is Set"
func TestBBRDraft21LossInUp(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=1bdp", unlimited)
	set := r.until(60*time.Second, "inflight_longterm", func(s bbrStep) bool { return s.after.InflightLongterm != bbr.Unset })
	r.until(60*time.Second, "UP", func(s bbrStep) bool {
		return s.at > set.at && s.after.State == bbr.ProbeBWUp && !s.after.PrevProbeTooHigh
	})
	r.pass(60 * time.Millisecond)
	before := r.alg.View()
	if before.State != bbr.ProbeBWUp {
		t.Fatalf("in %v", before.State)
	}
	n := 0
	r.lose = func(mono.Time, *wire.Segment) bool { n++; return n%5 == 0 }
	s := r.until(time.Second, "the end of UP", func(s bbrStep) bool { return s.after.State != bbr.ProbeBWUp })
	if s.after.State != bbr.ProbeBWDown || !s.after.PrevProbeTooHigh || s.after.FullBWCount >= 3 {
		t.Errorf("left UP with %+v, want DOWN for loss", s.after)
	}
	if s.after.InflightLongterm < min(s.after.BDP, s.cwnd)*69/100 || s.after.InflightLongterm > s.cwndBefore {
		t.Errorf("inflight_longterm is %d, want from 0.7 of the target %d to the window %d", s.after.InflightLongterm, s.after.BDP, s.cwndBefore)
	}
}

// "Handling Application-Limited Sending During PROBE_REFILL"
func TestBBRDraft22RefillAppLimited(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	r.untilState(5*time.Second, bbr.ProbeBWDown)
	r.trickle(5*time.Millisecond, 20*time.Second, 4*1448)
	in := r.untilState(10*time.Second, bbr.ProbeBWRefill)
	limited := 0
	out := r.until(time.Second, "the end of REFILL", func(s bbrStep) bool {
		if s.ack.Rate.AppLimited && s.ack.Rate.OctetsPerSec < s.before.MaxBW {
			limited++
		}
		return s.left(bbr.ProbeBWRefill)
	})
	if limited == 0 || out.after.MaxBW != in.after.MaxBW {
		t.Errorf("%d samples for want of data took max_bw from %d to %d", limited, in.after.MaxBW, out.after.MaxBW)
	}
	if out.after.State != bbr.ProbeBWUp || out.after.Round != in.after.Round+1 {
		t.Errorf("went to %v after %d rounds, want UP after one", out.after.State, out.after.Round-in.after.Round)
	}
}
