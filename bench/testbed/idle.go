package testbed

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/usage"
)

// idle opens connections, waits until the server has done with that, leaves them alone for the
// workload's time, and looks at what they take.
func (t *target) idle(ctx context.Context, w bench.Workload) (r bench.Result, err error) {
	if t.server == nil {
		return r, fmt.Errorf("testbed: the ends of %s are not apart: what a connection takes is not known", t.stack)
	}
	// What a run leaves behind for the next, as pools of the stack's, is charged to that one too:
	// all are compared with the server as it was at first.
	if t.taken == nil {
		m, err := t.memory(ctx)
		if err != nil {
			return r, err
		}
		t.taken = &m
	}
	conns := max(1, w.Flows)
	if err := t.client.Hold(ctx, t.address, conns); err != nil {
		return r, err
	}
	if err := t.settle(ctx); err != nil {
		return r, err
	}
	started := time.Now()
	r, err = t.measured(ctx, func() (bench.Result, error) {
		return bench.Result{Count: int64(conns)}, pass(ctx, w.Time)
	})
	if err != nil {
		return r, err
	}
	r.Elapsed = time.Since(started)
	after, err := t.memory(ctx)
	if err != nil {
		return r, err
	}
	r.Memory = bench.Memory{
		Conns: conns, Resident: after.Resident - t.taken.Resident, Live: after.Live - t.taken.Live,
		Machine: after.Machine - t.taken.Machine,
	}
	return r, t.client.Release(ctx)
}

// pass lets time pass.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// settleLook is how often settle looks, and restShare the part of a core that a server at
	// rest uses at most between two looks.
	settleLook = 250 * time.Millisecond
	restShare  = 0.01
	// restLooks is how often in a row it has to be at rest: half a second.
	restLooks = 2
	// settleMax is how long settle waits: a server that is not at rest then is measured so.
	settleMax = 10 * time.Second
)

// settle waits until the server is at rest.
func (t *target) settle(ctx context.Context) error {
	last, err := t.server.Usage(ctx, false)
	for rest, start := 0, time.Now(); err == nil && rest < restLooks && time.Since(start) < settleMax; {
		if err := pass(ctx, settleLook); err != nil {
			return err
		}
		var now usage.Process
		now, err = t.server.Usage(ctx, false)
		if used := now.Sub(last).Busy(); used.Seconds() <= restShare*settleLook.Seconds() {
			rest++
		} else {
			rest = 0
		}
		last = now
	}
	return err
}

// memory is what the serving process and the machine have taken.
func (t *target) memory(ctx context.Context) (m bench.Memory, err error) {
	p, err := t.server.Usage(ctx, true)
	if err != nil {
		return m, err
	}
	left, err := usage.MemoryAvailable()
	return bench.Memory{Resident: p.Resident, Live: p.Live, Machine: -left}, err
}
