package stack_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

func wantIs(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

// wantOp checks that err is what package net would return.
func wantOp(t testing.TB, err error, op string) {
	t.Helper()
	oe, ok := errors.AsType[*net.OpError](err)
	if !ok || oe.Op != op {
		t.Errorf("got error %#v, want a *net.OpError of %q", err, op)
	}
}

func TestRefused(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	_, err := p.a.Dial("tcp", "10.0.0.2:9")
	wantIs(t, err, syscall.ECONNREFUSED)
	wantOp(t, err, "dial")
	_, err = p.a.Dial("tcp", "[fd00::2]:9")
	wantIs(t, err, syscall.ECONNREFUSED)
}

func TestAddressInUse(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l := listen(t, p.b, ":80")
	for _, address := range []string{":80", "10.0.0.2:80", "[fd00::2]:80", "0.0.0.0:80"} {
		_, err := p.b.Listen("tcp", address)
		wantIs(t, err, syscall.EADDRINUSE)
		wantOp(t, err, "listen")
	}
	a, err := p.a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	// A connection of the old listener does not stand in the way of a new one.
	l = listen(t, p.b, ":80")
	a.Close()
	b.Close()
	if a, err = p.a.Dial("tcp", "[fd00::2]:80"); err != nil {
		t.Fatal(err)
	}
	a.Close()
	l.Close()
	_, err = p.a.Dial("tcp", "10.0.0.2:80")
	wantIs(t, err, syscall.ECONNREFUSED)
	_, err = p.b.Listen("tcp", "10.9.9.9:80")
	wantIs(t, err, syscall.EADDRNOTAVAIL)
}

func TestListenFamilies(t *testing.T) {
	p := newPair(t, stack.Config{})
	l4, err := p.b.Listen("tcp4", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l4.Close()
	_, err = p.a.Dial("tcp", "[fd00::2]:80")
	wantIs(t, err, syscall.ECONNREFUSED)
	l6, err := p.b.Listen("tcp6", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l6.Close()
	c, err := p.a.Dial("tcp", "[fd00::2]:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l6.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, want := s.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("remote address %s, want %s", got, want)
	}
}

// TestDialTimeout dials an address behind which nobody answers.
func TestDialTimeout(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	_, err := stack.Dialer{Stack: p.a, Timeout: 20 * time.Millisecond}.Dial("tcp", "10.0.0.3:80")
	wantIs(t, err, context.DeadlineExceeded)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(5*time.Millisecond, cancel)
	_, err = p.a.DialContext(ctx, "tcp", "10.0.0.3:80")
	wantIs(t, err, context.Canceled)
}

// TestReset closes with data unread, and with linger 0: the peer reads ECONNRESET.
func TestReset(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	for _, how := range []string{"linger", "unread"} {
		a, b := p.connect(t)
		switch how {
		case "linger":
			b.SetLinger(0)
		case "unread":
			a.Write([]byte("never read"))
			testutil.Eventually(t, patience, func() bool {
				i, err := b.Info()
				return err == nil && i.RecvQueue > 0
			}, "the data to arrive")
		}
		b.Close()
		_, err := a.Read(make([]byte, 1))
		wantIs(t, err, syscall.ECONNRESET)
		wantOp(t, err, "read")
		_, err = a.Write(make([]byte, 1))
		wantIs(t, err, syscall.ECONNRESET)
		wantOp(t, err, "write")
		a.Close()
	}
}

// TestHalfClose sends on after the peer has ended its side.
func TestHalfClose(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	a.Write([]byte("question"))
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, err := a.Write([]byte("x"))
	wantIs(t, err, syscall.EPIPE)
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Errorf("got %q, %v, want the question", got, err)
	}
	b.Write([]byte("answer"))
	b.Close()
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Errorf("got %q, %v, want the answer", got, err)
	}
}

// TestLinger has Close wait until the peer has all.
func TestLinger(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer b.Close()
	a.SetLinger(10)
	a.Write(make([]byte, 100_000))
	start := time.Now()
	a.Close()
	if got := time.Since(start); got > 5*time.Second {
		t.Errorf("Close took %v", got)
	}
	if n, err := io.Copy(io.Discard, b); n != 100_000 || err != nil {
		t.Errorf("got %d octets, %v, want 100000", n, err)
	}
	// The peer that does not read holds Close up, for as long as linger says.
	a, b2 := p.connect(t)
	defer b2.Close()
	b2.SetReadBuffer(1)
	a.SetLinger(1)
	a.SetDeadline(time.Now().Add(time.Second))
	a.Write(make([]byte, 8<<20))
	start = time.Now()
	a.Close()
	if got := time.Since(start); got < 900*time.Millisecond {
		t.Errorf("Close took %v, want a second", got)
	}
}

// TestClosedErrors: what is closed says net.ErrClosed, to who waits as well.
func TestClosedErrors(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer b.Close()
	result := make(chan error, 2)
	go func() {
		_, err := a.Read(make([]byte, 1))
		result <- err
	}()
	go func() {
		_, err := a.Write(make([]byte, 64<<20))
		result <- err
	}()
	time.AfterFunc(20*time.Millisecond, func() { a.Close() })
	wantIs(t, <-result, net.ErrClosed)
	wantIs(t, <-result, net.ErrClosed)
	wantIs(t, a.Close(), net.ErrClosed)
	wantIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
	wantIs(t, a.SetNoDelay(true), net.ErrClosed)
	wantIs(t, a.CloseWrite(), net.ErrClosed)

	l := listen(t, p.b, ":80")
	go func() {
		_, err := l.Accept()
		result <- err
	}()
	time.AfterFunc(5*time.Millisecond, func() { l.Close() })
	err := <-result
	wantIs(t, err, net.ErrClosed)
	wantOp(t, err, "accept")
	wantIs(t, l.Close(), net.ErrClosed)
}

// TestListenerDeadline: Accept fails in time, and works again when the deadline is taken away.
func TestListenerDeadline(t *testing.T) {
	p := newPair(t, stack.Config{})
	l := listen(t, p.b, ":80").(*stack.Listener)
	for _, d := range []time.Duration{-time.Second, 0, 5 * time.Millisecond} {
		l.SetDeadline(time.Now().Add(d))
		_, err := l.Accept()
		wantIs(t, err, os.ErrDeadlineExceeded)
	}
	l.SetDeadline(time.Time{})
	c, err := p.a.Dial("tcp", "10.0.0.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// TestStackClose closes a stack under connections that are in use.
func TestStackClose(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l := listen(t, p.b, ":80")
	a, b := p.connect(t)
	result := make(chan error, 3)
	go func() { _, err := b.Read(make([]byte, 1)); result <- err }()
	go func() { _, err := b.Write(make([]byte, 64<<20)); result <- err }()
	go func() { _, err := l.Accept(); result <- err }()
	testutil.Eventually(t, patience, func() bool {
		i, err := a.Info()
		return err == nil && i.RecvQueue > 0
	}, "data to arrive")
	p.b.Close()
	for range cap(result) {
		wantIs(t, <-result, net.ErrClosed)
	}
	_, err := io.Copy(io.Discard, a)
	wantIs(t, err, syscall.ECONNRESET)
	a.Close()
	b.Close()
	_, err = p.b.Dial("tcp", "10.0.0.1:1")
	wantIs(t, err, net.ErrClosed)
	_, err = p.b.Listen("tcp", ":81")
	wantIs(t, err, net.ErrClosed)
}

// TestAcceptQueue fills the accept queue: connections beyond wait half open, and none is lost.
func TestAcceptQueue(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l, err := stack.ListenConfig{Stack: p.b, AcceptQueue: 2}.Listen(t.Context(), "tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const conns = 5
	for range conns {
		go func() {
			c, err := p.a.Dial("tcp", "10.0.0.2:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.Write([]byte("hello"))
			io.Copy(io.Discard, c)
		}()
	}
	testutil.Eventually(t, patience, func() bool { return p.b.Stats()[0].Drop.AcceptQueue > 0 }, "the queue to overflow")
	for range conns {
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

// echoAll sends each connection back what it sends, until l ends.
func echoAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}

// TestMany runs many connections at once, both ways, and checks every octet.
func TestMany(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l := listen(t, p.b, ":80")
	go echoAll(l)
	const conns, octets = 50, 300_000
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			c, err := p.a.Dial("tcp", "10.0.0.2:80")
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			sent, got := sha256.New(), sha256.New()
			all.Go(func() {
				src := io.LimitReader(rand.NewChaCha8([32]byte{byte(i)}), octets)
				if _, err := io.Copy(c, io.TeeReader(src, sent)); err != nil {
					t.Error(err)
				}
				c.(*stack.Conn).CloseWrite()
			})
			n, err := io.Copy(got, c)
			if n != octets || err != nil {
				t.Errorf("connection %d: got %d octets, %v", i, n, err)
			} else if string(got.Sum(nil)) != string(sent.Sum(nil)) {
				t.Errorf("connection %d: the content differs", i)
			}
		})
	}
	all.Wait()
}

// TestOptions sets every option and sees that the connection still works.
func TestOptions(t *testing.T) {
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	for name, err := range map[string]error{
		"no delay": a.SetNoDelay(false), "keepalive": a.SetKeepAlive(true),
		"period": a.SetKeepAlivePeriod(time.Minute), "user timeout": a.SetUserTimeout(time.Minute),
		"config": a.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true}),
		"linger": a.SetLinger(-1), "read": a.SetReadBuffer(1 << 16), "write": a.SetWriteBuffer(1 << 16),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	go a.Write(make([]byte, 1<<20))
	if _, err := io.CopyN(io.Discard, b, 1<<20); err != nil {
		t.Error(err)
	}
	info, err := a.Info()
	if err != nil || info.OctetsAcked == 0 || info.RTT == 0 {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := b.CloseRead(); err != nil {
		t.Error(err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("after CloseRead got %d, %v, want io.EOF", n, err)
	}
}
