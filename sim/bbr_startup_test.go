package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/bbr"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The tests TestBBRDraft… are the example test cases of draft-ietf-ccwg-bbr, in their order
// and under their names: this file has those that begin in Startup and Drain.

// "Exiting STARTUP on Bandwidth Plateau"
func TestBBRDraft01StartupPlateau(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	s := r.until(5*time.Second, "the end of Startup", func(s bbrStep) bool { return s.left(bbr.Startup) })
	if s.after.State != bbr.Drain || !s.after.FullBWNow || !s.after.FullBWReached || s.after.FullBWCount != 3 {
		t.Errorf("left Startup with %+v, want Drain after 3 rounds", s.after)
	}
	if !near(float64(s.after.MaxBW), payload(20e6), 0.02) {
		t.Errorf("max_bw is %d, want %.0f within 2 %%", s.after.MaxBW, payload(20e6))
	}
	// The count went up once a round, on samples that grew by less than a quarter.
	count := 0
	for _, s := range r.steps {
		if s.after.FullBWCount > s.before.FullBWCount {
			count++
			if s.after.FullBWCount != count || s.ack.Rate.AppLimited || s.before.Round == s.after.Round {
				t.Errorf("count went to %d at %+v", s.after.FullBWCount, s.ack)
			}
		} else if s.after.FullBWCount < s.before.FullBWCount {
			count = 0
		}
		if count == 3 {
			break
		}
	}
}

// "Exiting STARTUP on Loss When Application-Limited"
func TestBBRDraft02StartupLossAppLimited(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=2bdp", 0)
	// A segment at a time, so that each lost one is a range of its own.
	r.pass(100 * time.Millisecond)
	r.trickle(500*time.Microsecond, 3*time.Second, 1448)
	r.pass(time.Second)
	if v := r.alg.View(); v.State != bbr.Startup || v.FullBWReached {
		t.Fatalf("left Startup without loss: %+v", v)
	}
	n := 0
	r.lose = func(mono.Time, *wire.Segment) bool { n++; return n%10 == 0 }
	s := r.until(2*time.Second, "the end of Startup", func(s bbrStep) bool { return s.left(bbr.Startup) })
	// With so little in flight the same ACK ends Drain.
	if s.after.DrainStartRound != s.after.Round || !s.after.FullBWNow || !s.after.FullBWReached {
		t.Errorf("left Startup with %+v, want Drain with a full pipe", s.after)
	}
	if s.after.FullBWCount >= 3 {
		t.Errorf("a plateau of application-limited samples was counted: %d", s.after.FullBWCount)
	}
	if s.after.InflightLongterm == bbr.Unset || s.after.InflightLongterm < s.after.BDP {
		t.Errorf("inflight_longterm is %d, want the BDP %d at least", s.after.InflightLongterm, s.after.BDP)
	}
}

// Fewer than six ranges lost in a round do not end Startup, however many octets they are.
func TestBBRStartupBearsOneBurst(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=2bdp", 0)
	r.pass(100 * time.Millisecond)
	r.trickle(500*time.Microsecond, 3*time.Second, 1448)
	r.pass(time.Second)
	n := 0
	r.lose = func(mono.Time, *wire.Segment) bool { n++; return n%100 < 5 } // one range a round
	r.pass(time.Second)
	if v := r.alg.View(); v.State != bbr.Startup || v.FullBWReached {
		t.Errorf("left Startup: %+v", v)
	}
}

// "Exiting DRAIN Based on Inflight"
func TestBBRDraft03DrainInflight(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	s := r.untilState(5*time.Second, bbr.Drain)
	if s.after.PacingGain != 50 || s.after.CwndGain != 200 {
		t.Errorf("gains in Drain: %d, %d", s.after.PacingGain, s.after.CwndGain)
	}
	if got, want := float64(s.pacing), 0.5*0.99*float64(s.after.BW); !near(got, want, 0.001) {
		t.Errorf("paces at %.0f in Drain, want %.0f", got, want)
	}
	s = r.until(time.Second, "the end of Drain", func(s bbrStep) bool { return s.left(bbr.Drain) })
	// Where the queue is empty, the same ACK ends DOWN.
	if s.after.State != bbr.ProbeBWDown && s.after.State != bbr.ProbeBWCruise {
		t.Errorf("left Drain for %v", s.after.State)
	}
	if s.flight > s.after.BDP || s.before.Round > s.before.DrainStartRound+3 {
		t.Errorf("left with %d in flight in round %d of Drain, BDP %d", s.flight, s.before.Round-s.before.DrainStartRound, s.after.BDP)
	}
	for _, p := range r.steps {
		if p.before.State == bbr.Drain && p.after.State == bbr.Drain && p.flight <= p.after.BDP {
			t.Errorf("stayed in Drain with %d in flight, BDP %d", p.flight, p.after.BDP)
		}
	}
}

// "Exiting DRAIN Based on Time". A tenth less bandwidth, as the draft has it, leaves a queue
// that half the pacing rate drains in a round; to keep it longer a competitor that takes two
// thirds of the link is needed.
func TestBBRDraft04DrainTime(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=4bdp", unlimited)
	r.on = func(s bbrStep) {
		if s.before.State != bbr.Drain && s.after.State == bbr.Drain {
			r.setRate(6e6)
		}
	}
	r.untilState(5*time.Second, bbr.Drain)
	s := r.until(10*time.Second, "the end of Drain", func(s bbrStep) bool { return s.left(bbr.Drain) })
	if s.after.State != bbr.ProbeBWDown || s.before.Round < s.before.DrainStartRound+3 || s.after.Round != s.before.DrainStartRound+4 {
		t.Errorf("left Drain for %v in round %d of it, want ProbeBW_DOWN when the third is over", s.after.State, s.after.Round-s.before.DrainStartRound)
	}
	if s.flight <= s.after.BDP {
		t.Errorf("%d in flight is no more than the BDP %d: time was not what ended it", s.flight, s.after.BDP)
	}
}

// "Never Exiting PROBE_UP (or STARTUP) When Application-Limited With No Loss"
func TestBBRDraft07AppLimitedStays(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=2bdp", 0)
	r.pass(100 * time.Millisecond)
	// ProbeRTT aside, which is due each five seconds.
	r.trickle(2*time.Millisecond, 30*time.Second, 1448)
	r.pass(30 * time.Second)
	visits := 0
	for _, s := range r.steps {
		switch s.after.State {
		case bbr.Startup:
		case bbr.ProbeRTT:
			visits++
		case bbr.Drain, bbr.ProbeBWDown, bbr.ProbeBWCruise, bbr.ProbeBWRefill, bbr.ProbeBWUp:
			t.Fatalf("in %v at %v", s.after.State, s.at)
		}
	}
	if len(r.steps) < 5000 || visits == 0 {
		t.Errorf("%d ACKs, %d of them in ProbeRTT: the test is not what it says", len(r.steps), visits)
	}

	r = newBBRRun(t, "rate=20mbit,rtt=50ms,queue=2bdp", unlimited)
	r.untilState(5*time.Second, bbr.ProbeBWDown)
	r.trickle(5*time.Millisecond, 40*time.Second, 4*1448) // about half of the link
	r.untilState(10*time.Second, bbr.ProbeBWUp)
	began := len(r.steps)
	r.pass(20 * time.Second)
	up := 0
	for _, s := range r.steps[began:] {
		if s.after.State == bbr.ProbeBWUp {
			up++
		}
		if s.left(bbr.ProbeBWUp) && s.after.State != bbr.ProbeRTT {
			t.Errorf("left UP for %v at %v: %+v", s.after.State, s.at, s.ack)
		}
	}
	if up < 1000 {
		t.Errorf("%d ACKs in UP: the test is not what it says", up)
	}
}

// "Achieving Expected STARTUP Bandwidth on a Link With Aggregation"
func TestBBRDraft12StartupAggregation(t *testing.T) {
	r := newBBRRun(t, "rate=20mbit,rtt=50ms,queue=4bdp,ackagg=25ms", unlimited)
	s := r.until(10*time.Second, "the end of Startup", func(s bbrStep) bool { return s.left(bbr.Startup) })
	if !near(float64(s.after.MaxBW), payload(20e6), 0.1) {
		t.Errorf("max_bw is %d, want %.0f within 10 %%", s.after.MaxBW, payload(20e6))
	}
	// Half a round trip's worth comes at once.
	if s.before.ExtraAcked < s.after.BDP/4 || s.cwnd <= 2*s.after.BDP {
		t.Errorf("extra_acked %d, cwnd %d, BDP %d: want more than two BDPs", s.before.ExtraAcked, s.cwnd, s.after.BDP)
	}
}

// "Entering and Exiting PROBE_RTT During STARTUP"
func TestBBRDraft20ProbeRTTInStartup(t *testing.T) {
	r := newBBRRun(t, "rate=100mbit,rtt=50ms,queue=2bdp", 0)
	r.pass(100 * time.Millisecond)
	r.trickle(2*time.Millisecond, 20*time.Second, 1448)
	in := r.untilState(10*time.Second, bbr.ProbeRTT)
	if in.before.State != bbr.Startup || in.after.FullBWReached {
		t.Fatalf("entered from %v, full pipe %v", in.before.State, in.after.FullBWReached)
	}
	out := r.until(2*time.Second, "the end of ProbeRTT", func(s bbrStep) bool { return s.left(bbr.ProbeRTT) })
	if out.after.State != bbr.Startup || out.after.PacingGain != 277 {
		t.Errorf("went on in %v at gain %d, want Startup", out.after.State, out.after.PacingGain)
	}
	if d := out.at.Sub(in.at); d < 200*time.Millisecond || d > 400*time.Millisecond {
		t.Errorf("ProbeRTT took %v", d)
	}
}
