package service_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/service"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// serve runs a server until the test ends.
func serve(t *testing.T, s *service.Server) (dial func() *net.TCPConn) {
	t.Helper()
	testutil.NoGoroutineLeak(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Serve does not return")
		}
	})
	return func() *net.TCPConn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { _ = c.Close() })
		return c.(*net.TCPConn)
	}
}

// Everything comes back, and the end as well.
func TestEcho(t *testing.T) {
	var octets atomic.Int64
	dial := serve(t, &service.Server{Handle: service.Echo(),
		Closed: func(_ net.Conn, n int64, _ time.Duration, err error) {
			if err != nil {
				t.Error(err)
			}
			octets.Add(n)
		}})
	c := dial()
	sent := bytes.Repeat([]byte("echo"), 200_000)
	go func() {
		_, _ = c.Write(sent)
		_ = c.CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d octets came back, %v, want %d", len(got), err, len(sent))
	}
	testutil.Eventually(t, 10*time.Second, func() bool { return octets.Load() == int64(len(sent)) }, "the count")
}

func TestDiscard(t *testing.T) {
	var octets atomic.Int64
	dial := serve(t, &service.Server{Handle: service.Discard(),
		Closed: func(_ net.Conn, n int64, _ time.Duration, _ error) { octets.Store(n) }})
	c := dial()
	_, _ = c.Write(make([]byte, 1_000_000))
	_ = c.CloseWrite()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read %d, %v, want nothing but the end", n, err)
	}
	testutil.Eventually(t, 10*time.Second, func() bool { return octets.Load() == 1_000_000 }, "the count")
}

// "it sends a constantly changing pattern": the next line starts one character further.
func TestChargen(t *testing.T) {
	dial := serve(t, &service.Server{Handle: service.Chargen()})
	c := dial()
	got := make([]byte, 300_000) // more than one block: the seam must not show
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	for line := 0; (line+1)*74 <= len(got); line++ {
		l := got[line*74:][:74]
		for i := range 72 {
			if want := ' ' + byte((line+i)%95); l[i] != want {
				t.Fatalf("line %d: %q, character %d is not %q", line, l, i, want)
			}
		}
		if l[72] != '\r' || l[73] != '\n' {
			t.Fatalf("line %d ends with %q", line, l[72:])
		}
	}
}

// Above the limit a connection waits; it is served when another ends.
func TestLimit(t *testing.T) {
	dial := serve(t, &service.Server{Handle: service.Echo(), Limit: 1})
	first, second := dial(), dial()
	echo := func(c *net.TCPConn) error {
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	if err := echo(first); err != nil {
		t.Fatal(err)
	}
	_ = second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if err := echo(second); err == nil {
		t.Fatal("the second connection is served beside the first")
	}
	_ = first.Close()
	_ = second.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(second, make([]byte, 1)); err != nil {
		t.Errorf("the second connection is not served after the first: %v", err)
	}
}

// A server that stops closes what is open.
func TestStopClosesConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	opened := make(chan struct{})
	discard := service.Discard()
	s := &service.Server{Handle: func(c net.Conn) (int64, error) {
		close(opened)
		return discard(c)
	}}
	go func() { done <- s.Serve(ctx, l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-opened
	cancel()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection ends with %v, want io.EOF", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
