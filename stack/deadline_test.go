package stack_test

import (
	"os"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// TestDeadlineIsMoved: who waits already fails at the deadline that holds then, whether it was
// moved to be sooner, to be later, or taken away and set again.
func TestDeadlineIsMoved(t *testing.T) {
	const soon, late = 300 * time.Millisecond, 500 * time.Millisecond
	for _, tt := range []struct {
		name  string
		set   []time.Duration // one after the other while the reader waits; 0 is none
		least time.Duration
	}{
		{"set", []time.Duration{soon}, soon},
		{"sooner", []time.Duration{time.Hour, soon}, soon},
		{"later", []time.Duration{soon, late}, late},
		{"taken away and set", []time.Duration{soon, 0, late}, late},
		{"over", []time.Duration{time.Hour, -time.Second}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			p := newPair(t, stack.Config{})
			a, b := p.connect(t)
			defer a.Close()
			defer b.Close()
			failed := make(chan error, 1)
			begun := time.Now()
			go func() {
				_, err := a.Read(make([]byte, 1))
				failed <- err
			}()
			for _, d := range tt.set {
				testutil.Eventually(t, patience, a.Waits, "the reader waits")
				at := time.Time{}
				if d != 0 {
					at = begun.Add(d)
				}
				if err := a.SetReadDeadline(at); err != nil {
					t.Fatal(err)
				}
			}
			wantIs(t, <-failed, os.ErrDeadlineExceeded)
			if took := time.Since(begun); took < tt.least || took > tt.least+patience {
				t.Errorf("failed after %v, want %v", took, tt.least)
			}
		})
	}
}

// TestDeadlineOfEachRead: a deadline before each read, as servers set it, that was never reached
// takes nothing from the reads that follow, and holds for the last.
func TestDeadlineOfEachRead(t *testing.T) {
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	go echoing(b)
	const each = 50 * time.Millisecond
	var last time.Time
	for begun := time.Now(); time.Since(begun) < 3*each; {
		last = time.Now()
		a.SetReadDeadline(last.Add(patience))
		turn(t, a, 1)
	}
	a.SetReadDeadline(last.Add(each))
	_, err := a.Read(make([]byte, 1))
	wantIs(t, err, os.ErrDeadlineExceeded)
	if took := time.Since(last); took < each {
		t.Errorf("failed after %v, want %v", took, each)
	}
}

// BenchmarkSetDeadline sets deadlines that nobody waits for, as servers do before each read.
func BenchmarkSetDeadline(b *testing.B) {
	p := newPair(b, stack.Config{})
	c, peer := p.connect(b)
	defer c.Close()
	defer peer.Close()
	for b.Loop() {
		c.SetDeadline(time.Now().Add(time.Minute))
	}
}
