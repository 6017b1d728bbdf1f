package stack

import (
	"sync/atomic"

	"github.com/millrace-tcp/millrace/stack/spin"
)

// young is what sets a connection apart that was made a moment ago. Nothing is known of its
// peer, but most ask at once, or answer, and leave: its reader leads by guess, and of one that was accepted
// what comes before its application has read from it is left to that.
type young struct {
	unseen atomic.Bool // it is counted in worker.unseen
	waits  int         // of its reader that are still to be guesses; of who holds rd.mu
}

// youngWaits is for how many waits a connection is young: for a question in two segments, for
// the end, and one more. Who takes turns is known to by then.
const youngWaits = 4

// born makes c young. It is called by the worker, before the application has c.
func (c *Conn) born() {
	c.young.waits = youngWaits
	c.young.unseen.Store(true)
	c.w.unseen.Add(1)
}

// seen says that the application has waited for data of c, or closed it.
func (c *Conn) seen() {
	if c.young.unseen.Load() && c.young.unseen.Swap(false) {
		c.w.unseen.Add(-1)
	}
}

// guess has the reader of a young connection spin for what comes, in place of the worker, and
// says whether c is one. It is for c's reader, who holds its gate.
func (c *Conn) guess() bool {
	if c.young.waits == 0 {
		return false
	}
	c.young.waits--
	c.seen()
	c.w.guessFor(&c.rd, c.readable)
	return true
}

// guessFor spins for ready in place of the worker, if that pays. It is for who holds g.
func (w *worker) guessFor(g *gate, ready func() bool) {
	if w.takeLead(g, w.leader.guesses, nil) {
		w.guessOn(ready)
		w.leaveLead(ready())
	}
}

// guesses says whether the reader of a young connection is to try. The caller holds mu.
func (l *leader) guesses() bool {
	l.newcomers.Met()
	if l.newcomers.Due() {
		return true
	}
	l.newcomers.Rest()
	return false
}

// guessOn steps and spins. The caller holds mu.
func (w *worker) guessOn(ready func() bool) {
	n := &w.leader.newcomers
	for end := clock().Add(min(w.answers.For(), spin.NewcomersFor)); !w.closed; {
		now := clock()
		worked := w.e.Step(now)
		switch {
		case ready():
			n.Judge(true)
			return
		case worked && w.woke:
			return // it was for others, who want to run
		case worked:
			continue
		case now >= end:
			n.Judge(false)
			return
		}
		next := min(end, w.e.Deadline())
		w.mu.Unlock()
		w.spinUntil(next, ready)
		w.mu.Lock()
	}
}

// beforeLeave is called by who has closed a connection. Frames may go on waking nobody while a
// connection is there that was accepted and not read from: its reader comes next, and leads.
func (w *worker) beforeLeave() {
	if w.unseen.Load() == 0 {
		w.beforeWait()
	}
}
