// Package study runs many simulations and says what they show together: the same with
// several seeds, algorithms side by side, and one algorithm held against what RFC 9743 asks
// of it. It uses all processors; every run is as deterministic as package sim makes it, and
// results come in the order of what was asked for.
package study

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/sim"
)

// Runner runs simulations. The zero value is ready for use.
type Runner struct {
	Workers int // as many as there are processors if 0
	// Progress, if not nil, is called when a run has ended, by one goroutine at a time.
	Progress func(done, total int)
}

// Run runs all specs. It ends early when the context does, or with the first error.
func (r Runner) Run(ctx context.Context, specs []sim.Spec) ([]*sim.Result, error) {
	workers := r.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]*sim.Result, len(specs))
	var next, done atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range min(workers, len(specs)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(specs)); i = next.Add(1) - 1 {
				result, err := one(ctx, specs[i])
				if err != nil {
					cancel(err)
					return
				}
				results[i] = result
				if r.Progress != nil {
					mu.Lock()
					r.Progress(int(done.Add(1)), len(specs))
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return results, nil
}

// one runs a spec, and stops when the context ends.
func one(ctx context.Context, spec sim.Spec) (*sim.Result, error) {
	progress := spec.Progress
	spec.Progress = func(at time.Duration) bool {
		return ctx.Err() == nil && (progress == nil || progress(at))
	}
	start := time.Now()
	result, err := sim.Run(spec)
	if errors.Is(err, sim.ErrStopped) && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		result.WallS = time.Since(start).Seconds()
	}
	return result, err
}

// Seeds returns a spec with each of so many seeds, from its own on.
func Seeds(spec sim.Spec, n int) []sim.Spec {
	specs := make([]sim.Spec, n)
	for i := range specs {
		specs[i] = spec
		specs[i].Seed += uint64(i)
	}
	return specs
}
