package stack

import (
	"runtime"
	"sync/atomic"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/spin"
)

// sole is the connection that data comes for in bulk while none comes for others. Its reader
// receives for itself, as long as it is soon back for more: for the worker to wake the reader, and for Go
// to wake a thread that looks for what else there is to run, takes longer than either's work, and
// moves the data from one processor's cache to the other's.
//
// Measured over a veth, kernel TCP to a reader on two processors, the middle of eight runs by turns: 9.5
// Gbit/s without and 15.6 with at MTU 1500, 11.4 and 16.4 at 9000, 14.6 and 20.6 at 65000, at two
// thirds of the processors' time. Eight connections that lead by turns moved a fifth less than without.
type sole struct {
	conn  atomic.Pointer[Conn] // nil: there is none; written by who holds the worker's mu
	wants atomic.Bool          // its reader would have led if the worker had slept
	left  atomic.Int64         // when its reader has left the lead with data, a mono.Time; 0: it has not
	tries chances

	last *Conn // the last that data came for; of who holds the worker's mu, like rule
	rule spin.Alone
}

// came takes note that a step has brought data for c. The caller holds the worker's mu.
func (s *sole) came(c *Conn) {
	same := s.last == c
	if !same {
		s.forget(s.last)
		s.last = c
	}
	if s.rule.Came(same) && s.conn.Load() != c {
		s.conn.Store(c)
	}
}

// forget is called when c is not alone, or gone. The caller holds the worker's mu.
func (s *sole) forget(c *Conn) {
	if s.last == c {
		s.last = nil
		if s.conn.Load() != nil {
			s.conn.Store(nil)
			s.left.Store(0)
		}
	}
}

// leadAlone receives in place of the worker until c is readable, or for a while, if c is the one
// that data comes for. It is for c's reader, who holds its gate.
func (c *Conn) leadAlone() {
	w := c.w
	s := &w.leader.sole
	if s.conn.Load() != c {
		return
	}
	left := mono.Time(s.left.Swap(0))
	if !s.tries.take() || !w.takeLead(&c.rd, w.asleep, &s.wants) {
		return
	}
	s.returned(left)
	w.leadAloneOn(c)
	more := s.conn.Load() == c && c.readable()
	if more {
		s.left.Store(int64(clock()))
	}
	w.leaveLead(more)
}

// helped is called by who has stepped while its reader is away.
func (s *sole) helped() {
	if s.left.Load() != 0 {
		s.left.Store(int64(clock()))
	}
}

// returned judges whether it pays that the reader leads, which has left the engine to itself at
// a time, or has not led before. The caller holds the worker's mu.
func (s *sole) returned(left mono.Time) {
	switch {
	case left == 0:
	case s.rule.Back(clock().Sub(left)):
		s.tries.paid()
	default:
		s.tries.vain()
	}
}

// leadAloneOn steps and waits. The caller holds mu.
func (w *worker) leadAloneOn(c *Conn) {
	g, ready := &c.rd, c.readable
	if c.c.Status().ACKHeld() {
		c.c.ReleaseACK() // there is no answer to carry it
	}
	for end := clock().Add(leadMax); !ready() && !w.closed && w.leader.sole.conn.Load() == c; {
		now := clock()
		if now >= end {
			return
		}
		if w.e.Step(now) {
			w.yieldLead(ready)
			continue
		}
		next := g.until(min(end, w.e.Deadline()))
		if next <= now {
			continue
		}
		g.polling.Store(w)
		w.mu.Unlock()
		if !w.spinUntil(min(next, now.Add(spin.BulkFor)), ready) {
			w.shared.Poll(next.Sub(clock()))
		}
		w.mu.Lock()
		g.polling.Store(nil)
	}
}

// yieldLead lets others run that a step has woken. The caller holds mu.
func (w *worker) yieldLead(ready func() bool) {
	if w.woke && !ready() {
		w.mu.Unlock()
		runtime.Gosched()
		w.mu.Lock()
	}
	w.woke = false
}

// cede leaves the engine to the reader that wants to lead, and has been woken by this step, and
// says so: the worker is to sleep then. If that reader does not come, listen notices. The caller
// is the worker, and holds mu.
func (w *worker) cede() bool {
	s := &w.leader.sole
	if w.shared == nil || !w.woke || s.conn.Load() == nil || !s.wants.Swap(false) {
		return false
	}
	w.woke = false
	w.mute()
	w.stayMute()
	return true
}
