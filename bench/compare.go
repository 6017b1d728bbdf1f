package bench

import (
	"context"
	"fmt"
	"slices"
)

// Target is a stack that is measured.
type Target struct {
	Name string
	Run  func(ctx context.Context, w Workload) (Result, error)
}

// Summary is what several runs of a workload on a target have in common.
type Summary struct {
	// BitsPerSecond and PerSecond are the medians of the runs' rates.
	BitsPerSecond, PerSecond float64
	// Latency is that of all runs together.
	Latency Latency
}

// Compare runs each workload on each target, rounds times over, and returns what came of it
// by workload and target. Targets take turns, so that what else the machine does meets them
// alike. progress, if not nil, is called before each run.
func Compare(ctx context.Context, rounds int, workloads []Workload, targets []Target,
	progress func(done, total int, t Target, w Workload)) ([][]Summary, error) {
	results := make([][][]Result, len(workloads))
	for i := range results {
		results[i] = make([][]Result, len(targets))
	}
	done, total := 0, rounds*len(workloads)*len(targets)
	for round := range rounds {
		for i, w := range workloads {
			for n := range targets {
				// Who is first in a round is last in another.
				j := (n + round) % len(targets)
				if progress != nil {
					progress(done, total, targets[j], w)
				}
				r, err := targets[j].Run(ctx, w)
				if err != nil {
					return nil, fmt.Errorf("%s: %v: %w", targets[j].Name, w, err)
				}
				results[i][j] = append(results[i][j], r)
				done++
			}
		}
	}
	all := make([][]Summary, len(workloads))
	for i := range results {
		for _, runs := range results[i] {
			all[i] = append(all[i], summarize(runs))
		}
	}
	return all, nil
}

func summarize(runs []Result) (s Summary) {
	var bits, messages []float64
	for _, r := range runs {
		bits = append(bits, r.BitsPerSecond())
		messages = append(messages, r.PerSecond())
		s.Latency.Merge(r.Latency)
	}
	s.BitsPerSecond, s.PerSecond = median(bits), median(messages)
	return s
}

// median returns the middle of the values, of an even number the mean of the two; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
