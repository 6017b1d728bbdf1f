package dataplanetest

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// shared returns e's port as one that goroutines share; other ports pass without the test.
func shared(t *testing.T, e *end) dataplane.SharedPort {
	t.Helper()
	p, ok := e.Port.(dataplane.SharedPort)
	if !ok {
		t.Skip("the port is not one that goroutines share")
	}
	return p
}

// sleeper is a worker that does nothing but wait.
type sleeper struct {
	port dataplane.Port
	ends atomic.Int64 // of Wait
	stop atomic.Bool
	all  sync.WaitGroup
}

func newSleeper(t *testing.T, p dataplane.Port) *sleeper {
	s := &sleeper{port: p}
	s.all.Go(func() {
		for !s.stop.Load() {
			if err := p.Wait(-1); err != nil {
				t.Errorf("Wait: %v", err)
				return
			}
			s.ends.Add(1)
		}
	})
	return s
}

// settle returns when the sleeper has fallen asleep, for the first time or again.
func (s *sleeper) settle() {
	for before := s.port.Stats().Waits; ; runtime.Gosched() {
		s.port.Wake()
		if s.port.Stats().Waits > before {
			return
		}
	}
}

func (s *sleeper) end() {
	s.stop.Store(true)
	for ended := false; !ended; {
		s.port.Wake()
		done := make(chan struct{})
		go func() { s.all.Wait(); close(done) }()
		select {
		case <-done:
			ended = true
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// testPollOrWait: of a port that is muted frames end Poll and leave Wait alone; else they end
// Wait.
func testPollOrWait(t *testing.T, l *link) {
	p := shared(t, l.b)
	s := newSleeper(t, p)
	within(t, "a Poll that ends, beside a Wait that does not,", func() {
		for slept := false; !slept; {
			s.settle()
			p.Mute()
			before := s.ends.Load()
			l.a.send(t, 1)
			for !p.Pending() {
				p.Poll(10 * time.Millisecond)
				l.a.Flush()
			}
			// It may have looked at the ring on its way to sleep: then once more.
			slept = s.ends.Load() == before
			l.b.receive(t, 1, l.a.Info().FrameSize)
			p.Unmute()
		}
	})
	within(t, "a Wait that ends", func() {
		s.settle()
		before := s.ends.Load()
		l.a.send(t, 1)
		for s.ends.Load() == before {
			l.a.Flush()
			runtime.Gosched()
		}
	})
	s.end()
	l.b.receive(t, 1, l.a.Info().FrameSize)
}

func testInterruptEndsPoll(t *testing.T, l *link) {
	p := shared(t, l.b)
	p.Mute()
	defer p.Unmute()
	within(t, "a Poll that was interrupted before", func() {
		p.Interrupt()
		p.Poll(time.Hour)
	})
	within(t, "a Poll that is interrupted", func() {
		var over atomic.Bool
		var all sync.WaitGroup
		all.Go(func() {
			for !over.Load() {
				p.Interrupt()
				runtime.Gosched()
			}
		})
		for range 100 {
			p.Poll(time.Hour)
		}
		over.Store(true)
		all.Wait()
	})
}

// testPollLosesNoFrame: whatever moment a frame comes at, Poll ends for it.
func testPollLosesNoFrame(t *testing.T, l *link) {
	p := shared(t, l.b)
	p.Mute()
	defer p.Unmute()
	room := l.a.Info().FrameSize
	got := make(chan struct{})
	go func() {
		defer close(got)
		for range 500 {
			for !p.Pending() {
				p.Poll(patience)
			}
			l.b.receive(t, 1, room)
			got <- struct{}{}
		}
	}()
	for range 500 {
		l.a.send(t, 1)
		for here := false; !here; {
			select {
			case <-got:
				here = true
			case <-time.After(10 * time.Millisecond):
				l.a.Flush() // The sender's next turn.
			}
		}
	}
	<-got
}
