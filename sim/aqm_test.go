package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

const ms = mono.Time(time.Millisecond)

// "control_law(t, count) = t + interval/sqrt(count)": with an interval of 100 ms the drops
// come 100, 70.7, 57.7, 50, 44.7 ms after each other.
// https://www.rfc-editor.org/rfc/rfc8289.html#section-5
func TestCoDelControlLaw(t *testing.T) {
	c := codel{cfg: CoDel{Target: 5 * time.Millisecond, Interval: 100 * time.Millisecond}}
	for i, want := range []float64{100, 70.710678, 57.735026, 50, 44.721359} {
		c.count = i + 1
		if got := float64(c.controlLaw(0)) / 1e6; math.Abs(got-want) > 1e-6 {
			t.Errorf("count %d: %v ms, want %v", c.count, got, want)
		}
	}
}

// A standing queue above the target is first dropped from when it has stood for an interval,
// then faster and faster, and no more when it is below; when it comes back soon, the rate of
// drops is about what it was.
func TestCoDelEpisode(t *testing.T) {
	n := newNetwork(1)
	n.paths = []*path{newPath(PathConfig{
		Rate: 12e6, CoDel: CoDel{Target: 5 * time.Millisecond, Interval: 100 * time.Millisecond},
	}, n.rand(1))}
	l := n.paths[0]
	var drops []mono.Time
	l.watch = func(e QueueEvent) {
		if e.Kind == QueueDrop {
			drops = append(drops, e.At)
		}
	}
	// 12 Mbit/s are a packet of 1500 octets a millisecond. Fifty in the queue at once, and one
	// a millisecond after: the queue stands at 50 ms.
	for range 50 {
		n.serve(0, -1, 1500)
	}
	for i := range 600 {
		n.after(time.Duration(i)*time.Millisecond+500*time.Microsecond, func(mono.Time) { n.inject(0, 0, 1500) })
	}
	n.run(600 * ms)
	// The sixth packet is the first that has waited for 5 ms, so the interval ends at 105.
	want := []mono.Time{105 * ms, 205 * ms}
	for count := 2; count < 6; count++ {
		want = append(want, want[len(want)-1]+mono.Time(1e8/math.Sqrt(float64(count))))
	}
	for i, w := range want {
		// A drop happens at the first departure after it is due.
		if i >= len(drops) || drops[i] < w || drops[i] > w+ms {
			t.Fatalf("drops at %v, want the %d-th from %v on", drops, i, time.Duration(w))
		}
	}
	before := len(drops)
	n.run(900 * ms) // it runs empty
	for i := range 300 {
		n.after(time.Duration(i)*time.Millisecond/2, func(mono.Time) { n.inject(0, 0, 1500) })
	}
	n.run(1200 * ms)
	if c := l.manager.(*codelQueue).codel.lastCount; c < 2 || len(drops) == before {
		t.Errorf("came back with count %d, and %d drops", c, len(drops)-before)
	}
}

// What is ECN-capable is marked, and not dropped, if the link says so.
func TestCoDelMarks(t *testing.T) {
	link := mustLink(t, "rate=10mbit,rtt=40ms,queue=8bdp,aqm=codel,ecn=aqm")
	r := mustRun(t, Spec{Link: link, Time: 30 * time.Second, Seed: 1})
	if r.Link.Marks == 0 || r.Link.QueueDrops > 0 {
		t.Errorf("%d marks and %d drops, want marks alone", r.Link.Marks, r.Link.QueueDrops)
	}
	within(t, "p95 of the queue with marks", r.Link.QueueMillis.P95, 1, 25)
	link.MarkECT = false
	r = mustRun(t, Spec{Link: link, Time: 30 * time.Second, Seed: 1})
	if r.Link.Marks > 0 || r.Link.QueueDrops == 0 {
		t.Errorf("%d marks and %d drops, want drops alone", r.Link.Marks, r.Link.QueueDrops)
	}
	within(t, "p95 of the queue with drops", r.Link.QueueMillis.P95, 1, 25)
	within(t, "utilization", r.Link.Utilization, 0.8, 1)
	link.CoDel = nil
	r = mustRun(t, Spec{Link: link, Time: 30 * time.Second, Seed: 1})
	within(t, "p95 of the queue without CoDel", r.Link.QueueMillis.P95, 150, 350)
}

// The average is a moving one with the weight, and decays as if small packets had passed
// while the queue was empty; the probability grows from 0 at Min to P at Max, and from there
// to 1 at twice Max.
func TestREDArithmetic(t *testing.T) {
	r := newRED(RED{Min: 5000, Max: 15000, P: 0.1, Weight: 0.002}, 12e6)
	r.empty = mono.Never
	r.average(0, 10000)
	r.average(0, 10000)
	if want := 10000*0.002*0.998 + 10000*0.002; math.Abs(r.avg-want) > 1e-9 {
		t.Errorf("average %v, want %v", r.avg, want)
	}
	r.avg, r.empty = 10000, 0
	r.average(100*ms, 0) // 100 packets of 1 ms
	if want := 10000 * math.Pow(0.998, 100); math.Abs(r.avg-want) > 1e-6 {
		t.Errorf("after 100 ms of silence %v, want %v", r.avg, want)
	}
	for avg, want := range map[float64]float64{4999: 0, 5000: 0, 10000: 0.05, 15000: 0.1, 22500: 0.55, 30000: 1, 1e6: 1} {
		r.avg = avg
		if got := r.probability(); math.Abs(got-want) > 1e-4 {
			t.Errorf("at %v octets: %v, want %v", avg, got, want)
		}
	}
	r.cfg.Sudden = true
	r.avg = 15000
	if got := r.probability(); got != 1 {
		t.Errorf("not gentle: %v at Max, want 1", got)
	}
}

// With a constant average the gaps between hits are spread evenly, as the count makes them.
// It stands at 1 when the first packet after a hit comes, so they are of 1 to 1/p - 1
// packets, and of 1/(2p) in the mean.
func TestREDGaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	r := newRED(RED{Min: 5000, Max: 15000, P: 0.1, Weight: 1e-12}, 12e6)
	r.empty, r.avg = mono.Never, 10000 // p = 0.05
	gap, hits, longest := 0, 0, 0
	const packets = 200_000
	for range packets {
		gap++
		if r.hits(0, 10000, rng) {
			hits++
			longest = max(longest, gap)
			gap = 0
		}
	}
	within(t, "packets a hit", packets/float64(hits), 9.9, 10.1)
	within(t, "longest gap", float64(longest), 19, 19)
}

// RED keeps the queue of one flow between its thresholds, about.
func TestREDQueue(t *testing.T) {
	link := mustLink(t, "rate=20mbit,rtt=50ms,queue=4bdp,aqm=red:30kb:90kb")
	r := mustRun(t, Spec{Link: link, Flows: 4, Time: time.Minute, Seed: 1})
	within(t, "median of the queue in ms", r.Link.QueueMillis.P50, 5, 36)
	within(t, "utilization", r.Link.Utilization, 0.9, 1)
	link.MarkECT = true
	r = mustRun(t, Spec{Link: link, Flows: 4, Time: time.Minute, Seed: 1})
	if r.Link.Marks == 0 || r.Link.QueueDrops > r.Link.Marks/10 {
		t.Errorf("%d marks and %d drops", r.Link.Marks, r.Link.QueueDrops)
	}
}

// ect is a frame of an IPv4 packet of so many octets that is ECN-capable.
func ect(octets int) []byte {
	b := blank(octets)
	b[12], b[13] = 8, 0
	b[wire.EthernetLen], b[wire.EthernetLen+1] = 0x45, wire.ECNECT0
	return b
}

// A step marks what finds more than its threshold in the queue, and nothing else.
func TestStepMark(t *testing.T) {
	for _, cfg := range []PathConfig{{Rate: 12e6, StepPackets: 3}, {Rate: 12e6, StepOctets: 4500}} {
		l := newTestPath(cfg)
		for i := range 6 {
			if v := l.put(0, ect(1500)); v.mark != (i > 3) {
				t.Errorf("%+v: packet %d: marked = %v", cfg, i, v.mark)
			}
		}
	}
	r := mustRun(t, Spec{Link: mustLink(t, "rate=20mbit,rtt=20ms,queue=4bdp,ecn=step:20pkt"), Time: 20 * time.Second, Seed: 1})
	if r.Link.Marks == 0 || r.Link.QueueDrops > 60 {
		t.Errorf("%d marks and %d drops", r.Link.Marks, r.Link.QueueDrops)
	}
}
