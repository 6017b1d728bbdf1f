package stack_test

import (
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// TestOthersAreHeardAfterTurns: what comes for another connection when one has taken turns, and
// its application has gone on to something else, is received all the same.
func TestOthersAreHeardAfterTurns(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor no reader leads")
	}
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	other, from := p.connect(t)
	for _, c := range []*stack.Conn{a, b, other, from} {
		defer c.Close()
	}
	var all sync.WaitGroup
	all.Go(func() { echoing(b) })
	const rounds, turns = 20, 50
	if err := other.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	heard := make(chan error)
	all.Go(func() {
		for range rounds {
			var octet [1]byte
			_, err := io.ReadFull(other, octet[:])
			heard <- err
		}
	})
	for round := range rounds {
		for n := range turns {
			turn(t, a, n)
		}
		if _, err := from.Write([]byte{byte(round)}); err != nil {
			t.Fatal(err)
		}
		if err := <-heard; err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	a.CloseWrite()
	all.Wait()
}

// TestWriterIsHeardAfterTurns: one who has taken turns and then sends more than there is room
// for hears of the acknowledgements.
func TestWriterIsHeardAfterTurns(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{RecvBuffer: 64 << 10, SendBuffer: 64 << 10})
	a, b := p.connect(t)
	defer b.Close()
	const turns, octets = 50, 4 << 20
	var all sync.WaitGroup
	all.Go(func() {
		var octet [1]byte
		for range turns {
			if _, err := io.ReadFull(b, octet[:]); err != nil {
				t.Error(err)
				return
			}
			if _, err := b.Write(octet[:]); err != nil {
				t.Error(err)
				return
			}
		}
		if n, err := io.Copy(io.Discard, b); n != octets || err != nil {
			t.Errorf("got %d octets, %v, want %d", n, err, octets)
		}
	})
	for n := range turns {
		turn(t, a, n)
	}
	if err := a.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, octets)); err != nil {
		t.Error(err)
	}
	a.Close()
	all.Wait()
}
