package study

import (
	"context"
	"fmt"

	"github.com/millrace-tcp/millrace/sim"
)

// Comparison is algorithms over the same link, each with flows of its own kind.
type Comparison struct {
	TimeS      float64     `json:"time_s"`
	Seeds      int         `json:"seeds"`
	Algorithms []Contender `json:"algorithms"`
}

// Contender is what became of one algorithm.
type Contender struct {
	CC string `json:"cc"`
	// Delay is how much longer than the shortest the flows' round trips were, at the 95th
	// percentile, in the mean of the flows.
	Delay sim.Mean `json:"delay_p95_ms"`
	sim.Summary
}

// Compare runs a spec once with each algorithm, and each with so many seeds. Flows that name
// an algorithm keep it; it is the others, and the short flows of cross traffic that name
// none, whose algorithm changes.
func (r Runner) Compare(ctx context.Context, spec sim.Spec, algorithms []string, seeds int) (*Comparison, error) {
	var specs []sim.Spec
	for _, cc := range algorithms {
		s := spec
		s.CC = []string{cc}
		s.FlowSpecs = append([]sim.FlowSpec(nil), spec.FlowSpecs...)
		for i := range s.FlowSpecs {
			if s.FlowSpecs[i].CC == "" {
				s.FlowSpecs[i].CC = cc
			}
		}
		if err := s.Check(); err != nil {
			return nil, fmt.Errorf("study: compare: %w", err)
		}
		specs = append(specs, Seeds(s, seeds)...)
	}
	results, err := r.Run(ctx, specs)
	if err != nil {
		return nil, err
	}
	c := &Comparison{Seeds: seeds}
	for i, cc := range algorithms {
		of := results[i*seeds : (i+1)*seeds]
		var delay []float64
		for _, result := range of {
			delay = append(delay, excess(result))
		}
		c.TimeS = of[0].TimeS
		c.Algorithms = append(c.Algorithms, Contender{CC: cc, Delay: sim.MeanOf(delay), Summary: sim.Summarize(of)})
	}
	return c, nil
}

// excess is the mean over flows of the 95th percentile of the round trip, less the least.
func excess(r *sim.Result) float64 {
	sum := 0.0
	for i := range r.Flows {
		sum += r.Flows[i].RTTMillis.P95 - r.Flows[i].RTTMillis.Min
	}
	return sum / float64(len(r.Flows))
}
