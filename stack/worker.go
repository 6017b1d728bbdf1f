package stack

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// SpinDefault is how long a worker looks for more work before it sleeps: about what going
// to sleep and being woken costs, so that it is at most twice as dear as the better choice.
const SpinDefault = 20 * time.Microsecond

// SpinForever keeps workers from ever sleeping.
const SpinForever = time.Duration(math.MaxInt64)

// origin is the clock's zero. Only differences mean anything.
var origin = time.Now()

// clock reads the time that the whole package goes by. It is never zero, which means "no
// deadline" where deadlines are kept.
func clock() mono.Time { return mono.Time(time.Since(origin)) + 1 }

// worker serves one queue. It is an ordinary goroutine: after a step that made readers ready
// it yields, so that they run on the same P and no thread has to be woken.
type worker struct {
	e    *engine.Engine
	port dataplane.Port
	spin time.Duration
	stop atomic.Bool

	woke bool // this step opened a gate; the worker's own
}

// run steps the engine until stop is set.
func (w *worker) run() {
	now := clock()
	worked := now
	for !w.stop.Load() {
		now = clock()
		if w.e.Step(now) {
			worked = now
			if w.woke {
				w.woke = false
				runtime.Gosched()
			}
			continue
		}
		if w.spin > 0 && now.Sub(worked) < w.spin {
			runtime.Gosched()
			continue
		}
		if w.sleep(now) != nil {
			break // the port is closed
		}
		// A wake-up counts as work: what it is for may come a moment later.
		worked = clock()
	}
	w.e.Close(clock())
}

// sleep waits for the deadline of the engine, or for something to happen before.
func (w *worker) sleep(now mono.Time) error {
	d := time.Duration(-1)
	if next := w.e.Deadline(); next != mono.Never {
		d = max(0, next.Sub(now))
	}
	return w.e.Wait(d)
}
