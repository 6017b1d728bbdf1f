package stack

import (
	"sync/atomic"
	"time"
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
	watch   watch
}

func (h *hush) init(listen func()) {
	h.timer = time.AfterFunc(time.Hour, listen)
	h.timer.Stop()
}

// watch says when to look whether readers still come. Frames for others that come after the last
// turn of a connection wait for that, at most twice as long; but each look wakes a thread, which
// takes the processor from one of the ends, or moves it to another. Over a veth, both ends ours
// on two processors, one in a hundred turns took 82 to 102 us with a look a millisecond, and 69 to 96 with
// an eighth of them. Half of them are fewer than one in a hundred turns at such a pace, and have nobody
// wait for more than 4 ms.
type watch struct {
	turns uint32 // as it was seen last
	every time.Duration
}

const (
	// watchFirst is how long it is to the next look at first, and watchMost at the most: twice as
	// long each time that watchBusy turns were seen. A connection that stops to think between
	// its turns has others wait as long as at first.
	watchFirst = time.Millisecond
	watchMost  = 2 * time.Millisecond
	watchBusy  = 8
)

// next takes note of how many turns there were altogether, and returns how long it is to the next
// look: 0 if there were none since the last.
func (w *watch) next(turns uint32) time.Duration {
	switch seen := turns - w.turns; {
	case seen >= watchBusy:
		w.every = min(max(2*w.every, watchFirst), watchMost)
	case seen > 0:
		w.every = watchFirst
	default:
		w.every = 0
	}
	w.turns = turns
	return w.every
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
		h.timer.Reset(watchFirst)
	}
}

// listen unmutes the port when no reader has come since it was called last.
func (w *worker) listen() {
	h := &w.leader.hush
	if d := h.watch.next(h.turns.Load()); d > 0 {
		h.timer.Reset(d)
		return
	}
	// To wait for who steps would have that one wake us.
	if !w.mu.TryLock() {
		h.timer.Reset(watchFirst)
		return
	}
	defer w.mu.Unlock()
	if h.leads && !w.closed {
		h.timer.Reset(watchFirst)
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
