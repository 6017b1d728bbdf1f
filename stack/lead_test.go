package stack_test

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// echoing has b send back what it reads, octet by octet, until there is no more.
func echoing(b *stack.Conn) {
	var buf [1]byte
	for {
		if _, err := io.ReadFull(b, buf[:]); err != nil {
			return
		}
		if _, err := b.Write(buf[:]); err != nil {
			return
		}
	}
}

// turn sends an octet and wants it back.
func turn(t testing.TB, a *stack.Conn, n int) {
	t.Helper()
	out, in := [1]byte{byte(n)}, [1]byte{}
	if _, err := a.Write(out[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, in[:]); err != nil || in != out {
		t.Fatalf("got %v, %v, want %v", in, err, out)
	}
}

// TestLead: where two ends take turns, readers receive for themselves and writers send, and
// the workers sleep.
func TestLead(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor the worker receives")
	}
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	var all sync.WaitGroup
	all.Go(func() { echoing(b) })
	// On a loaded machine an answer may take so long that readers give up to lead.
	// Few turns fit between two of its interruptions.
	const turns, tries = 80, 600
	least := uint64(turns)
	for try := 0; try < tries && least >= turns/4; try++ {
		before := p.ports[1].Stats().Waits
		for n := range turns {
			turn(t, a, n)
		}
		least = min(least, p.ports[1].Stats().Waits-before)
	}
	if least >= turns/4 {
		t.Errorf("the worker was woken %d times in %d turns", least, turns)
	}
	a.CloseWrite()
	all.Wait()
}

// TestLeadEnds: a reader that leads hears of deadlines, of Close, and of data, as one does that
// waits.
func TestLeadEnds(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{Spin: -1})
	a, b := p.connect(t)
	defer b.Close()
	var all sync.WaitGroup
	all.Go(func() { echoing(b) })
	for round := range 50 {
		for n := range 4 {
			turn(t, a, n)
		}
		all.Go(func() {
			for range round * 10 {
				runtime.Gosched()
			}
			a.SetReadDeadline(time.Unix(1, 0))
		})
		// As if it had written, so that it leads.
		if _, err := a.Write(nil); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d octets, %v, want %v", n, err, os.ErrDeadlineExceeded)
		}
		a.SetReadDeadline(time.Time{})
	}
	all.Go(func() { a.Close() })
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v, want %v", err, net.ErrClosed)
	}
	b.Close()
	all.Wait()
}
