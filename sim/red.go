package sim

import (
	"math"
	"math/rand/v2"

	"github.com/millrace-tcp/millrace/mono"
)

// RED is random early detection after Floyd and Jacobson (1993), which RFC 2309 describes:
// between two thresholds of the average queue, packets are dropped, or marked, with a
// probability that grows with it.
type RED struct {
	Min, Max int     // thresholds of the average, octets; Max 0: there is no RED
	P        float64 // probability at Max; 0 is a tenth
	Weight   float64 // of each packet in the average; 0 is 0.002
	// Sudden drops all above Max. Else the probability grows from P at Max to 1 at twice
	// that, as the "gentle" variant has it.
	Sudden bool
}

// red is RED at work.
type red struct {
	cfg   RED
	avg   float64   // octets
	count int       // packets since the last that was hit; -1: the average is below Min
	empty mono.Time // since when the queue is empty; mono.Never: it is not
	slot  float64   // seconds that a packet takes
}

func newRED(cfg RED, rate float64) red {
	if cfg.P == 0 {
		cfg.P = 0.1
	}
	if cfg.Weight == 0 {
		cfg.Weight = 0.002
	}
	return red{cfg: cfg, count: -1, slot: MTU * 8 / rate}
}

// average takes note of the queue that a packet finds. Explicit conversions keep compilers
// from fusing operations, which would make a run differ between machines.
func (r *red) average(now mono.Time, queued int) {
	w := r.cfg.Weight
	if queued == 0 && r.empty != mono.Never {
		// "m small packets" could have passed while it was empty.
		idle := now.Sub(r.empty).Seconds() / r.slot
		r.avg = float64(r.avg * math.Pow(1-w, idle))
		return
	}
	r.avg = float64(r.avg*(1-w)) + float64(float64(queued)*w)
}

// probability is p_b of the paper: of one packet, before the count since the last.
func (r *red) probability() float64 {
	low, high := float64(r.cfg.Min), float64(r.cfg.Max)
	switch {
	case r.avg < low:
		return 0
	case r.avg < high:
		return r.cfg.P * (r.avg - low) / (high - low)
	case r.cfg.Sudden || r.avg >= 2*high:
		return 1
	}
	return r.cfg.P + float64((1-r.cfg.P)*(r.avg-high)/high)
}

// hits says whether an arriving packet is to be dropped or marked: p_a = p_b/(1-count*p_b)
// spreads the hits evenly.
func (r *red) hits(now mono.Time, queued int, rng *rand.Rand) bool {
	r.average(now, queued)
	r.empty = mono.Never
	p := r.probability()
	if p == 0 {
		r.count = -1
		return false
	}
	r.count++
	if p < 1 {
		if spread := 1 - float64(float64(r.count)*p); spread > p {
			p /= spread
		} else {
			p = 1
		}
	}
	if p < 1 && rng.Float64() >= p {
		return false
	}
	r.count = 0
	return true
}
