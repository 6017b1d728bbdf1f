package raw

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/internal/pin"
)

// pingPong sends a packet from B to A and back, again and again.
func (l Link) pingPong(ctx context.Context, w bench.Workload) (r bench.Result, err error) {
	size := headers + w.Size
	if size > l.B.size {
		return r, fmt.Errorf("raw: %d octets do not fit one packet", w.Size)
	}
	for l.B.wait(false) || l.A.wait(false) {
		// What an earlier run left on the way is nobody's answer.
	}
	var answers, asks sync.WaitGroup
	defer answers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, l.A.port.Wake)()
	answers.Go(func() {
		l.place(0)
		for ctx.Err() == nil {
			if l.A.wait(l.Spin) {
				l.A.give(1, size)
			}
		}
	})
	asks.Go(func() {
		l.place(1)
		r = l.ask(ctx, size, w.Time)
	})
	asks.Wait()
	if r.Count == 0 {
		return r, errors.New("raw: no packet came back")
	}
	return r, nil
}

// place keeps an end that spins on a processor of its own, if there are two. Its goroutine ends with it.
func (l Link) place(end int) {
	if !l.Spin {
		return
	}
	if cpus, err := pin.Allowed(); err == nil && len(cpus) > 1 {
		runtime.LockOSThread()
		_ = pin.Thread(cpus[end]) // without it the figures are worse, not wrong
	}
}

// askMax is how long a packet that does not come back is waited for, and how long a run lasts in
// which none has: on a machine that others use, either end may not run for as long as a run is.
const askMax = 5 * time.Second

// ask sends packets from B and waits for each to come back, for some time or until ctx ends.
func (l Link) ask(ctx context.Context, size int, d time.Duration) (r bench.Result) {
	start := time.Now()
	for ctx.Err() == nil && (r.Elapsed < d || r.Count == 0 && r.Elapsed < askMax) {
		began := time.Now()
		l.B.give(1, size)
		for !l.B.wait(l.Spin) {
			if ctx.Err() != nil || time.Since(began) > askMax {
				return r
			}
		}
		r.Latency.Record(time.Since(began))
		r.Count++
		r.Elapsed = time.Since(start)
	}
	return r
}

// wait receives what there is, or waits a little for it, if it does not spin.
func (e *End) wait(spin bool) bool {
	if n, _ := e.take(); n > 0 {
		return true
	}
	if !spin {
		_ = e.port.Wait(stalled) // a port that is closed is closed by who ends ctx
	}
	return false
}
