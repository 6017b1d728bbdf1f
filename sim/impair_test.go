package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// A bucket of 10 kB at 8 Mbit/s, a kilooctet a millisecond: the first ten packets of 1000
// octets pass at once, then one a millisecond.
func TestBucket(t *testing.T) {
	shaper := bucket{cfg: Bucket{Rate: 8e6, Burst: 10_000}}
	for i := range 20 {
		want := mono.Time(max(0, i-9)) * ms
		if got := shaper.when(0, 1000); i < 10 && got != want {
			t.Errorf("packet %d leaves at %v, want %v", i, got, want)
		}
	}
	shaper = bucket{cfg: Bucket{Rate: 8e6, Burst: 10_000}}
	now := mono.Time(0)
	for i := range 20 {
		if now = shaper.when(now, 1000); now != mono.Time(max(0, i-9))*ms {
			t.Errorf("packet %d leaves at %v, want %v", i, now, max(0, i-9))
		}
	}
	if got := shaper.when(now+4*ms, 3000); got != now+4*ms {
		t.Errorf("4000 octets saved, and 3000 wait until %v", got)
	}
	// The policer passes what the shaper would not hold.
	policer := bucket{cfg: Bucket{Rate: 8e6, Burst: 10_000}}
	passed := 0
	for i := range 1000 { // twice the rate, for half a second
		if policer.take(mono.Time(i)*ms/2, 1000) {
			passed++
		}
	}
	if passed < 508 || passed > 510 {
		t.Errorf("%d packets passed, want 10 of the burst and 500 of the rate", passed)
	}
	// An hour of silence fills it once, and overflows nothing.
	if !policer.take(mono.Time(time.Hour), 10_000) || policer.take(mono.Time(time.Hour), 1000) {
		t.Error("after an hour the bucket does not hold exactly its burst")
	}
}

// A flow through a shaper or a policer gets the rate of its bucket, less what losses cost.
func TestBucketFlows(t *testing.T) {
	for spec, low := range map[string]float64{
		"rate=50mbit,rtt=20ms,queue=60kb,bucket=10mbit:15kb": 0.95,
		"rate=50mbit,rtt=20ms,queue=60kb,police=10mbit:60kb": 0.7,
	} {
		r := mustRun(t, Spec{Link: mustLink(t, spec), Time: 30 * time.Second, Seed: 1})
		within(t, spec+": utilization", r.Link.Utilization, low, 1.01)
		if polices := strings.Contains(spec, "police"); polices != (r.Link.Policed > 0) {
			t.Errorf("%s: %d packets policed", spec, r.Link.Policed)
		}
	}
}

// Elliott's model: the share lost is that of the ill times Ill, and that of the well ones
// times Well; a time of illness is 1/Leave packets long.
func TestElliott(t *testing.T) {
	b := Burst{Enter: 0.02, Leave: 0.1, Ill: 0.5, Well: 0.01}
	l := newPath(PathConfig{Burst: b}, rand.New(rand.NewPCG(3, 3)))
	const n = 400_000
	lost, ill, turns, was := 0, 0, 0, false
	for range n {
		if l.put(0, blank(100)).dropped {
			lost++
		}
		if l.ill {
			ill++
			if !was {
				turns++
			}
		}
		was = l.ill
	}
	share := b.Enter / (b.Enter + b.Leave)
	within(t, "share of illness", float64(ill)/n, 0.97*share, 1.03*share)
	want := share*b.Ill + (1-share)*b.Well
	within(t, "share lost", float64(lost)/n, 0.97*want, 1.03*want)
	within(t, "length of illness", float64(ill)/float64(turns), 9.7, 10.3)
}

// The rate of a moment is what a packet is sent at, also when it changes meanwhile: of 1500
// octets at 12 Mbit/s half have left after half a millisecond, the rest takes 1 ms at 6.
func TestRateChanges(t *testing.T) {
	l := newTestPath(PathConfig{Rate: 12e6, Changes: []Change{
		{At: ms / 2, Rate: 6e6, Delay: -1}, {At: 10 * ms, Rate: 24e6, Delay: time.Millisecond},
	}})
	for i, want := range []mono.Time{3 * ms / 2, 7 * ms / 2} {
		if v := l.put(0, blank(1500)); v.arrives != want {
			t.Errorf("packet %d arrives at %v, want %v", i, time.Duration(v.arrives), time.Duration(want))
		}
	}
	if v := l.put(20*ms, blank(1500)); v.arrives != 20*ms+ms/2+ms {
		t.Errorf("at 24 Mbit/s and with a delay of 1 ms: %v", time.Duration(v.arrives-20*ms))
	}
	link := mustLink(t, "rate=20mbit,rtt=40ms,queue=1bdp,change=10s:rate:5mbit,change=20s:rate:20mbit")
	if got := link.MeanRate(0, 40*time.Second); got != (30*20e6+10*5e6)/40 {
		t.Errorf("mean rate %v", got)
	}
	r := mustRun(t, Spec{Link: link, Time: 30 * time.Second, Seed: 1})
	within(t, "utilization", r.Link.Utilization, 0.8, 1.01)
}

// The round trip changes with the link.
func TestRTTChanges(t *testing.T) {
	link := mustLink(t, "rate=20mbit,rtt=20ms,queue=1bdp,change=5s:rtt:100ms")
	var before, after time.Duration
	spec := Spec{Link: link, Time: 10 * time.Second, Seed: 1, SampleEvery: 100 * time.Millisecond}
	spec.Sample = func(s Sample) {
		if s.At <= 5*time.Second {
			before = s.SRTT
		} else {
			after = s.SRTT
		}
	}
	mustRun(t, spec)
	within(t, "round trip before, ms", before.Seconds()*1e3, 20, 45)
	within(t, "round trip after, ms", after.Seconds()*1e3, 100, 125)
}

// Flows of one link have round trips of their own, shorter and longer than the link's.
func TestFlowRTTs(t *testing.T) {
	r := mustRun(t, Spec{
		Link: mustLink(t, "rate=20mbit,rtt=50ms,queue=1bdp"), Time: 30 * time.Second, Seed: 1,
		FlowSpecs: []FlowSpec{{RTT: 20 * time.Millisecond}, {}, {RTT: 200 * time.Millisecond}},
	})
	for i, want := range []float64{20, 50, 200} {
		within(t, "least round trip, ms", r.Flows[i].RTTMillis.Min, want, want+8)
	}
	if r.Flows[0].GoodputBPS < 2*r.Flows[2].GoodputBPS {
		t.Errorf("20 ms got %.0f and 200 ms %.0f: Reno favours short round trips",
			r.Flows[0].GoodputBPS, r.Flows[2].GoodputBPS)
	}
}

// A flow with an end reaches it, and says when.
func TestFlowSizes(t *testing.T) {
	r := mustRun(t, Spec{
		Link: mustLink(t, LinkDefault), Time: 30 * time.Second, Seed: 1,
		FlowSpecs: []FlowSpec{{Start: time.Second, Octets: 2_000_000}, {Octets: 1}, {Start: 5 * time.Second}},
	})
	for i, f := range r.Flows[:2] {
		if f.CompletionS == nil || f.Octets != []int64{2_000_000, 1}[i] {
			t.Fatalf("flow %d: %+v", i, f)
		}
	}
	within(t, "seconds for 2 MB", *r.Flows[0].CompletionS, 0.9, 5)
	within(t, "seconds for an octet", *r.Flows[1].CompletionS, 0.07, 0.2)
	within(t, "goodput of 2 MB", r.Flows[0].GoodputBPS, 16e6 / *r.Flows[0].CompletionS * 0.999, 16e6 / *r.Flows[0].CompletionS * 1.001)
	if f := r.Flows[2]; f.CompletionS != nil || f.StartS != 5 || f.Octets == 0 {
		t.Errorf("a flow without end: %+v", f)
	}
}

// Cross traffic takes what it sends, and TCP the rest.
func TestCrossConstant(t *testing.T) {
	for _, link := range []string{LinkDefault, LinkDefault + ",aqm=codel"} {
		r := mustRun(t, Spec{
			Link: mustLink(t, link), Time: 30 * time.Second, Seed: 1, Cross: []CrossSpec{{Rate: 8e6, Packet: 1000}},
		})
		within(t, link+": packets", float64(r.Cross.Packets), 29_990, 30_001)
		within(t, link+": utilization by TCP", r.Link.Utilization, 0.45, 0.61)
	}
}

// Turns are as long as asked, in the mean.
func TestCrossOnOff(t *testing.T) {
	r := mustRun(t, Spec{
		Link: mustLink(t, LinkDefault), Time: 10 * time.Minute, Seed: 2,
		Cross: []CrossSpec{{Kind: CrossOnOff, Rate: 12e6, On: time.Second, Off: 3 * time.Second}},
	})
	within(t, "packets, of 1000 a second when on", float64(r.Cross.Packets), 0.8*150_000, 1.2*150_000)
}

// Short flows come as often as the load asks for, and are as large.
func TestCrossFlows(t *testing.T) {
	r := mustRun(t, Spec{
		Link: mustLink(t, LinkDefault), Time: time.Minute, Seed: 1,
		Cross: []CrossSpec{{Kind: CrossFlows, Rate: 4e6, Size: 20_000}},
	})
	within(t, "short flows, of 25 a second", float64(r.Cross.Flows), 1350, 1650)
	within(t, "completed", float64(r.Cross.Completed), 0.98*float64(r.Cross.Flows), float64(r.Cross.Flows))
	within(t, "median of their times, ms", r.Cross.CompletionMS.P50, 100, 600)
	if len(r.Flows) != 1 {
		t.Errorf("%d flows in the result, want the long one", len(r.Flows))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []CrossSpec{{Size: 30_000}, {Size: 30_000, Shape: 2.5}} {
		sum := 0.0
		for range 200_000 {
			sum += float64(c.size(rng))
		}
		within(t, "mean size", sum/200_000, 29_000, 31_000)
	}
}

// ACKs come in bunches.
func TestACKAggregation(t *testing.T) {
	l := newTestPath(PathConfig{Delay: 3 * time.Millisecond, Aggregate: 10 * time.Millisecond})
	for at, want := range map[mono.Time]mono.Time{0: 10 * ms, 7 * ms: 10 * ms, 7*ms + 1: 20 * ms} {
		l := *l
		if v := l.put(at, blank(60)); v.arrives != want {
			t.Errorf("sent at %v: arrives at %v, want %v", at, v.arrives, want)
		}
	}
	r := mustRun(t, Spec{Link: mustLink(t, LinkDefault+",ackagg=10ms"), Time: 20 * time.Second, Seed: 1})
	within(t, "utilization", r.Link.Utilization, 0.9, 1.001)
}

// An opportunity of a trace carries 1504 octets, 4 of them not of the packet: one large packet,
// or two of 748, or a part of one that goes on in the next.
func TestTraceOpportunities(t *testing.T) {
	trace := []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 15 * time.Millisecond}
	for _, c := range []struct {
		octets int
		want   []mono.Time
	}{
		{1500, []mono.Time{5, 10, 15, 20}},
		{748, []mono.Time{5, 5, 10, 10}},
		{1000, []mono.Time{5, 10, 15, 15}}, // 1004, 2008, 3012, 4016 of 1504, 3008, 4512
	} {
		l := newTestPath(PathConfig{Trace: trace})
		for i, want := range c.want {
			if v := l.put(0, blank(c.octets)); v.arrives != want*ms {
				t.Errorf("packet %d of %d octets leaves at %v, want %d ms", i, c.octets, time.Duration(v.arrives), want)
			}
		}
		if v := l.put(21*ms, blank(100)); v.arrives != 25*ms {
			t.Errorf("after a pause: at %v, want 25 ms", time.Duration(v.arrives))
		}
	}
}

// The queue's own log adds up: what came in has left or is still there.
func TestQueueEvents(t *testing.T) {
	for _, link := range []string{LinkDefault, LinkDefault + ",aqm=codel", LinkDefault + ",aqm=red"} {
		in, out, drops := 0, 0, 0
		last := mono.Time(0)
		spec := Spec{Link: mustLink(t, link), Time: 10 * time.Second, Seed: 1}
		spec.Queue = func(e QueueEvent) {
			switch e.Kind {
			case QueueIn:
				in++
			case QueueOut:
				out++
				if e.At < last || e.Waited < 0 {
					t.Fatalf("%s: leaves at %v after %v, waited %v", link, e.At, last, e.Waited)
				}
				last = e.At
			case QueueDrop:
				drops++
			}
		}
		r := mustRun(t, spec)
		if drops != int(r.Link.QueueDrops) || out == 0 || in < out || in > out+drops+200 {
			t.Errorf("%s: %d in, %d out, %d dropped of %d", link, in, out, drops, r.Link.QueueDrops)
		}
	}
}

// Convergence is counted from the last start.
func TestConvergence(t *testing.T) {
	p := pace{window: time.Second, jain: []float64{1, 1, 1, 0.5, 0.6, 0.95, 0.8, 0.95, 0.92, 0.99, 0.95}}
	if got := p.converged(2500*time.Millisecond, time.Minute); got == nil || *got != 4.5 {
		t.Errorf("got %v, want 4.5 s: the eighth window begins three fair ones", got)
	}
	if got := p.converged(0, time.Minute); got == nil || *got != 0 {
		t.Errorf("got %v, want 0", got)
	}
	p.jain = p.jain[:9]
	if got := p.converged(3*time.Second, time.Minute); got != nil {
		t.Errorf("got %v, want never", *got)
	}
	r := mustRun(t, Spec{
		Link: mustLink(t, LinkDefault), Time: 2 * time.Minute, Seed: 1, FlowSpecs: []FlowSpec{{}, {Start: 10 * time.Second}},
	})
	if r.ConvergenceS == nil {
		t.Fatal("two Reno flows do not converge in two minutes")
	}
	within(t, "seconds until two Reno flows share", *r.ConvergenceS, 1, 90)
}

func TestSpecRefuses(t *testing.T) {
	link := mustLink(t, LinkDefault)
	for want, spec := range map[string]Spec{
		"starts at":    {FlowSpecs: []FlowSpec{{Start: time.Hour}}},
		"negative":     {FlowSpecs: []FlowSpec{{Octets: -1}}},
		"no algorithm": {FlowSpecs: []FlowSpec{{CC: "nonesuch"}}},
		"no rate":      {Cross: []CrossSpec{{}}},
		"octets":       {Cross: []CrossSpec{{Rate: 1, Packet: 9000}}},
		"before it":    {Cross: []CrossSpec{{Rate: 1, Start: 5, Stop: 3}}},
		"more than":    {Cross: []CrossSpec{{Kind: CrossFlows, Rate: 1e12, Size: 1}}},
	} {
		spec.Link, spec.Algorithms = link, algorithms
		if _, err := Run(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
