package stack

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
)

// gate is where one direction of a connection waits: at most one goroutine, which holds mu.
// Who waits says so, looks again, and waits; who changes something looks whether somebody
// waits. Neither allocates, but the first to wait.
type gate struct {
	mu      sync.Mutex    // held by who reads, or writes: one at a time
	ch      chan struct{} // nil until somebody waits: idle connections have no need of it
	waiting atomic.Bool
	polling atomic.Bool // waits for the port, as the leader of its worker
	port    dataplane.SharedPort

	deadline atomic.Int64 // mono.Time; 0 is none
	timerMu  sync.Mutex
	timer    *time.Timer // nil while there is no deadline
}

// awaited says whether somebody waits.
func (g *gate) awaited() bool { return g.waiting.Load() || g.polling.Load() }

// open lets who waits look again.
func (g *gate) open() {
	if g.polling.Load() {
		g.port.Interrupt()
	}
	if !g.waiting.Load() {
		return
	}
	select {
	case g.ch <- struct{}{}:
	default:
	}
}

// wait returns when the gate was opened after ready was false. It may return early.
func (g *gate) wait(ready func() bool) {
	if g.ch == nil {
		g.ch = make(chan struct{}, 1) // for who sees that somebody waits
	}
	g.waiting.Store(true)
	if !ready() {
		<-g.ch
	}
	g.waiting.Store(false)
}

// expired says whether the deadline is over.
func (g *gate) expired() bool {
	d := g.deadline.Load()
	return d != 0 && int64(clock()) >= d
}

// setDeadline sets the deadline, or takes it away with a zero time. It applies to who waits
// already, too.
func (g *gate) setDeadline(t time.Time) {
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
	if t.IsZero() {
		g.deadline.Store(0)
		g.timer = nil
		return
	}
	d := time.Until(t)
	at := clock().Add(d)
	// A time before the clock's zero would read as none.
	g.deadline.Store(int64(max(at, mono.Time(1))))
	if d <= 0 {
		g.open()
		return
	}
	if g.timer == nil {
		// One that fires after the deadline was moved opens the gate in vain, once.
		g.timer = time.AfterFunc(d, g.open)
		return
	}
	g.timer.Reset(d)
}

// stop ends the timer.
func (g *gate) stop() {
	g.timerMu.Lock()
	defer g.timerMu.Unlock()
	if g.timer != nil {
		g.timer.Stop()
	}
}
