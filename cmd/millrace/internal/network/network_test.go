package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fake answers at some addresses, refuses at others, and hangs at the rest.
type fake struct {
	Network
	answers, refuses []string

	mu    sync.Mutex
	tried []string
}

func (f *fake) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	f.mu.Lock()
	f.tried = append(f.tried, address)
	f.mu.Unlock()
	switch {
	case slices.Contains(f.answers, address):
		c, _ := net.Pipe()
		return c, nil
	case slices.Contains(f.refuses, address):
		return nil, syscall.ECONNREFUSED
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestRace(t *testing.T) {
	a6, b6 := netip.MustParseAddr("fd77::1"), netip.MustParseAddr("fd77::2")
	a4 := netip.MustParseAddr("10.77.0.1")
	const at6, at6b, at4 = "[fd77::1]:80", "[fd77::2]:80", "10.77.0.1:80"
	for _, tt := range []struct {
		name  string
		f     *fake
		tried []string
		err   error
	}{
		{"the first answers", &fake{answers: []string{at6}}, []string{at6}, nil},
		{"the first refuses, the next is tried at once",
			&fake{refuses: []string{at6}, answers: []string{at4}}, []string{at6, at4}, nil},
		{"the first is silent, the next is tried beside it",
			&fake{answers: []string{at4}}, []string{at6, at4}, nil},
		{"all refuse", &fake{refuses: []string{at6, at4, at6b}}, []string{at6, at4, at6b}, syscall.ECONNREFUSED},
	} {
		start := time.Now()
		c, err := race(t.Context(), tt.f, "tcp", interleave([]netip.Addr{a6, b6, a4}), 80)
		if !errors.Is(err, tt.err) || (err == nil) != (c != nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		tt.f.mu.Lock()
		if !slices.Equal(tt.f.tried, tt.tried) {
			t.Errorf("%s: tried %v, want %v", tt.name, tt.f.tried, tt.tried)
		}
		tt.f.mu.Unlock()
		if tt.f.refuses != nil && time.Since(start) > headStart {
			t.Errorf("%s: waited although it was refused", tt.name)
		}
	}
}

func TestRaceEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := race(ctx, &fake{}, "tcp", []netip.Addr{netip.MustParseAddr("::1")}, 80); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestKernel(t *testing.T) {
	k := Kernel(Config{})
	l, err := k.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := DialAny(t.Context(), k, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if info, ok := InfoOf(k, c); ok && (info.Congestion == "" || info.Cwnd == 0) {
		t.Errorf("info %+v, want a name and a window", info)
	}
	if err := SetCongestion(c, "no-such"); err == nil {
		t.Error("a congestion control that does not exist is set")
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v, want net.ErrClosed", err)
	}
}
