package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// Whatever the rate and however late the timer, up to a quarter of a quantum's time: the rate
// holds within a thousandth, and never is more than a quantum sent beyond it.
func TestPacerHoldsItsRate(t *testing.T) {
	for _, rate := range []int64{1000, 125_000, 3_333_333, 125_000_000, 1_250_000_000, 12_500_000_000} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d late=%v", rate, late), func(t *testing.T) {
				wantRate(t, rate, late)
			})
		}
	}
}

func wantRate(t *testing.T, rate int64, late bool) {
	const mss = 1448
	r := rand.New(rand.NewPCG(uint64(rate), 1))
	var p pacer
	begun := mono.Time(time.Hour)
	now := begun
	p.set(now, rate, 0, mss)
	octets, wakes, level := 0, 0, 0.0
	last := now
	for octets < 500*p.quantum {
		at := p.due(now, mss, 1<<30)
		if at > now {
			wakes++
			now = at
			if late {
				now = now.Add(time.Duration(r.Int64N(int64(p.depth)/4 + 1)))
			}
			if p.due(now, mss, 1<<30) > now {
				t.Fatalf("the pacer was due at %d, and is not at %d", at, now)
			}
			continue
		}
		level = max(0, level-float64(rate)*now.Sub(last).Seconds()) + mss
		last = now
		if level > float64(p.quantum)+1 {
			t.Fatalf("%v octets beyond the rate, want at most %d", level, p.quantum)
		}
		p.sent(now, mss)
		octets += mss
	}
	got := float64(octets-p.quantum) / now.Sub(begun).Seconds()
	if got < 0.998*float64(rate) || got > 1.002*float64(rate) {
		t.Errorf("%.0f octets a second, want %d", got, rate)
	}
	if most := 2 * octets / mss; wakes > most || rate > 1e8 && wakes > octets/(p.quantum/2) {
		t.Errorf("%d wake-ups for %d octets in quanta of %d", wakes, octets, p.quantum)
	}
}

// What was sent at one rate and has not drained drains at the next: nobody waits at the old
// rate after it was raised, or gets a second quantum because it was.
func TestPacerChangesItsRate(t *testing.T) {
	var p pacer
	now := mono.Time(time.Hour)
	p.set(now, 1000, 2000, 1000)
	p.sent(now, 1000)
	p.sent(now, 1000)
	if got := p.due(now, 1000, 1000).Sub(now); got != time.Second {
		t.Errorf("at 1000 octets a second due after %v, want 1s", got)
	}
	p.set(now, 1_000_000, 2000, 1000)
	if got := p.due(now, 1000, 1000).Sub(now); got != time.Millisecond {
		t.Errorf("at a million due after %v, want 1ms", got)
	}
	p.set(now, 500_000, 2000, 1000)
	if got := p.due(now, 1000, 1000).Sub(now); got != 2*time.Millisecond {
		t.Errorf("at half of that due after %v, want 2ms", got)
	}
}

// A segment larger than the quantum leaves when all before it has drained.
func TestPacerSendsWhatIsLargerThanAQuantum(t *testing.T) {
	var p pacer
	now := mono.Time(time.Hour)
	p.set(now, 1_000_000, 1000, 1000)
	for range 3 {
		if at := p.due(now, 5000, 5000); at != now {
			t.Fatalf("due after %v", at.Sub(now))
		}
		p.sent(now, 5000)
		if at := p.due(now, 5000, 5000); at.Sub(now) != 5*time.Millisecond {
			t.Errorf("the next is due after %v, want 5ms", at.Sub(now))
		}
		now = p.due(now, 5000, 5000)
	}
}

func TestQuantum(t *testing.T) {
	for rate, want := range map[int64]int{
		1000: 2896, 125_000: 2896, 12_500_000: 12_500, 65_536_000: 65_536, 1_250_000_000: 65_536,
	} {
		if got := quantumFor(rate, 1448); got != want {
			t.Errorf("quantumFor(%d) = %d, want %d", rate, got, want)
		}
	}
	if got := quantumFor(1e9, 60_000); got != 120_000 {
		t.Errorf("two segments of 60000 are %d", got)
	}
}
