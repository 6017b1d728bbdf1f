package engine

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace-tcp/millrace/mono"
)

// TestTimers compares the heap to a search over all entries.
func TestTimers(t *testing.T) {
	var h timers[*Conn]
	rng := rand.New(rand.NewPCG(3, 4))
	conns := make([]*Conn, 300)
	at := make(map[*Conn]mono.Time)
	for i := range conns {
		conns[i] = &Conn{timerPos: unscheduled}
	}
	now := mono.Time(0)
	for i := range 100_000 {
		c := conns[rng.IntN(len(conns))]
		switch rng.IntN(4) {
		case 0, 1:
			when := now + mono.Time(rng.IntN(1000))
			if old, is := at[c]; !is || when < old {
				at[c] = when
			}
			h.schedule(c, when)
		case 2:
			h.cancel(c)
			delete(at, c)
		case 3:
			now += mono.Time(rng.IntN(5))
			for c := h.pop(now); c != nil; c = h.pop(now) {
				if when, is := at[c]; !is || when > now {
					t.Fatalf("step %d: %v came up at %v", i, when, now)
				}
				delete(at, c)
			}
			for _, when := range at {
				if when <= now {
					t.Fatalf("step %d: an entry of %v did not come up at %v", i, when, now)
				}
			}
		}
		next := mono.Never
		for _, when := range at {
			next = min(next, when)
		}
		if h.next() != next {
			t.Fatalf("step %d: next is %v, want %v", i, h.next(), next)
		}
	}
	h.schedule(conns[0], mono.Never)
}

// BenchmarkTimers moves one deadline after another among 100,000 that are armed.
func BenchmarkTimers(b *testing.B) {
	var h timers[*Conn]
	conns := make([]*Conn, 100_000)
	for i := range conns {
		conns[i] = &Conn{timerPos: unscheduled}
		h.schedule(conns[i], mono.Time(rand.IntN(1e9)))
	}
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		c := h.pop(mono.Never - 1)
		h.schedule(c, mono.Time(1e9+i))
	}
}
