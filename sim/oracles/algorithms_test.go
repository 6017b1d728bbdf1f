package oracles

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
)

// race simulates flows with these algorithms over one bottleneck.
func race(t *testing.T, link string, d time.Duration, cc ...string) *sim.Result {
	t.Helper()
	l, err := sim.ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	r, err := sim.Run(sim.Spec{
		Link: l, CC: cc, Flows: len(cc), Algorithms: catalog.All().Creators(), Time: d, Seed: 1,
	})
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

// share is what the first of two flows gets.
func share(r *sim.Result) float64 {
	a, b := r.Flows[0].GoodputBPS, r.Flows[1].GoodputBPS
	return a / (a + b)
}

// deep is a path whose queue takes two BDP.
const deep = "rate=20mbit,rtt=50ms,queue=2bdp"

// CUBIC fills the link, shares it with its like, is Reno's equal on a short path, and on a long
// one takes what Reno leaves.
func TestCubic(t *testing.T) {
	within(t, "utilization", race(t, deep, time.Minute, "cubic").Link.Utilization, 0.99, 1.001)
	within(t, "fairness of four", race(t, deep, 2*time.Minute, "cubic", "cubic", "cubic", "cubic").Jain, 0.97, 1)
	within(t, "share beside Reno, 10 ms", share(race(t, "rate=20mbit,rtt=10ms", 3*time.Minute, "cubic", "reno")), 0.4, 0.6)
	within(t, "share beside Reno, 100 ms", share(race(t, "rate=100mbit,rtt=100ms", 100*time.Second, "cubic", "reno")), 0.55, 0.95)
}

// HyStart++ ends slow start before most of the loss that it would end with.
func TestHyStartSparesLoss(t *testing.T) {
	with := race(t, deep, 10*time.Second, "cubic").Link.Drops
	without := race(t, deep, 10*time.Second, "cubic?hystart=off").Link.Drops
	if with > without/3 {
		t.Errorf("%d drops in ten seconds, and %d without HyStart++; want at most a third", with, without)
	}
}

// Vegas holds two to four segments of each flow in the queue, 0.6 ms each.
func TestVegas(t *testing.T) {
	r := race(t, deep, 2*time.Minute, "vegas")
	within(t, "utilization", r.Link.Utilization, 0.99, 1.001)
	within(t, "95 % of the queueing (ms)", r.Link.QueueMillis.P95, 0.6, 3)
	r = race(t, deep, 2*time.Minute, "vegas", "vegas")
	within(t, "fairness of two", r.Jain, 0.9, 1)
	within(t, "95 % of the queueing of two (ms)", r.Link.QueueMillis.P95, 1.2, 6)
	if r.Link.Drops > 0 {
		t.Errorf("%d drops, want none", r.Link.Drops)
	}
}

// LEDBAT++ adds 60 ms to the queue and no more, takes nine tenths of the link, shares it with its
// like, and leaves it to others.
func TestLEDBAT(t *testing.T) {
	r := race(t, deep, 5*time.Minute, "ledbat")
	within(t, "utilization", r.Link.Utilization, 0.9, 1.001)
	within(t, "95 % of the queueing (ms)", r.Link.QueueMillis.P95, 50, 63)
	r = race(t, deep, 10*time.Minute, "ledbat", "ledbat")
	within(t, "fairness of two", r.Jain, 0.95, 1)
	within(t, "95 % of the queueing of two (ms)", r.Link.QueueMillis.P95, 50, 66)
	for _, other := range []string{"cubic", "reno"} {
		within(t, "share beside "+other, share(race(t, deep, 3*time.Minute, "ledbat", other)), 0, 0.04)
	}
	// A queue of less than the target never tells it of others. What is left is its GAIN of a third:
	// beside Reno, which halves at the same losses, that is at most sqrt(1/3) of its window.
	const short = "rate=20mbit,rtt=50ms,queue=0.5bdp"
	within(t, "share beside reno, short queue", share(race(t, short, 5*time.Minute, "ledbat", "reno")), 0.2, 0.37)
	within(t, "share beside cubic, short queue", share(race(t, short, 5*time.Minute, "ledbat", "cubic")), 0.15, 0.32)
}

// DCTCP keeps the queue at the threshold of the marks and the link busy, where Reno, which halves
// for each mark, does not.
func TestDCTCP(t *testing.T) {
	const link = "rate=100mbit,rtt=10ms,queue=2bdp,ecn=ce-threshold:1ms"
	r := race(t, link, time.Minute, "dctcp", "dctcp", "dctcp", "dctcp")
	within(t, "utilization", r.Link.Utilization, 0.98, 1.001)
	within(t, "95 % of the queueing (ms)", r.Link.QueueMillis.P95, 0.3, 2)
	within(t, "fairness of four", r.Jain, 0.98, 1)
	if r.Link.Drops > 0 || r.Link.Marks == 0 {
		t.Errorf("%d drops, %d marks; want none, some", r.Link.Drops, r.Link.Marks)
	}
	within(t, "utilization of Reno", race(t, link, time.Minute, "reno").Link.Utilization, 0.6, 0.92)
}

// A constant rate is one, with loss and without.
func TestFixed(t *testing.T) {
	for _, link := range []string{deep, deep + ",loss=0.01"} {
		r := race(t, link, time.Minute, "fixed?rate=8")
		within(t, "goodput at 8 Mbit/s over "+link, r.Flows[0].GoodputBPS/8e6, 0.97, 1.005)
		within(t, "95 % of the queueing (ms)", r.Link.QueueMillis.P95, 0, 3)
	}
}
