package stack

import (
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/stack/spin"
)

// hush is whether frames wake the worker. To change that takes a system call, four of them a
// turn where each reader that leads, and each writer, changed it and changed it back: half of
// the time of a turn over a veth. So the port stays muted between the turns of a connection, and
// is unmuted by who waits without leading, or, where nobody comes, by listen, also if the worker
// was awake for something in between. What is not atomic, and writing what is, belongs to who holds the worker's mu.
type hush struct {
	on      atomic.Bool   // the port is muted
	turns   atomic.Uint32 // how often a reader has left it so, or need not lead
	leads   bool          // a reader leads
	listens bool          // listen is to be called
	timer   *time.Timer
	watch   spin.Watch
}

func (h *hush) init(listen func()) {
	h.timer = time.AfterFunc(time.Hour, listen)
	h.timer.Stop()
}

// mute keeps frames from waking the worker. The caller holds mu.
func (w *worker) mute() {
	if h := &w.leader.hush; !h.on.Load() {
		h.on.Store(true)
		w.shared.Mute()
	}
}

// unmute has frames wake the worker again, those that come from now on. The caller holds mu, and
// looks for others after it.
func (w *worker) unmute() {
	if h := &w.leader.hush; h.on.Load() {
		h.on.Store(false)
		w.shared.Unmute()
	}
}

// stayMute leaves the port muted for the reader's next turn. The caller holds mu.
func (w *worker) stayMute() {
	h := &w.leader.hush
	h.turns.Add(1)
	if !h.listens {
		h.listens = true
		h.timer.Reset(spin.WatchFirst)
	}
}

// listen unmutes the port when no reader has come since it was called last.
func (w *worker) listen() {
	h := &w.leader.hush
	if d := h.watch.Next(h.turns.Load()); d > 0 {
		h.timer.Reset(d)
		return
	}
	// To wait for who steps would have that one wake us.
	if !w.mu.TryLock() {
		h.timer.Reset(spin.WatchFirst)
		return
	}
	defer w.mu.Unlock()
	if h.leads && !w.closed {
		h.timer.Reset(spin.WatchFirst)
		return
	}
	h.listens = false
	if !w.closed {
		w.speakUp()
	}
}

// speakUp unmutes the port unless a reader leads. The caller holds mu.
func (w *worker) speakUp() {
	if h := &w.leader.hush; h.on.Load() && !h.leads {
		w.unmute()
		w.settle()
	}
}

// beforeWait is called by who is about to wait at a gate, for what the worker receives.
func (w *worker) beforeWait() {
	if !w.leader.hush.on.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.speakUp()
	}
}
