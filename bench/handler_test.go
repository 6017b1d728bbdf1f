package bench_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// paired runs a server on a pipe until the test ends, by handlers or with transfers in place,
// and returns a client of it.
func paired(t *testing.T, handlers, inPlace bool) (c *bench.Client, address string) {
	t.Helper()
	p, err := testbed.NewPair(1500, stack.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listen := p.Listen
	if handlers {
		listen = func() (net.Listener, error) { return p.ListenHandler(bench.OpenHandler) }
	}
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &bench.Server{Log: slog.New(slog.DiscardHandler), InPlace: inPlace}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if leases := p.A.Leases(); leases.Open != 0 || p.A.HandlerPanics() != 0 {
			t.Errorf("%d leases are open, %d panics", leases.Open, p.A.HandlerPanics())
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench.Client{Dial: p.B.DialContext, InPlace: inPlace}, l.Addr().String()
}

// Handlers, and transfers in place, do what a goroutine does by copies, octet by octet.
func TestOtherWaysToServe(t *testing.T) {
	for _, way := range []struct {
		name              string
		handlers, inPlace bool
	}{{"handlers", true, false}, {"in place", false, true}, {"both", true, true}} {
		t.Run(way.name, func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			client, address := paired(t, way.handlers, way.inPlace)
			for _, w := range []bench.Workload{
				{Kind: bench.Exact, Way: bench.Upload, Octets: 5<<20 + 1, Flows: 3},
				{Kind: bench.Exact, Way: bench.Download, Octets: 5<<20 + 1, Flows: 3},
				{Kind: bench.Bulk, Way: bench.Upload, Time: short},
				{Kind: bench.Bulk, Way: bench.Download, Time: short, Flows: 2},
				{Kind: bench.RequestResponse, Size: 1, Time: short},
				{Kind: bench.RequestResponse, Size: 10_000, Time: short, Flows: 2},
				{Kind: bench.RequestResponse, Size: bench.SizeMax, Time: short},
				{Kind: bench.Connect, Size: 100, Time: short},
				{Kind: bench.Idle, Flows: 50, Time: short},
			} {
				r, err := client.Run(t.Context(), address, w)
				if err != nil || r.Octets+r.Count == 0 || w.Octets > 0 && r.Octets != int64(w.Flows)*w.Octets {
					t.Errorf("%v: %+v, %v", w, r, err)
				}
			}
		})
	}
}

// A handler ends a connection whose request is none, and serves the next.
func TestHandlerGarbage(t *testing.T) {
	client, address := paired(t, true, false)
	for _, garbage := range []string{"", "too short", strings.Repeat("x", 4096)} {
		c, err := client.Dial(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte(garbage))
		_ = c.(*stack.Conn).CloseWrite()
		if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%.10q: %d octets, %v", garbage, n, err)
		}
		_ = c.Close()
	}
	w := bench.Workload{Kind: bench.RequestResponse, Size: 10, Time: short}
	if _, err := client.Run(t.Context(), address, w); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}
