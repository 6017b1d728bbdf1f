package sim

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
)

// algorithms is what tests can name.
var algorithms = Algorithms{"reno": func(options string) (congestion.Algorithm, error) {
	if options != "" {
		return nil, errors.New("has no options")
	}
	return reno.New(), nil
}}

func mustLink(t testing.TB, text string) LinkSpec {
	t.Helper()
	l, err := ParseLink(text)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustRun(t testing.TB, spec Spec) *Result {
	t.Helper()
	spec.Algorithms = algorithms
	r, err := Run(spec)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// within fails unless got lies from low to high.
func within(t *testing.T, what string, got, low, high float64) {
	t.Helper()
	if !(got >= low && got <= high) {
		t.Errorf("%s = %.4g, want %.4g to %.4g", what, got, low, high)
	}
}

// TestRenoSawtooth: one Reno flow over a queue of b BDP swings between half and all of what
// pipe and queue hold, (1+b)/2 and (1+b) BDP, and with b = 1 never lets the link idle.
func TestRenoSawtooth(t *testing.T) {
	for _, c := range []struct {
		link string
		bdp  float64 // in packets
		util float64
	}{
		{"rate=20mbit,rtt=50ms,queue=1bdp", 83.3, 0.98},
		{"rate=10mbit,rtt=20ms,queue=1bdp", 16.7, 0.97},
		{"rate=100mbit,rtt=20ms,queue=1bdp", 166.7, 0.98},
		{"rate=20mbit,rtt=50ms,queue=1bdp,jitter=0", 83.3, 0.98},
	} {
		r := mustRun(t, Spec{Link: mustLink(t, c.link), Time: 2 * time.Minute, Seed: 1})
		f := r.Flows[0]
		within(t, c.link+": utilization", r.Link.Utilization, c.util, 1.001)
		within(t, c.link+": least cwnd", f.CwndPackets.Min, 0.8*c.bdp, 1.15*c.bdp)
		within(t, c.link+": largest cwnd", f.CwndPackets.Max, 1.85*c.bdp, 2.2*c.bdp+2)
		within(t, c.link+": mean cwnd", f.CwndPackets.Avg, 1.3*c.bdp, 1.7*c.bdp)
		if f.Timeouts > 0 {
			t.Errorf("%s: %d time-outs, want none", c.link, f.Timeouts)
		}
	}
}

// TestRenoWithoutQueue: with a queue of a tenth of the BDP the sawtooth empties the pipe:
// between 75 % and 90 % of the link are used.
func TestRenoWithoutQueue(t *testing.T) {
	r := mustRun(t, Spec{Link: mustLink(t, "rate=20mbit,rtt=50ms,queue=0.1bdp"), Time: 2 * time.Minute, Seed: 1})
	within(t, "utilization", r.Link.Utilization, 0.75, 0.92)
}

// TestMathis: under random loss p Reno carries about MSS/RTT * sqrt(3/2)/sqrt(p), less where
// ACKs are delayed (Mathis et al., 1997: a factor of sqrt(1/2) then).
func TestMathis(t *testing.T) {
	for _, p := range []string{"0.01", "0.003"} {
		l := mustLink(t, "rate=20mbit,rtt=50ms,queue=2bdp,loss="+p)
		r := mustRun(t, Spec{Link: l, Time: 5 * time.Minute, Seed: 3})
		want := 1448 * 8 / 0.0506 * math.Sqrt(1.5/l.Loss)
		within(t, "goodput at loss "+p, r.Flows[0].GoodputBPS, want/2, want*1.5)
	}
}

// TestFairness: flows of one kind over one bottleneck share it.
func TestFairness(t *testing.T) {
	r := mustRun(t, Spec{Link: mustLink(t, LinkDefault), Flows: 4, Time: 5 * time.Minute, Seed: 1})
	within(t, "Jain's index", r.Jain, 0.9, 1)
	within(t, "utilization", r.Link.Utilization, 0.97, 1.001)
}

// TestResultOfLink: the round trip is measured without queueing at the least, and with all
// of the queue at the most.
func TestResultOfLink(t *testing.T) {
	r := mustRun(t, Spec{Link: mustLink(t, LinkDefault), Time: time.Minute, Seed: 5})
	f := r.Flows[0]
	within(t, "least round trip", f.RTTMillis.Min, 50, 52)
	within(t, "median round trip", f.RTTMillis.P50, 60, 100)
	within(t, "95 % of the round trips", f.RTTMillis.P95, f.RTTMillis.P50, 105)
	within(t, "95 % of the queueing", r.Link.QueueMillis.P95, 20, 50)
	within(t, "goodput", f.GoodputBPS, 0.9*20e6*1448/1500, 20e6)
	if again := mustRun(t, Spec{Link: mustLink(t, LinkDefault), Time: time.Minute, Seed: 5}); again.Digest != r.Digest {
		t.Errorf("digest %s, then %s", r.Digest, again.Digest)
	}
	if other := mustRun(t, Spec{Link: mustLink(t, LinkDefault), Time: time.Minute, Seed: 6}); other.Digest == r.Digest {
		t.Errorf("two seeds, one digest: %s", r.Digest)
	}
}

func TestRunRefuses(t *testing.T) {
	link := mustLink(t, LinkDefault)
	for name, spec := range map[string]Spec{
		"no link":           {},
		"too many flows":    {Link: link, Flows: FlowsMax + 1},
		"time backwards":    {Link: link, Time: -time.Second},
		"unknown algorithm": {Link: link, CC: []string{"vegas"}},
		"unknown option":    {Link: link, CC: []string{"reno?x=1"}},
	} {
		spec.Algorithms = algorithms
		if _, err := Run(spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A run stops when it is told to, and samples as often as asked.
func TestRunStopsAndSamples(t *testing.T) {
	spec := Spec{Link: mustLink(t, LinkDefault), Algorithms: algorithms, Time: 10 * time.Second, Flows: 2}
	var stopped time.Duration
	spec.Progress = func(done time.Duration) bool {
		stopped = done
		return done < 5*time.Second
	}
	if _, err := Run(spec); !errors.Is(err, ErrStopped) || stopped != 5*time.Second {
		t.Errorf("got %v at %v, want ErrStopped at 5s", err, stopped)
	}
	spec.Progress = nil
	spec.SampleEvery = 100 * time.Millisecond
	n, last := 0, Sample{}
	spec.Sample = func(s Sample) {
		if s.Flow == 1 {
			n++
			last = s
		}
	}
	mustRun(t, spec)
	if n != 100 || last.At != 10*time.Second || last.Cwnd == 0 || last.SRTT < 50*time.Millisecond || last.Delivered == 0 {
		t.Errorf("%d samples, the last %+v", n, last)
	}
}

// BenchmarkHour is an hour of 20 Mbit/s with four flows.
func BenchmarkHour(b *testing.B) {
	for b.Loop() {
		mustRun(b, Spec{Link: mustLink(b, LinkDefault), Flows: 4, Time: time.Hour, Seed: 1})
	}
}
