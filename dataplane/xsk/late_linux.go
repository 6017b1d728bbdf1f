package xsk

import (
	"sync"

	"github.com/millrace-tcp/millrace/dataplane"
)

// keepShare is which part of the receive frames may be kept: a quarter. With the other three the
// receive ring is nearly as long as it can be.
const keepShare = 4

// late is received frames that readers hold though the worker has ended.
type late struct {
	mu     sync.Mutex
	left   int     // frames that were left to readers
	held   int     // of these, not returned
	closed *socket // whose memory the last Return gives back; nil: none
}

// Leave takes note of received frames that readers still hold.
func (p *Port) Leave(frames []dataplane.Frame) {
	l := &p.late
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range frames {
		p.pass(&frames[i], withWorker, withReader)
	}
	l.left += len(frames)
	l.held += len(frames)
	p.nTaken -= len(frames)
}

// Return takes one of those back. Nothing is received into it: the worker has ended. Any
// goroutine may call it.
func (p *Port) Return(f dataplane.Frame) {
	l := &p.late
	l.mu.Lock()
	defer l.mu.Unlock()
	p.pass(&f, withReader, free)
	l.held--
	if l.held == 0 && l.closed != nil {
		l.closed.freeMemory()
		l.closed = nil
	}
}

// pass changes the holder of a receive frame.
func (p *Port) pass(f *dataplane.Frame, from, to holder) {
	chunk := f.Handle >> p.shift
	if chunk >= uint64(p.cfg.RXFrames) || p.holder[chunk] != from {
		panic("BUG: xsk: left a frame that was not received, or returned one that was not left, or twice")
	}
	p.holder[chunk] = to
}

// close closes s, whose memory stays while somebody holds a frame. missing says that the worker
// does, or that nobody knows.
func (l *late) close(s *socket, missing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.closeRings()
	switch {
	case missing:
	case l.held > 0:
		l.closed = s
	default:
		s.freeMemory()
	}
}
