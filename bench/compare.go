package bench

import (
	"context"
	"slices"
	"time"
)

// Target is a stack that is measured.
type Target struct {
	Name string
	// Run runs a workload on it. Upload is towards the stack, Download from it.
	Run func(ctx context.Context, w Workload) (Result, error)
}

// Experiment is a workload and what it is run on.
type Experiment struct {
	Workload Workload
	Targets  []Target
}

// Plan says how to compare.
type Plan struct {
	// Rounds is how often each is measured.
	Rounds int
	// Warm is how long a run is that is made before, and does not count; 0: none is made.
	Warm time.Duration
	// Progress, if not nil, is called before each run, Warm's included.
	Progress func(done, total int, t Target, w Workload)
}

// Runs is what came of an experiment on a target.
type Runs struct {
	Target  string
	Results []Result
	// Failure is the error of the run that failed, nil if none did. There is none after it.
	Failure error
}

// Compare runs each experiment on its targets, and returns what came of it by experiment and
// target. Targets take turns, so that what else the machine does meets them alike, and who
// is first in a round is last in another. Only the end of ctx is an error: what fails is
// told in its place, and not tried again.
func (p Plan) Compare(ctx context.Context, experiments []Experiment) ([][]Runs, error) {
	all := make([][]Runs, len(experiments))
	each := 0
	for i, x := range experiments {
		each += len(x.Targets)
		for _, t := range x.Targets {
			all[i] = append(all[i], Runs{Target: t.Name})
		}
	}
	done, total := 0, p.Rounds*each
	run := func(round int, warm bool) error {
		for i, x := range experiments {
			for n := range x.Targets {
				j := (n + round) % len(x.Targets)
				w := x.Workload
				if warm {
					w.Time, w.Count = p.Warm, 0
				}
				if p.Progress != nil {
					p.Progress(done, total, x.Targets[j], w)
				}
				all[i][j].one(ctx, x.Targets[j], w, !warm)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				done++
			}
		}
		return nil
	}
	if p.Warm > 0 {
		total += each
		if err := run(0, true); err != nil {
			return nil, err
		}
	}
	for round := range p.Rounds {
		if err := run(round, false); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// one runs a workload on the target, unless that has failed before.
func (r *Runs) one(ctx context.Context, t Target, w Workload, counts bool) {
	if r.Failure != nil {
		return
	}
	result, err := t.Run(ctx, w)
	switch {
	case err != nil:
		r.Failure, r.Results = err, nil
	case counts:
		r.Results = append(r.Results, result)
	}
}

// Summary is what several runs of a workload on a target have in common.
type Summary struct {
	// BitsPerSecond and PerSecond are the medians of the runs' rates.
	BitsPerSecond, PerSecond float64
	// Latency is that of all runs together.
	Latency Latency
}

// Summary sums the runs up. Of runs of which one failed there is none.
func (r Runs) Summary() (s Summary) {
	var bits, messages []float64
	for _, one := range r.Results {
		bits = append(bits, one.BitsPerSecond())
		messages = append(messages, one.PerSecond())
		s.Latency.Merge(one.Latency)
	}
	s.BitsPerSecond, s.PerSecond = Median(bits), Median(messages)
	return s
}

// Median returns the middle of the values, of an even number the mean of the two; 0 of none.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
