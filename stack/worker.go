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

// SpinDefault is not to spin. Measured over a veth on two cores that others use too: an echo
// of bulk data 1.7-2.2 Gbit/s without spinning and 1.3-1.9 with 200 us of it;
// request-response with a kernel client in another process 32-82 us at the median against
// 46-58, with one in the same process 25-29 against 32-47. Who spins takes the core from who
// would answer. With a core for each worker it is another matter.
const SpinDefault = time.Duration(0)

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

// yieldEvery is how many rounds a worker that spins does not yield its thread.
const yieldEvery = 32

// run steps the engine until stop is set.
func (w *worker) run() {
	worked, rounds := clock(), 0
	for !w.stop.Load() {
		now := clock()
		if w.e.Step(now) {
			worked, rounds = now, 0
			if w.woke {
				w.woke = false
				runtime.Gosched()
			}
			continue
		}
		if now.Sub(worked) < w.spin {
			if rounds++; rounds%yieldEvery == 0 {
				yieldThread()
			}
			runtime.Gosched()
			continue
		}
		if w.sleep(now) != nil {
			break // the port is closed
		}
		// A wake-up counts as work: what it is for may come a moment later.
		worked, rounds = clock(), 0
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
