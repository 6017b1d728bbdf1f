package proxy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/proxy"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/service"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// background runs a server until the test ends.
func background(t *testing.T, serve func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the server does not stop")
		}
	})
}

func dial(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

// Many at once through the proxy to an echo service, each with a half-close: everything
// comes back, and nothing is left.
func TestProxy(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	far, near := listen(t), listen(t)
	background(t, func(ctx context.Context) error {
		return (&service.Server{Handle: service.Echo()}).Serve(ctx, far)
	})
	var d net.Dialer
	background(t, func(ctx context.Context) error {
		return proxy.Serve(ctx, near, proxy.Config{Dial: d.DialContext, To: far.Addr().String()})
	})
	var all sync.WaitGroup
	for i := range 32 {
		c := dial(t, near)
		all.Go(func() {
			sent := bytes.Repeat([]byte{byte(i)}, 300_000)
			go func() {
				_, _ = c.Write(sent)
				_ = c.CloseWrite()
			}()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("connection %d: %d octets came back, %v, want %d", i, len(got), err, len(sent))
			}
		})
	}
	all.Wait()
}

// Where nobody listens, the client is told as the far side told the proxy: by a reset.
func TestFarSideRefuses(t *testing.T) {
	far, near := listen(t), listen(t)
	_ = far.Close()
	var d net.Dialer
	told, refused := make(chan error, 1), make(chan error, 1)
	background(t, func(ctx context.Context) error {
		return proxy.Serve(ctx, near, proxy.Config{Dial: d.DialContext, To: far.Addr().String(),
			Refused: func(err error) { refused <- err },
			Closed:  func(_ net.Conn, _ int64, _ time.Duration, err error) { told <- err }})
	})
	c, err := net.Dial("tcp", near.Addr().String()) // it may be reset before Dial returns
	if err == nil {
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v, want ECONNRESET", err)
	}
	for _, by := range []chan error{refused, told} {
		if err := <-by; !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("told %v, want ECONNREFUSED", err)
		}
	}
}
