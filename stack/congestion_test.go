package stack_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/cubic"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

func wantAlgorithm(t *testing.T, c *stack.Conn, want string) {
	t.Helper()
	i, err := c.Info()
	if err != nil || i.Congestion != want {
		t.Errorf("congestion control %q, %v; want %q", i.Congestion, err, want)
	}
}

// A live connection changes its congestion control by name, keeps its window, and says what is
// wrong with a name; a shadow is shown beside it.
func TestSetCongestionControl(t *testing.T) {
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	wantAlgorithm(t, a, "reno")
	echo(t, a, b, 300_000)
	before, err := a.Info()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cubic?hystart=off", "bbr", "reno?L=8", "cubic"} {
		if err := a.SetCongestionControl(name); err != nil {
			t.Fatal(err)
		}
		bare, _, _ := strings.Cut(name, "?")
		wantAlgorithm(t, a, bare)
		if i, _ := a.Info(); i.Cwnd < before.Cwnd/2 {
			t.Errorf("%s: cwnd %d, was %d", name, i.Cwnd, before.Cwnd)
		}
		echo(t, a, b, 100_000)
	}
	for _, bad := range []string{"none-such", "reno?M=1", "cubic?beta=7"} {
		if err := a.SetCongestionControl(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	wantAlgorithm(t, a, "cubic")
	if err := a.SetShadow("reno"); err != nil {
		t.Fatal(err)
	}
	echo(t, a, b, 100_000)
	if i, _ := a.Info(); i.Shadow.Congestion != "reno" || i.Shadow.Cwnd == 0 {
		t.Errorf("shadow %+v", i.Shadow)
	}
	if err := a.SetShadow(""); err != nil {
		t.Fatal(err)
	}
	if i, _ := a.Info(); i.Shadow.Congestion != "" {
		t.Errorf("shadow %+v after it was ended", i.Shadow)
	}
	if err := a.SetCongestionOption("c", "0.5"); err == nil {
		t.Error("an algorithm without options that change took one")
	}
}

// echo moves n octets from a to b.
func echo(t *testing.T, a, b net.Conn, n int) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.Write(make([]byte, n)); err != nil {
			t.Error(err)
		}
	})
	if _, err := io.CopyN(io.Discard, b, int64(n)); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// A listener chooses by the addresses of a connection, a dialer for its own, and the stack for
// all others.
func TestCongestionByAddress(t *testing.T) {
	p := newPair(t, stack.Config{Congestion: cubic.New})
	lc := stack.ListenConfig{
		Stack: p.b,
		CongestionFor: func(local, remote netip.AddrPort) func() congestion.Algorithm {
			if remote.Port() == 7777 && remote.Addr() == addrA && local.Addr() == addrB {
				return reno.New
			}
			return nil
		},
	}
	l, err := lc.Listen(context.Background(), "tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for port, want := range map[int]string{7777: "reno", 7778: "cubic"} {
		d := stack.Dialer{Stack: p.a, LocalAddr: &net.TCPAddr{Port: port}, Congestion: reno.Config{Limit: 3}.New}
		c, err := d.Dial("tcp", "10.0.0.2:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		wantAlgorithm(t, c.(*stack.Conn), "reno")
		wantAlgorithm(t, s.(*stack.Conn), want)
	}
}

// fails panics at its first ACK.
type fails struct{ congestion.Algorithm }

func (fails) OnAck(*congestion.Flow, *congestion.Ack) { panic("out of order") }

// logged is what was logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String(), s)
}

// counts is a recorder.
type counts struct{ n, closed *atomic.Int64 }

func (c counts) Record(r *congestion.Record) {
	c.n.Add(1)
	if r.Event == congestion.EventClosed {
		c.closed.Add(1)
	}
}

// An algorithm that panics costs its connections nothing but itself, and is logged; what
// happens is recorded.
func TestReplacedIsLoggedAndRecorded(t *testing.T) {
	var log logged
	var n, closed atomic.Int64
	p := newPair(t, stack.Config{
		Congestion: func() congestion.Algorithm { return fails{reno.New()} },
		Log:        slog.New(slog.NewTextHandler(&log, nil)),
		Recorder:   func(_, _ netip.AddrPort) congestion.Recorder { return counts{&n, &closed} },
	})
	a, b := p.connect(t)
	echo(t, a, b, 100_000)
	i, err := a.Info()
	if err != nil || i.Congestion != "reno" || !strings.Contains(i.Replaced, "panic: out of order") {
		t.Errorf("%q, replaced %q, %v", i.Congestion, i.Replaced, err)
	}
	testutil.Eventually(t, patience, func() bool { return log.has("out of order") }, "the log names it")
	a.Close()
	b.Close()
	testutil.Eventually(t, patience, func() bool { return closed.Load() == 2 }, "both ends are recorded to the end")
	if n.Load() < 20 {
		t.Errorf("%d records", n.Load())
	}
}
