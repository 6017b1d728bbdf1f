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

// askOnce connects, has an octet sent back, and closes.
func askOnce(t testing.TB, s *stack.Stack, n int) {
	t.Helper()
	c, err := s.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	turn(t, c.(*stack.Conn), n)
}

// serveOnce accepts until the listener is closed, and sends back what comes on each connection.
func serveOnce(t testing.TB, p *pair) (stop func()) {
	t.Helper()
	l := listen(t, p.b, ":80")
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				echoing(c.(*stack.Conn))
				c.Close()
			})
		}
	})
	return func() {
		l.Close()
		all.Wait()
	}
}

// TestYoung: readers of short connections receive for themselves.
func TestYoung(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("with one processor the worker receives")
	}
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	defer serveOnce(t, p)()
	// On a loaded machine a client may take so long that readers give up to guess.
	const conns, tries = 20, 300
	most := 0
	for try := 0; try < tries && most < conns/4; try++ {
		before := p.b.Leads()
		for n := range conns {
			askOnce(t, p.a, n)
		}
		most = max(most, p.b.Leads()-before)
	}
	if most < conns/4 {
		t.Errorf("readers received for themselves %d times on %d connections", most, conns)
	}
}

// TestOthersAreHeardBesideTheUnseen: while connections were accepted of which nobody reads, those
// that come and go keep nobody from hearing what comes for others.
func TestOthersAreHeardBesideTheUnseen(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	other, from := p.connect(t)
	unread, _ := p.connect(t)
	for _, c := range []*stack.Conn{other, from, unread} {
		defer c.Close()
	}
	defer serveOnce(t, p)()
	if err := from.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		askOnce(t, p.a, n)
		if _, err := other.Write([]byte{byte(n)}); err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := io.ReadFull(from, b[:]); err != nil || b[0] != byte(n) {
			t.Fatalf("got %v, %v, want %d", b, err, n)
		}
	}
}
