package stack_test

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// echoHandler is one that sends back what comes, out of the receive queue into the send queue.
type echoHandler struct {
	octets *atomic.Int64
	ends   *atomic.Int64
	err    *atomic.Value
}

func (e echoHandler) Data(c *stack.HandlerConn) {
	for c.Len() > 0 && c.Space() > 0 {
		l := c.Lend(c.Space())
		e.octets.Add(int64(c.Write(l.Bytes())))
		l.Release()
	}
	if c.Ended() && c.Len() == 0 {
		c.Close()
	}
}

func (e echoHandler) Writable(c *stack.HandlerConn) { e.Data(c) }

func (e echoHandler) Closed(_ *stack.HandlerConn, err error) {
	if err != nil {
		e.err.Store(err)
	}
	e.ends.Add(1)
}

func newEcho() echoHandler {
	return echoHandler{new(atomic.Int64), new(atomic.Int64), new(atomic.Value)}
}

func listenHandler(t testing.TB, s *stack.Stack, open func(c *stack.HandlerConn) stack.Handler) net.Listener {
	t.Helper()
	l, err := s.ListenHandler("tcp", ":0", open)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, s *stack.Stack, l net.Listener) *stack.Conn {
	t.Helper()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := s.Dial("tcp", net.JoinHostPort("10.0.0.2", port))
	if err != nil {
		t.Fatal(err)
	}
	return c.(*stack.Conn)
}

// TestHandlerEcho has a handler serve many connections, with and without loss: more at once
// than its send queue holds.
func TestHandlerEcho(t *testing.T) {
	for name, make := range map[string]func(testing.TB, stack.Config) *pair{"clean": newPair, "loss": newLossyPair} {
		t.Run(name, func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			p := make(t, stack.Config{})
			e := newEcho()
			l := listenHandler(t, p.b, func(*stack.HandlerConn) stack.Handler { return e })
			data := noise(600_000)
			const conns = 8
			var all sync.WaitGroup
			for range conns {
				c := dial(t, p.a, l)
				all.Go(func() {
					c.Write(data)
					c.CloseWrite()
				})
				all.Go(func() {
					defer c.Close()
					if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
						t.Errorf("got %d octets, %v, want %d", len(got), err, len(data))
					}
				})
			}
			all.Wait()
			if n := e.octets.Load(); n != conns*int64(len(data)) || e.ends.Load() != conns {
				t.Errorf("%d octets were echoed and %d ended, want %d and %d", n, e.ends.Load(), conns*len(data), conns)
			}
			if p.b.HandlerPanics() != 0 {
				t.Error("a handler panicked")
			}
		})
	}
}

// TestHandlerReset: a handler hears why its connection broke.
func TestHandlerReset(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	e := newEcho()
	l := listenHandler(t, p.b, func(*stack.HandlerConn) stack.Handler { return e })
	c := dial(t, p.a, l)
	turn(t, c, 1)
	c.SetLinger(0)
	c.Close()
	testutil.Eventually(t, patience, func() bool { return e.ends.Load() == 1 }, "the end")
	err, _ := e.err.Load().(error)
	wantIs(t, err, syscall.ECONNRESET)
}

// brittle panics on "!", and at its end.
type brittle struct {
	echoHandler
}

func (b brittle) Data(c *stack.HandlerConn) {
	var one [1]byte
	c.Read(one[:])
	if one[0] == '!' {
		c.Reserve(10)
		panic("the handler's own mistake")
	}
	c.Write(one[:])
}

// TestHandlerPanics: a panic ends its connection by RST, and no other.
func TestHandlerPanics(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{Log: slog.New(slog.DiscardHandler)})
	e := newEcho()
	var opened atomic.Int64
	l := listenHandler(t, p.b, func(*stack.HandlerConn) stack.Handler {
		if opened.Add(1) == 3 {
			panic("in open")
		}
		return brittle{e}
	})
	one, two := dial(t, p.a, l), dial(t, p.a, l)
	defer one.Close()
	defer two.Close()
	turn(t, one, 'a')
	turn(t, two, 'b')
	one.Write([]byte("!"))
	_, err := one.Read(make([]byte, 1))
	wantIs(t, err, syscall.ECONNRESET)
	three := dial(t, p.a, l)
	defer three.Close()
	_, err = three.Read(make([]byte, 1))
	wantIs(t, err, syscall.ECONNRESET)
	turn(t, two, 'c')
	if n := p.b.HandlerPanics(); n != 2 {
		t.Errorf("%d panics are counted, want 2", n)
	}
	testutil.Eventually(t, patience, func() bool { return e.ends.Load() == 1 }, "the end of the first")
}

// TestHandlerDo: what comes from elsewhere is written on the worker, and not after the end.
func TestHandlerDo(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	conns := make(chan *stack.HandlerConn, 1)
	e := newEcho()
	l := listenHandler(t, p.b, func(c *stack.HandlerConn) stack.Handler {
		c.Write([]byte("welcome, "))
		conns <- c
		return e
	})
	c := dial(t, p.a, l)
	h := <-conns
	h.Do(func(c *stack.HandlerConn) {
		copy(c.Reserve(7), "stranger")
		c.Commit(7)
		c.Close()
	})
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "welcome, strange" {
		t.Errorf("got %q, %v", got, err)
	}
	if e.ends.Load() != 1 {
		t.Error("Closed was not called")
	}
	c.Close()
	called := make(chan bool, 2)
	h.Do(func(*stack.HandlerConn) { called <- true })
	h.Do(func(*stack.HandlerConn) { called <- true })
	p.b.Close()
	if len(called) != 0 {
		t.Error("called after the end")
	}
	if h.Do(func(*stack.HandlerConn) {}) {
		t.Error("a closed stack takes orders")
	}
}

// BenchmarkTurns sends an octet there and back, to a goroutine and to a handler.
func BenchmarkTurns(b *testing.B) {
	for _, how := range []string{"goroutine", "handler"} {
		b.Run(how, func(b *testing.B) {
			p := newPair(b, stack.Config{})
			var c *stack.Conn
			if how == "handler" {
				e := newEcho()
				c = dial(b, p.a, listenHandler(b, p.b, func(*stack.HandlerConn) stack.Handler { return e }))
			} else {
				var s *stack.Conn
				c, s = p.connect(b)
				go func() {
					defer s.Close()
					io.Copy(s, s)
				}()
			}
			defer c.Close()
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				turn(b, c, n)
			}
		})
	}
}

// BenchmarkConnects connects, sends an octet there and back, and closes.
func BenchmarkConnects(b *testing.B) {
	for _, how := range []string{"goroutine", "handler"} {
		b.Run(how, func(b *testing.B) {
			p := newPair(b, stack.Config{})
			var l net.Listener
			if how == "handler" {
				e := newEcho()
				l = listenHandler(b, p.b, func(*stack.HandlerConn) stack.Handler { return e })
			} else {
				l = listen(b, p.b, ":0")
				go echoAll(l)
			}
			for b.Loop() {
				c := dial(b, p.a, l)
				turn(b, c, 1)
				c.SetLinger(0) // its port is free at once
				c.Close()
			}
		})
	}
}
