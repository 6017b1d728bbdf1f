package stack

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/internal/thread"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/spin"
)

// leader is what a worker and the goroutine that receives in its place have in common.
//
// A reader that finds nothing would wait for the worker to be woken, to find its data, and to
// wake it in turn. Instead it takes the lead: frames wake its own thread, it steps the engine,
// and goes on with its data; nobody else has to run. When it leaves, frames wake the worker
// again. That pays for a connection whose two ends take turns, with nobody beside it; as soon
// as it was in vain it is not tried for a while.
type leader struct {
	mu        sync.Mutex     // held by who leads; for ever when the worker has ended
	wanted    atomic.Bool    // a reader would have led if the worker had slept
	turns     chances        // of readers whose connections take turns
	newcomers spin.Newcomers // of readers of young connections; of who holds the worker's mu
	sole      sole
	hush      hush
	gate      *gate // of who leads; guarded by the worker's mu
}

// chances is how often to try what does not always pay.
type chances struct {
	skip atomic.Int32 // how many more chances are left out
	dear int32        // how many it was last; of who holds the worker's mu
}

// take says whether to try. Any goroutine may call it.
func (c *chances) take() bool { return c.skip.Load() <= 0 || c.skip.Add(-1) < 0 }

// open says whether the next take would say so.
func (c *chances) open() bool { return c.skip.Load() <= 0 }

// vain has the next chances left out: to try did not pay. The caller holds the worker's mu.
func (c *chances) vain() {
	c.dear = min(max(1, 2*c.dear), leadSkip)
	c.skip.Store(c.dear)
}

// paid is called after it did. The caller holds the worker's mu.
func (c *chances) paid() {
	if c.open() {
		c.dear = max(0, c.dear-1)
	}
}

const (
	// leadMax is how long a reader leads before it waits like all others: while it does, it
	// keeps a thread and, for the Go scheduler, a processor.
	leadMax = time.Millisecond
	// leadSkip is how many reads at the most do without after one for which it did not pay: one
	// at first, and each time twice as many. Reads for which it pays take that back by and by.
	leadSkip = 64
	// leadMore is how many more steps a reader that has something takes at once if frames are
	// there: a message of several segments comes in as many. If there are some still, they
	// come in bulk.
	leadMore = 16
)

// takeLead has the caller, who holds g, receive in place of the worker until it calls
// leaveLead. It says false where that cannot be, because somebody else leads or the engine is
// being stepped, or where due says no, which has the worker's mu. Where it is the worker that is in
// the way, it is told by wants.
func (w *worker) takeLead(g *gate, due func() bool, wants *atomic.Bool) bool {
	l := &w.leader
	if w.shared == nil || runtime.GOMAXPROCS(0) == 1 || !l.mu.TryLock() {
		return false
	}
	stepped := !w.mu.TryLock()
	if stepped || w.closed || !due() {
		if wants != nil {
			wants.Store(true)
		}
		if !stepped {
			w.mu.Unlock()
		}
		l.mu.Unlock()
		return false
	}
	w.mute()
	l.hush.leads, l.gate = true, g
	return true
}

// leaveLead ends what takeLead began. The port stays muted if the same reader, or another one, is
// to come again soon.
func (w *worker) leaveLead(muted bool) {
	l := &w.leader
	l.hush.leads, l.gate = false, nil
	if muted {
		w.stayMute()
	} else {
		w.unmute()
	}
	w.settle()
	w.mu.Unlock()
	l.mu.Unlock()
}

// lead receives in place of the worker until c is readable, or for a while. It is for c's
// reader, who holds its gate. It waits at the gate afterwards, if c is still not readable.
func (w *worker) lead(c *Conn) {
	l := &w.leader
	if !l.turns.take() || !w.takeLead(&c.rd, w.asleep, &l.wanted) {
		return
	}
	w.leadOn(c)
	for n := 0; n < leadMore && !w.closed && w.shared.Pending(); n++ {
		w.e.Step(clock())
	}
	switch {
	case w.shared.Pending():
		l.turns.vain() // more comes than one reader takes: the worker does it beside us
	default:
		l.turns.paid()
	}
	w.leaveLead(l.turns.open() && c.readable())
}

// asleep says whether the worker sleeps, and is not about to run. The caller holds mu.
func (w *worker) asleep() bool { return w.until != 0 }

// leadOn steps and waits. The caller holds mu.
func (w *worker) leadOn(c *Conn) {
	g, ready := &c.rd, c.readable
	for end := clock().Add(leadMax); !ready() && !w.closed; {
		now := clock()
		if now >= end {
			return
		}
		if w.e.Step(now) {
			if w.woke && !ready() {
				w.leader.turns.vain() // it was for others
				return
			}
			continue
		}
		next := g.until(min(end, w.e.Deadline()))
		if next <= now {
			continue
		}
		g.polling.Store(w)
		long := w.answers.For()
		w.mu.Unlock()
		found := w.spinUntil(min(next, now.Add(long)), ready)
		held := c.c.Status().ACKHeld()
		if !found && !held {
			w.shared.Poll(next.Sub(clock()))
		}
		w.mu.Lock()
		g.polling.Store(nil)
		if found || !held {
			w.answers.Took(clock().Sub(now))
			continue
		}
		c.c.ReleaseACK() // the answer takes too long
	}
}

// spinUntil looks for frames, and for what found says, until a time, and says whether there is
// something. Soonest of all it yields the thread: no answer is that quick, and on a CPU that the
// two ends share it is the yield that lets the peer answer.
func (w *worker) spinUntil(end mono.Time, found func() bool) bool {
	for rounds := 0; ; rounds++ {
		if w.shared.Pending() || found() {
			return true
		}
		if clock() >= end {
			return false
		}
		if rounds%yieldEvery == 0 {
			thread.Yield()
		}
	}
}

// helpSteps is how many steps who helps takes at the most. The peer that ends a connection and
// opens the next one is acknowledged, and has answered, within three.
const helpSteps = 4

// help steps the engine in the goroutine of who has posted something, if nobody else does at
// this moment, and says so: to wake the worker costs more than what it would do.
func (w *worker) help() bool {
	if w.shared == nil || !w.mu.TryLock() {
		return false
	}
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.e.Step(clock())
	// Where readers lead, the answer to what is sent is theirs, and may be here at once: always
	// where the kick wakes a peer that runs before us, on the same processor.
	h := &w.leader.hush
	for n := 1; n < helpSteps && h.on.Load() && w.shared.Pending(); n++ {
		h.turns.Add(1)
		w.e.Step(clock())
	}
	w.leader.sole.helped()
	w.settle()
	return true
}

// do has f called as if by the worker: in the caller's goroutine if nobody steps at this moment,
// and what comes of it is sent, else later. It says false where the worker has ended.
func (w *worker) do(f func(now mono.Time)) bool {
	if w.shared == nil || !w.mu.TryLock() {
		return w.e.Do(f)
	}
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	now := clock()
	f(now)
	w.e.Step(now)
	w.settle()
	return true
}

const (
	// napMin is the shortest nap: a thousand a second cost a hundredth of a core.
	napMin = time.Millisecond
	// napFirst is the first: what an ACK is delayed by.
	napFirst = 40 * time.Millisecond
)

// settle wakes the worker if it must not sleep on. The caller holds mu, and is not the worker.
//
// With each segment that is sent a timer is armed, and with each ACK that comes it is not any
// more: a worker that always slept as long as it may would have to be woken for each segment.
// So while others help it takes naps, as long as the timer was for which it was woken.
func (w *worker) settle() {
	w.woke = false
	w.helped = true
	if w.until == 0 {
		return
	}
	next := w.e.Deadline()
	// Frames that come while it is muted are the reader's that is expected, or found by listen.
	come := !w.leader.hush.on.Load() && w.shared.Pending()
	if next >= w.until && !w.shared.Owing() && !w.e.HasMail() && !come {
		return
	}
	if d := next.Sub(clock()); d > 0 {
		w.nap = max(napMin, min(d, napFirst))
	}
	w.until = 0
	w.port.Wake()
}

// endLead sees the leader out, and lets none in any more.
func (w *worker) endLead() {
	if w.shared != nil {
		w.shared.Interrupt()
	}
	w.leader.mu.Lock()
}
