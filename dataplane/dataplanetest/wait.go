package dataplanetest

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func testWaitZero(t *testing.T, l *link) {
	start := time.Now()
	for range 100 {
		if err := l.a.Wait(0); err != nil {
			t.Fatalf("Wait(0): %v", err)
		}
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("100 times Wait(0) took %v", d)
	}
}

// testWaitTimesOut: Wait may return early, but a worker that waits must not spin.
func testWaitTimesOut(t *testing.T, l *link) {
	const each, whole = 10 * time.Millisecond, 100 * time.Millisecond
	turns := 0
	within(t, "the end of Wait", func() {
		for start := time.Now(); time.Since(start) < whole; turns++ {
			if err := l.a.Wait(each); err != nil {
				t.Errorf("Wait: %v", err)
				return
			}
			drain(l.a)
		}
	})
	if turns > 100 {
		t.Errorf("Wait(%v) returned %d times in %v, want about %d", each, turns, whole, whole/each)
	}
}

func testWakeBeforeWait(t *testing.T, l *link) {
	for range 100 {
		l.a.Wake()
		l.a.Wake()
		within(t, "the end of Wait after Wake", func() {
			if err := l.a.Wait(-1); err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
	}
}

func testWakeEndsWait(t *testing.T, l *link) {
	var turns atomic.Int64
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			if err := l.a.Wait(-1); err != nil {
				t.Errorf("Wait: %v", err)
				return
			}
			drain(l.a)
			turns.Add(1)
		}
	}()
	within(t, "the last of 2000 returns", func() {
		for range 2000 {
			now := turns.Load()
			l.a.Wake()
			for turns.Load() == now {
				runtime.Gosched()
			}
		}
	})
	stop.Store(true)
	l.a.Wake()
	<-done
}

func testFrameEndsWait(t *testing.T, l *link) {
	room := l.a.Info().FrameSize
	arrived := make(chan struct{}, 1)
	go func() {
		for range 200 {
			for got := 0; got == 0; {
				if err := l.b.Wait(-1); err != nil {
					t.Errorf("Wait: %v", err)
					return
				}
				got = l.b.take(l.b.batch[:])
				for i := range got {
					if n := number(l.b.batch[i].Data); n != l.b.want {
						t.Errorf("got frame %d, want %d", n, l.b.want)
					}
					l.b.want++
				}
				l.b.Free(l.b.batch[:got])
				l.b.Flush()
			}
			arrived <- struct{}{}
		}
	}()
	for range 200 {
		l.a.send(t, 1)
		for end, here := time.Now().Add(patience), false; !here; {
			select {
			case <-arrived:
				here = true
			case <-time.After(10 * time.Millisecond):
				l.a.Flush() // The sender's next turn.
			}
			if !here && time.Now().After(end) {
				t.Fatalf("a frame of %d octets was sent and Wait slept on", length(l.a.next-1, room))
			}
		}
	}
}

// echo sends back each of our frames until turns of them came.
func echo(e *end, turns int) error {
	for n := 0; n < turns; {
		got := e.take(e.batch[:])
		if got == 0 {
			e.Flush()
			if err := e.Wait(-1); err != nil {
				return err
			}
			continue
		}
		e.Free(e.batch[:got])
		for back := 0; back < got; {
			k := e.Alloc(e.batch[:got-back])
			for i := range k {
				f := &e.batch[i]
				f.Data = f.Data[:fill(f.Data, e.next)]
				e.next++
			}
			e.Send(e.batch[:k])
			e.Flush()
			back += k
		}
		n += got
	}
	return nil
}

// testPingPong: each side sleeps until the other has sent, so that one lost wake-up stops
// the game. A pace that varies meets the moment between the last look and the sleep.
func testPingPong(t *testing.T, l *link) {
	const turns = 3000
	// An emulated NIC takes 5 ms a turn.
	withinTime(t, 6*patience, "the end of the game", func() {
		done := make(chan error, 1)
		go func() { done <- echo(l.b, turns) }()
		for n := range turns {
			for range n % 97 {
				_ = l.a.Stats() // Pass a little time, more each turn.
			}
			l.a.send(t, 1)
			for l.a.want <= uint64(n) {
				got := l.a.take(l.a.batch[:])
				l.a.Free(l.a.batch[:got])
				l.a.want += uint64(got)
				if got > 0 {
					continue
				}
				l.a.Flush()
				if err := l.a.Wait(-1); err != nil {
					t.Errorf("Wait: %v", err)
					return
				}
			}
		}
		if err := <-done; err != nil {
			t.Errorf("echo: %v", err)
		}
	})
}

func testConcurrentWake(t *testing.T, l *link) {
	var stop atomic.Bool
	var wakers sync.WaitGroup
	for range 4 {
		wakers.Add(1)
		go func() {
			defer wakers.Done()
			for !stop.Load() {
				l.b.Wake()
				_ = l.b.Stats()
				_ = l.b.Info()
				runtime.Gosched()
			}
		}()
	}
	for range 200 {
		l.a.send(t, 4)
		l.b.receive(t, 4, l.a.Info().FrameSize)
	}
	stop.Store(true)
	wakers.Wait()
}

func testCloseMissesAllocated(t *testing.T, l *link) {
	if n := l.a.Alloc(l.a.batch[:1]); n != 1 {
		t.Fatalf("Alloc = %d, want 1", n)
	}
	if err := l.a.Close(); err == nil {
		t.Error("Close with an allocated frame missing gave no error")
	}
	if err := l.b.Close(); err != nil {
		t.Errorf("Close of the peer: %v", err)
	}
}

func testCloseMissesReceived(t *testing.T, l *link) {
	l.a.send(t, 1)
	for end := time.Now().Add(patience); l.b.take(l.b.batch[:1]) == 0; l.a.Flush() {
		if time.Now().After(end) {
			t.Fatal("the frame did not come")
		}
	}
	if err := l.b.Close(); err == nil {
		t.Error("Close with a received frame missing gave no error")
	}
	if err := l.a.Close(); err != nil {
		t.Errorf("Close of the peer: %v", err)
	}
}

func testAfterClose(t *testing.T, l *link) {
	before := l.a.Stats().TXFrames
	l.a.send(t, 5) // On the way when both ports close.
	l.close(t)
	l.a.Wake()
	if err := l.a.Wait(-1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Wait after Close = %v, want net.ErrClosed", err)
	}
	l.a.Wake()
	if n := l.a.Recv(l.a.batch[:]); n != 0 {
		t.Errorf("Recv after Close = %d, want 0", n)
	}
	if n := l.a.Alloc(l.a.batch[:]); n != 0 {
		t.Errorf("Alloc after Close = %d, want 0", n)
	}
	l.a.Flush()
	if got := l.a.Stats().TXFrames - before; got != 5 {
		t.Errorf("TXFrames after Close = %d, want 5", got)
	}
	if l.a.Close() == nil {
		t.Error("a second Close gave no error")
	}
}
