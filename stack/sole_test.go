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

// pouring has c send until it fails, or stop is closed.
func pouring(c *stack.Conn, stop <-chan struct{}) {
	block := make([]byte, 64<<10)
	for {
		select {
		case <-stop:
			c.CloseWrite()
			return
		default:
		}
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}

// readUntil reads from c until enough says so, and fails beyond some gigabytes.
func readUntil(t *testing.T, c io.Reader, what string, enough func() bool) {
	t.Helper()
	block := make([]byte, 64<<10)
	for octets := 0; !enough(); {
		n, err := c.Read(block)
		if err != nil {
			t.Fatal(err)
		}
		if octets += n; octets > 8<<30 {
			t.Fatalf("after %d octets: not %s", octets, what)
		}
	}
}

// TestSoleReaderLeads: where data comes in bulk for one connection alone, its reader receives it.
func TestSoleReaderLeads(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor no reader leads")
	}
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { pouring(a, stop) })
	readUntil(t, b, "a hundred leads", func() bool { return p.b.Leads() >= 100 })
	close(stop)
	io.Copy(io.Discard, b)
	all.Wait()
}

// TestOthersAreHeardBesideBulk: what comes for another connection, and a new one, is received
// when the reader that led has gone on to something else, or reads on.
func TestOthersAreHeardBesideBulk(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor no reader leads")
	}
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	from, other := p.connect(t)
	for _, c := range []*stack.Conn{a, b, from, other} {
		defer c.Close()
	}
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { pouring(a, stop) })
	all.Go(func() { echoing(other) })
	from.SetDeadline(time.Now().Add(patience))
	for round := range 10 {
		leads := p.b.Leads()
		readUntil(t, b, "more leads", func() bool { return p.b.Leads() > leads })
		turn(t, from, round) // b's reader is away meanwhile
		x, y := p.connect(t)
		x.Close()
		y.Close()
	}
	all.Go(func() { io.Copy(io.Discard, b) })
	for n := range 100 {
		turn(t, from, n)
	}
	close(stop)
	from.CloseWrite()
	all.Wait()
}
