package stack

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// gate is where one direction of a connection waits: at most one goroutine, which holds mu.
// Who waits says so, looks again, and waits; who changes something looks whether somebody
// waits. Neither allocates, but the first to wait.
type gate struct {
	mu      sync.Mutex    // held by who reads, or writes: one at a time
	ch      chan struct{} // nil until somebody waits: idle connections have no need of it
	waiting atomic.Bool
	polling atomic.Pointer[worker] // whose port it waits for, as its leader; nil: it does not

	deadline atomic.Int64 // mono.Time; 0 is none
	rings    atomic.Int64 // when timer opens the gate, a mono.Time; 0: it does not
	timerMu  sync.Mutex
	timer    *time.Timer // nil while none is set: idle connections have no need of it either
}

// awaited says whether somebody waits.
func (g *gate) awaited() bool { return g.waiting.Load() || g.polling.Load() != nil }

// open lets who waits look again.
func (g *gate) open() {
	if w := g.polling.Load(); w != nil {
		w.shared.Interrupt()
	}
	if !g.waiting.Load() {
		return
	}
	select {
	case g.ch <- struct{}{}:
	default:
	}
}

// wait returns when the gate was opened after ready was false, or at the deadline. It may return
// early.
func (g *gate) wait(ready func() bool) {
	if g.ch == nil {
		g.ch = make(chan struct{}, 1) // for who sees that somebody waits
	}
	g.waiting.Store(true)
	if !ready() {
		g.arm()
		<-g.ch
	}
	g.waiting.Store(false)
}

// expired says whether the deadline is over.
func (g *gate) expired() bool {
	d := g.deadline.Load()
	return d != 0 && int64(clock()) >= d
}

// until is the deadline, or end if that is sooner.
func (g *gate) until(end mono.Time) mono.Time {
	if d := g.deadline.Load(); d != 0 {
		return min(end, mono.Time(d))
	}
	return end
}

// setDeadline sets the deadline, or takes it away with a zero time. It applies to who waits
// already, too, who looks again. A timer is there only for who waits: most deadlines are moved on
// before anyone has to, and to set a timer may wake a thread of the runtime's.
func (g *gate) setDeadline(t time.Time) {
	at := int64(0)
	if !t.IsZero() {
		at = int64(max(clock().Add(time.Until(t)), 1)) // a time before the clock's zero would read as none
	}
	g.deadline.Store(at)
	if at == 0 && g.rings.Load() != 0 {
		g.stop()
	}
	g.open()
}

// arm sees to it that the gate is opened at the deadline. A timer that rings before is left as it
// is: who is woken too early looks, and waits again.
func (g *gate) arm() {
	at, rings := g.deadline.Load(), g.rings.Load()
	if at == 0 || rings != 0 && rings <= at {
		return
	}
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	d := mono.Time(at).Sub(clock())
	g.rings.Store(at)
	if g.timer == nil {
		g.timer = time.AfterFunc(d, g.ring)
		return
	}
	g.timer.Reset(d)
}

// ring is what the timer does. One that was set again meanwhile is forgotten, and rings in vain.
func (g *gate) ring() {
	g.stop() // before who waits looks, and arms it again
	g.open()
}

// stop ends the timer.
func (g *gate) stop() {
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer = nil
	g.rings.Store(0)
}
