package stack

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/internal/alarm"
	"github.com/millrace-tcp/millrace/internal/thread"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/spin"
)

// SpinDefault is that workers do not spin. Measured over a veth on two cores that others use
// too: an echo of bulk data 1.7-2.2 Gbit/s without spinning and 1.3-1.9 with 200 us of it. Who
// spins takes the core from who would answer. With a core for each worker it is another matter.
//
// While data comes in bulk it does all the same, for a moment (spin.Bulk).
//
// A goroutine that receives for itself, because its connection takes turns with the peer, spins
// for up to leadSpinDefault all the same, see spin.Answers: it has nothing else to do, and to be woken
// on a virtual machine takes longer than most answers.
const (
	SpinDefault     = time.Duration(0)
	leadSpinDefault = 200 * time.Microsecond
)

// SpinForever keeps workers from ever sleeping.
const SpinForever = time.Duration(math.MaxInt64)

// origin is the clock's zero. Only differences mean anything.
var origin = time.Now()

// clock reads the time that the whole package goes by. It is never zero, which means "no
// deadline" where deadlines are kept.
func clock() mono.Time { return mono.Time(time.Since(origin)) + 1 }

// worker serves one queue. It is an ordinary goroutine: after a step that made readers ready
// it yields, so that they run on the same P and no thread has to be woken.
//
// Over a port that can be shared the worker is whoever is there: a goroutine that has written
// steps the engine itself while the worker sleeps (help), and one that waits for data receives
// it itself (lead). Who steps holds mu, and sees to it before letting go that the worker does
// not sleep longer than it may (settle).
type worker struct {
	e       *engine.Engine
	port    dataplane.Port
	shared  dataplane.SharedPort // port, or nil
	spin    time.Duration
	stop    atomic.Bool
	dialing atomic.Int32 // connections that are about to be made here
	unseen  atomic.Int32 // connections that were accepted and not waited for yet, see young
	rounds  uint         // of spinning
	adapts  bool         // spins while data comes in bulk
	bulk    spin.Bulk    // of mu's holder that is the worker

	mu        sync.Mutex
	woke      bool           // this step opened a gate
	answers   spin.Answers   // for the answers of peers
	handled   bool           // a handler that takes turns was called since the worker has slept
	newcomers spin.Newcomers // likewise, of a connection that is new
	holding   *engine.Conn   // of a handler that has not answered yet: its ACK is held
	closed    bool           // the engine is
	alarm     *alarm.Alarm   // wakes the worker in time; nil: not needed so far
	rings     mono.Time      // when the alarm does, or did
	until     mono.Time      // the worker sleeps no longer; 0 is that it is awake, or about to be
	helped    bool           // somebody has stepped since the worker fell asleep
	nap       time.Duration  // how long it sleeps while it is helped

	leader leader
}

// newWorker returns the worker of port, whose engine is still to be made.
func newWorker(port dataplane.Port, most time.Duration) *worker {
	w := &worker{port: port, spin: most, answers: spin.NewAnswers(most), nap: napFirst}
	w.shared, _ = port.(dataplane.SharedPort)
	w.leader.hush.init(w.listen)
	if most == SpinDefault {
		w.answers = spin.NewAnswers(leadSpinDefault)
		w.adapts = w.shared != nil
		w.bulk = spin.NewBulk(runtime.GOMAXPROCS(0))
	}
	return w
}

// load is how many connections the worker has. Any goroutine may call it.
func (w *worker) load() int { return w.e.Held() + int(w.dialing.Load()) }

// yieldEvery is how many rounds a worker that spins does not yield its thread.
const yieldEvery = 32

// run steps the engine until stop is set.
func (w *worker) run() {
	w.mu.Lock()
	worked := clock()
	for !w.stop.Load() {
		now := clock()
		if w.e.Step(now) {
			if w.handled {
				w.answers.Took(now.Sub(worked))
			}
			worked = now
			w.bulk.Came(w.e.Received())
			if !w.cede() {
				w.yield()
				continue
			}
			if w.sleep(now) != nil {
				break // the port is closed
			}
			continue
		}
		if w.leader.wanted.Swap(false) {
			w.bulk.Over()
		}
		if d := w.spinning(); now.Sub(worked) < d {
			found := w.look(worked.Add(d))
			w.newcomers.Judge(found)
			if found {
				continue
			}
		}
		if w.releaseHeld() {
			continue
		}
		handled := w.handled
		w.handled = false
		w.newcomers.Rest()
		w.bulk.Missed()
		since := now
		if w.sleep(now) != nil {
			break // the port is closed
		}
		now = clock()
		if handled {
			w.answers.Took(now.Sub(worked))
		}
		// A wake-up counts as work: what it is for may come a moment later.
		worked = now
		w.bulk.Slept(now.Sub(since))
	}
	w.e.Close(clock())
	if w.alarm != nil {
		_ = w.alarm.Close()
	}
	w.closed = true
	w.mu.Unlock()
	w.endLead()
}

// spins says whether the worker is to spin before it sleeps. Where readers take the lead they
// do, and better the worker sleeps than that it is in their way.
func (w *worker) spins() bool {
	return w.spin == SpinForever || w.spin > 0 && (w.shared == nil || !w.helped || !w.leader.turns.open())
}

// spinning returns how long the worker is to spin before it sleeps. For a handler that takes
// turns with its peer it stands in for the reader that would lead, and spins as long as one.
func (w *worker) spinning() time.Duration {
	switch {
	case w.handled:
		return max(w.spin, w.answers.For())
	case w.shared != nil && w.newcomers.Due():
		return max(w.spin, min(w.answers.For(), spin.NewcomersFor))
	case w.spins():
		return w.spin
	case w.adapts && w.bulk.Due():
		return spin.BulkFor
	}
	return 0
}

// holdMax is how long an ACK is held at the most.
const holdMax = 50 * time.Microsecond

// hold has the ACK of what a handler has not answered wait while the worker spins: the rest of
// a question that came in two segments is often there by then.
func (w *worker) hold(c *engine.Conn) {
	if w.shared == nil || w.until != 0 || w.spinning() == 0 || !c.TCP().ACKCanWait() {
		return
	}
	if w.holding != c {
		w.releaseHeld()
	}
	c.HoldACK()
	w.holding = c
}

// releaseHeld has the ACK sent that is held, and says whether one was.
func (w *worker) releaseHeld() bool {
	c := w.holding
	w.holding = nil
	if c == nil || !c.Status().ACKHeld() {
		return false
	}
	c.ReleaseACK()
	return true
}

// look spins until a time, and says whether to step again.
func (w *worker) look(until mono.Time) bool {
	if w.shared == nil {
		if w.rounds++; w.rounds%yieldEvery == 0 {
			thread.Yield()
		}
		runtime.Gosched()
		return true
	}
	until = min(until, w.e.Deadline())
	if w.holding != nil {
		until = min(until, clock().Add(holdMax))
	}
	w.mu.Unlock()
	defer w.mu.Lock()
	return w.spinUntil(until, w.called)
}

// called says whether somebody wants something of the worker that spins.
func (w *worker) called() bool { return w.e.HasMail() || w.stop.Load() }

// yield lets those run whom a step has woken. With nothing to do but to sleep the worker
// does that instead: they run on this P then, and none is woken to look for work.
func (w *worker) yield() {
	if !w.woke {
		return
	}
	w.woke = false
	switch {
	case w.shared != nil && w.unseen.Load() > 0 && w.shared.Pending():
		// Who is woken is to lead by guess, and need not wait for us to come back. Of who writes bulk
		// it would be a step that had better be taken beside it.
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	case w.shared == nil || w.spins() || w.adapts && w.bulk.Due() || w.shared.Pending():
		runtime.Gosched()
	}
}

// alarmBelow is how near a deadline is for which Go's timers are not good enough while a pacer
// holds data back: they are late by up to a millisecond where nothing else runs. Without the alarm
// a connection that is paced at 100 Mbit/s reached 75 % of that over a pipe. With it for every
// deadline that is near, as those of probes and of frames that are short, each sleep of the worker
// was a system call more, and bulk data over a pipe took half as much processor time again.
const alarmBelow = 2 * time.Millisecond

// wakeAt sees to it that the worker wakes at a time. Where there is no alarm the port's own limit
// of the wait must do.
//
// An alarm that rings before is left as it is: who is woken too early looks, and sets it again.
func (w *worker) wakeAt(now, at mono.Time) {
	if now < w.rings && w.rings <= at {
		return
	}
	if w.alarm == nil {
		var err error
		if w.alarm, err = alarm.New(w.port.Wake); err != nil {
			w.alarm = nil
			return
		}
	}
	w.rings = at
	_ = w.alarm.Set(at.Sub(now))
}

// sleep waits for the deadline of the engine, or for something to happen before.
func (w *worker) sleep(now mono.Time) error {
	d := time.Duration(-1)
	w.until = w.e.Deadline()
	if soon := w.until.Sub(now); soon > 0 && soon < alarmBelow && w.e.Paced() {
		w.wakeAt(now, w.until)
	}
	if w.helped {
		w.helped = false
		w.until = min(w.until, now.Add(w.nap))
	}
	if w.until != mono.Never {
		d = max(0, w.until.Sub(now))
	}
	w.mu.Unlock()
	err := w.e.Wait(d)
	w.mu.Lock()
	w.until = 0
	return err
}
