package engine

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
)

// TestMailbox posts from many goroutines to a worker that sleeps whenever it can: no post is
// lost, and none is left waiting for the next one.
func TestMailbox(t *testing.T) {
	_, port := pipe.New(pipe.Config{})
	e := New(Config{}, port, &StaticRouter{})
	quit := false
	var worker sync.WaitGroup
	worker.Go(func() {
		now := mono.Time(1)
		for !quit {
			if now++; e.Step(now) {
				continue
			}
			if err := e.Wait(-1); err != nil {
				t.Error(err)
				return
			}
		}
		e.Close(now)
	})
	const posters, posts = 8, 2000
	late := time.AfterFunc(20*time.Second, func() { panic("a post was lost") })
	defer late.Stop()
	counts := make([]int, posters) // the worker's
	var all sync.WaitGroup
	for i := range posters {
		all.Go(func() {
			done := make(chan struct{}, 1)
			for range posts {
				if !e.Do(func(mono.Time) { counts[i]++; done <- struct{}{} }) {
					t.Error("the engine is closed")
					return
				}
				<-done
			}
		})
		// A connection of its own, which was never opened: what is posted for it is read.
		c := e.newConn(flowKey{lport: uint16(i)}, &Options{})
		c.dead = true
		all.Go(func() {
			for range posts {
				c.PostRead()
				for c.shared.mail.Load() != 0 {
					runtime.Gosched()
				}
			}
		})
	}
	all.Wait()
	e.Do(func(mono.Time) { quit = true })
	worker.Wait()
	for i, n := range counts {
		if n != posts {
			t.Errorf("of poster %d %d were done, want %d", i, n, posts)
		}
	}
	if e.Do(func(mono.Time) {}) || e.forward(e, nil, nil) {
		t.Error("a closed engine takes orders")
	}
}
