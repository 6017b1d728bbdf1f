package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// "PIE->drop_prob_" moves by alpha times the distance from the target and beta times the
// change, less of it while it is small.
// https://www.rfc-editor.org/rfc/rfc8033.html#section-4.2
func TestPIEUpdate(t *testing.T) {
	const d = 20 * time.Millisecond
	for _, tt := range []struct {
		p           float64
		delay, last time.Duration
		want        float64
	}{
		// 0.125*(20-15 ms) + 1.25*(20-16 ms) = 0.005625
		{0.05, d, 16 * time.Millisecond, 0.05 + 0.005625/2},
		{0.005, d, 16 * time.Millisecond, 0.005 + 0.005625/8},
		{0.0005, d, 16 * time.Millisecond, 0.0005 + 0.005625/32},
		{0.00005, d, 16 * time.Millisecond, 0.00005 + 0.005625/128},
		{0.000005, d, 16 * time.Millisecond, 0.000005 + 0.005625/512},
		{0, d, 16 * time.Millisecond, 0.005625 / 2048},
		{0.2, d, 16 * time.Millisecond, 0.205625},
		{0.2, 200 * time.Millisecond, d, 0.22},             // at most 2 % at once
		{0.2, 0, 0, (0.2 - 0.125*0.015) * 0.98},            // the queue is idle
		{0.05, 0, 100 * time.Millisecond, 0},               // never below 0
		{0.999, 90 * time.Millisecond, 5 * d / 2, 1 - 0.0}, // nor above 1
	} {
		c := newPIE(PIE{Target: pieTarget})
		c.p, c.last = tt.p, tt.last
		c.update(tt.delay)
		if math.Abs(c.p-tt.want) > 1e-12 {
			t.Errorf("p %v, delay %v after %v: %v, want %v", tt.p, tt.delay, tt.last, c.p, tt.want)
		}
	}
}

// The burst allowance lets 150 ms pass, and comes back when the queue has been short.
func TestPIEBurst(t *testing.T) {
	c := newPIE(PIE{Target: pieTarget})
	rng := rand.New(rand.NewPCG(1, 1))
	first := mono.Never
	for now := mono.Time(0); now < 400*ms && first == mono.Never; now += ms {
		if _, drop := c.judge(now, now+100*ms, 100*MTU, false, rng); drop {
			first = now
		}
	}
	if first < 150*ms || first == mono.Never {
		t.Errorf("the first drop is at %v, want it after 150 ms", time.Duration(first))
	}
	c.judge(100_000*ms, 0, 0, false, rng)
	if c.p != 0 || c.burst != pieBurst {
		t.Errorf("after a long silence p is %v and the allowance %v", c.p, c.burst)
	}
}

// Drops come as often as the probability says, neither together nor never; beyond a tenth what
// is ECN-capable is dropped, too.
func TestPIEHits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, tt := range []struct {
		p    float64
		mark bool
	}{{0.05, true}, {0.3, false}} {
		c := newPIE(PIE{Target: pieTarget})
		c.p, c.burst, c.next, c.last = tt.p, 0, mono.Never, time.Second
		gap, longest, hits := 0, 0, 0
		const packets = 100_000
		for range packets {
			gap++
			mark, drop := c.judge(0, 1000*ms, 100*MTU, true, rng)
			if mark && !tt.mark || drop && tt.mark {
				t.Fatalf("p %v: mark %v, drop %v", tt.p, mark, drop)
			}
			if mark || drop {
				if shortest := int(0.85 / tt.p); gap < shortest {
					t.Fatalf("p %v: a gap of %d, want at least %d", tt.p, gap, shortest)
				}
				hits++
				longest = max(longest, gap)
				gap = 0
			}
		}
		// The chance begins with the packet that brings the account to 0.85, and then it is one in 1/p.
		within(t, "packets a hit", packets/float64(hits)/(math.Ceil(0.85/tt.p)-1+1/tt.p), 0.98, 1.02)
		within(t, "longest gap", float64(longest)*tt.p, 1, 8.6)
	}
}

// PIE holds the delay of a queue that would take 200 ms near its target, and the link in use.
func TestPIEQueue(t *testing.T) {
	link := mustLink(t, "rate=20mbit,rtt=50ms,queue=4bdp,aqm=pie")
	r := mustRun(t, Spec{Link: link, Flows: 4, Time: time.Minute, Seed: 1})
	within(t, "median of the queue in ms", r.Link.QueueMillis.P50, 5, 25)
	within(t, "utilization", r.Link.Utilization, 0.9, 1)
	link.MarkECT = true
	late := 0 // drops when the slow starts, which take the chance beyond a tenth, are over
	r = mustRun(t, Spec{Link: link, Flows: 4, Time: time.Minute, Seed: 1, Queue: func(e QueueEvent) {
		if e.Kind == QueueDrop && e.At > 5000*ms {
			late++
		}
	}})
	if r.Link.Marks < 100 || late > 0 {
		t.Errorf("%d marks, and %d drops after 5 s", r.Link.Marks, late)
	}
}
