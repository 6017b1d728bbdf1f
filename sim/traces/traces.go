// Package traces makes traces of links whose rate varies, in mahimahi's format, from a seed.
// They are models, not measurements: a rate that walks at random between bounds, as that of a
// cellular link does, now and then an outage, or a rate in steps.
package traces

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Model is how the rate of a link varies. Rates are bits a second.
type Model struct {
	Name, About string
	// Rate is where it begins. The logarithm of the rate takes a step of normal length every
	// Step, of Sigma in the mean square, drawn back to Rate by a share Pull of the distance.
	Rate, Min, Max float64
	Step           time.Duration
	Sigma, Pull    float64
	// An outage comes after OutageEvery in the mean, and lasts OutageFor in the mean, both
	// spread exponentially; 0: none comes.
	OutageEvery, OutageFor time.Duration
	// Steps, if there are any, are the rates of intervals of Step, in turns, rather than a walk.
	Steps []float64
}

// Models is what can be made by name.
func Models() []Model {
	return []Model{
		{
			Name: "cellular", About: "a walk about 5 Mbit/s, between 0.5 and 20",
			Rate: 5e6, Min: 0.5e6, Max: 20e6, Step: 50 * time.Millisecond, Sigma: 0.18, Pull: 0.03,
		},
		{
			Name: "driving", About: "a walk about 3 Mbit/s, and outages of half a second every six",
			Rate: 3e6, Min: 0.2e6, Max: 15e6, Step: 50 * time.Millisecond, Sigma: 0.25, Pull: 0.03,
			OutageEvery: 6 * time.Second, OutageFor: 500 * time.Millisecond,
		},
		{
			Name: "steps", About: "6, 2, 8 and 1 Mbit/s, two seconds each",
			Step: 2 * time.Second, Steps: []float64{6e6, 2e6, 8e6, 1e6},
		},
	}
}

// ByName returns a model.
func ByName(name string) (Model, error) {
	var names []string
	for _, m := range Models() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Model{}, fmt.Errorf("traces: there is no model %q, there are %s", name, strings.Join(names, ", "))
}

// Limits of a trace.
const (
	LengthMin = 100 * time.Millisecond
	LengthMax = time.Hour
)

// octets is what an opportunity is for.
const octets = 1500

// Generate makes a trace of a length, a whole number of milliseconds: when packets may leave.
// The last opportunity is at the end, for that is where a trace starts over.
func (m Model) Generate(length time.Duration, seed uint64) []time.Duration {
	rng := rand.New(rand.NewPCG(seed, 0x7472616365))
	var out []time.Duration
	rate, credit := m.Rate, 0.0
	var down time.Duration // time left of an outage
	next := m.pause(rng)
	for at := time.Millisecond; at <= length; at += time.Millisecond {
		if (at-time.Millisecond)%m.Step == 0 {
			rate = m.rate(rate, int((at-1)/m.Step), rng)
		}
		if next -= time.Millisecond; next < 0 {
			down = time.Duration(rng.ExpFloat64() * float64(m.OutageFor))
			next = m.pause(rng) + down
		}
		if down > 0 {
			down -= time.Millisecond
			continue
		}
		// Explicit conversions keep compilers from fusing operations.
		for credit += float64(rate / 1000 / 8); credit >= octets; credit -= octets {
			out = append(out, at)
		}
	}
	if len(out) == 0 || out[len(out)-1] < length {
		out = append(out, length.Truncate(time.Millisecond))
	}
	return out
}

// pause is how long until the next outage.
func (m Model) pause(rng *rand.Rand) time.Duration {
	if m.OutageEvery == 0 {
		return math.MaxInt64 / 2
	}
	return time.Duration(rng.ExpFloat64() * float64(m.OutageEvery))
}

// rate is the rate of the i-th step, after one of that.
func (m Model) rate(was float64, i int, rng *rand.Rand) float64 {
	if len(m.Steps) > 0 {
		return m.Steps[i%len(m.Steps)]
	}
	pull := float64(m.Pull * math.Log(m.Rate/was))
	step := float64(m.Sigma * rng.NormFloat64())
	return min(max(was*math.Exp(pull+step), m.Min), m.Max)
}

// Write writes a trace as a file, a time in milliseconds a line.
func Write(w io.Writer, trace []time.Duration) error {
	b := bufio.NewWriter(w)
	for _, at := range trace {
		fmt.Fprintln(b, at.Milliseconds())
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("traces: write: %w", err)
	}
	return nil
}
