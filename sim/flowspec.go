package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
)

// FlowSpec is one flow over the bottleneck. The zero value has the first algorithm of its
// Spec, the link's round trip, and something to send all the time.
type FlowSpec struct {
	CC string
	// Start is when it opens. What says 0 opens within the first round trip, at a time drawn
	// from the seed, but for the first flow, which opens at once.
	Start time.Duration
	RTT   time.Duration // without queueing; the link's if 0
	// Octets is how much it carries before it closes; 0 is without end.
	Octets int64
	ECN    tcp.ECNMode
}

// CrossKind is a kind of cross traffic.
type CrossKind uint8

// The kinds of cross traffic. The first two send packets whatever becomes of them.
const (
	CrossConstant CrossKind = iota // at a constant rate
	CrossOnOff                     // likewise, in turns of random length
	CrossFlows                     // short TCP flows, which open at random times
)

// CrossSpec is traffic that shares the bottleneck, and is not measured flow by flow.
type CrossSpec struct {
	Kind   CrossKind
	Rate   int64         // bits a second: of packets, when they are sent; of CrossFlows their mean load
	Packet int           // octets of the packets; MTU if 0
	Start  time.Duration // from when
	Stop   time.Duration // to when; 0: the end
	// On and Off are the means of how long CrossOnOff sends and is silent, spread
	// exponentially; a second each if 0.
	On, Off time.Duration
	// Size is the mean size of a short flow, 30 kB if 0. Shape is that of the Pareto
	// distribution of sizes; up to 1, sizes are spread exponentially.
	Size  int64
	Shape float64
	CC    string // of the short flows
}

// Limits of cross traffic.
const (
	CrossMax = 16
	// shortMax bounds the short flows of a run: each has a port of its own.
	shortMax = 50_000
)

func (c *CrossSpec) complete(s *Spec) error {
	if c.Packet == 0 {
		c.Packet = MTU
	}
	if c.Stop == 0 {
		c.Stop = s.Time
	}
	if c.On == 0 {
		c.On = time.Second
	}
	if c.Off == 0 {
		c.Off = time.Second
	}
	if c.Size == 0 {
		c.Size = 30_000
	}
	if c.CC == "" {
		c.CC = s.CC[0]
	}
	switch {
	case c.Rate <= 0:
		return errors.New("no rate")
	case c.Packet < 40 || c.Packet > MTU:
		return fmt.Errorf("packets of %d octets are not from 40 to %d", c.Packet, MTU)
	case c.Start < 0 || c.Stop < c.Start:
		return fmt.Errorf("stops at %v, before it starts at %v", c.Stop, c.Start)
	case c.On < 0 || c.Off < 0 || c.Size < 0:
		return errors.New("a mean is negative")
	case math.IsNaN(c.Shape) || c.Shape < 0:
		return errors.New("the shape is no number above 0")
	}
	if c.Kind != CrossFlows {
		return nil
	}
	if n := c.expected(); n > shortMax {
		return fmt.Errorf("%.0f flows are more than %d", n, shortMax)
	}
	_, err := s.algorithm(c.CC)
	return err
}

// expected is how many short flows there will be, about.
func (c *CrossSpec) expected() float64 {
	return float64(c.Rate) / 8 / float64(c.Size) * (c.Stop - c.Start).Seconds()
}

// completeFlows makes FlowSpecs of CC and Flows, if there are none, and checks them.
func (s *Spec) completeFlows() error {
	if len(s.FlowSpecs) == 0 {
		s.FlowSpecs = make([]FlowSpec, s.Flows)
	}
	s.Flows = len(s.FlowSpecs)
	if s.Flows > FlowsMax {
		return fmt.Errorf("flows: %d are more than %d", s.Flows, FlowsMax)
	}
	s.FlowSpecs = slices.Clone(s.FlowSpecs)
	for i := range s.FlowSpecs {
		f := &s.FlowSpecs[i]
		if f.CC == "" {
			f.CC = s.CC[i%len(s.CC)]
		}
		if f.RTT == 0 {
			f.RTT = s.Link.RTT
		}
		if f.ECN == tcp.ECNPassive {
			f.ECN = s.TCP.ECN
		}
		switch {
		case f.Start < 0 || f.Start >= s.Time:
			return fmt.Errorf("flow %d: starts at %v, and the run ends at %v", i, f.Start, s.Time)
		case f.RTT < 0 || f.Octets < 0:
			return fmt.Errorf("flow %d: round trip %v, %d octets: negative", i, f.RTT, f.Octets)
		}
		if _, err := s.algorithm(f.CC); err != nil {
			return fmt.Errorf("flow %d: %w", i, err)
		}
	}
	s.Cross = slices.Clone(s.Cross)
	if len(s.Cross) > CrossMax {
		return fmt.Errorf("cross: %d are more than %d", len(s.Cross), CrossMax)
	}
	for i := range s.Cross {
		if err := s.Cross[i].complete(s); err != nil {
			return fmt.Errorf("cross %d: %w", i, err)
		}
	}
	return nil
}

// short draws the flows of CrossFlows: a Poisson process of sizes.
func (c *CrossSpec) short(rng *rand.Rand) []FlowSpec {
	var flows []FlowSpec
	gap := float64(c.Size) * 8 / float64(c.Rate) // seconds, in the mean
	for t := c.Start.Seconds(); len(flows) < shortMax; {
		t += rng.ExpFloat64() * gap
		at := time.Duration(t * float64(time.Second))
		if at >= c.Stop {
			break
		}
		flows = append(flows, FlowSpec{CC: c.CC, Start: max(at, 1), Octets: c.size(rng)})
	}
	return flows
}

// size draws the size of a short flow: at least one octet, and not more than a thousand times the
// mean, which a Pareto distribution of infinite variance exceeds now and then.
func (c *CrossSpec) size(rng *rand.Rand) int64 {
	mean := float64(c.Size)
	v := rng.ExpFloat64() * mean
	if c.Shape > 1 {
		v = mean * (c.Shape - 1) / c.Shape / math.Pow(1-rng.Float64(), 1/c.Shape)
	}
	return int64(min(max(v, 1), 1000*mean))
}
