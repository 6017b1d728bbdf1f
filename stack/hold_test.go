package stack_test

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// TestQuestionInTwoParts: a peer that Nagle's algorithm lets send the second part only when the
// first is acknowledged is not kept waiting for the delayed ACK, though the reader who might have
// answered the first part holds its ACK.
func TestQuestionInTwoParts(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	const delay, questions, part = 10 * time.Second, 8, 10
	cfg := stack.Config{}
	cfg.TCP.DelayedACK, cfg.TCP.RTOMin, cfg.TCP.NoTLP = delay, delay, true
	p := newPair(t, cfg)
	a, b := p.connect(t)
	defer a.Close()
	if err := a.SetNoDelay(false); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		defer b.Close()
		var question [2 * part]byte
		for {
			if _, err := io.ReadFull(b, question[:]); err != nil {
				return
			}
			if _, err := b.Write(question[:1]); err != nil {
				return
			}
		}
	})
	start := time.Now()
	for range questions {
		for range 2 {
			if _, err := a.Write(make([]byte, part)); err != nil {
				t.Fatal(err)
			}
		}
		var answer [1]byte
		if _, err := io.ReadFull(a, answer[:]); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took >= delay {
		t.Errorf("%d questions took %v: an ACK was delayed", questions, took)
	}
	a.Close()
	all.Wait()
}
