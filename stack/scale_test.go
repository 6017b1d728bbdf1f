package stack_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

var idleFlag = flag.Int("idle", 20_000, "how many idle `connections` TestIdleCost makes")

// dialers is how many goroutines make connections at a time.
const dialers = 32

// many makes n connections from a to b, to as many ports as there are ephemeral ports for,
// and has client and server called on goroutines of their own. It returns when all of them
// have. Both ends are returned, for nobody else holds them.
func (p *pair) many(t *testing.T, n int, client, server func(c net.Conn) error) []net.Conn {
	t.Helper()
	const each = 25_000 // of the 28,232 ephemeral ports
	var (
		mu     sync.Mutex
		ends   []net.Conn
		all    sync.WaitGroup
		failed atomic.Int64
	)
	serve := func(c net.Conn, f func(net.Conn) error) {
		mu.Lock()
		ends = append(ends, c)
		mu.Unlock()
		if err := f(c); err != nil && failed.Add(1) == 1 {
			t.Error(err)
		}
		all.Done()
	}
	for first := 0; first < n; first += each {
		count := min(each, n-first)
		l := listen(t, p.b, "10.0.0.2:0")
		all.Add(2 * count)
		go func() {
			for range count {
				c, err := l.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				go serve(c, server)
			}
		}()
		todo := make(chan struct{}, count)
		for range count {
			todo <- struct{}{}
		}
		close(todo)
		for range dialers {
			go func() {
				for range todo {
					c, err := p.a.Dial("tcp", l.Addr().String())
					if err != nil {
						t.Error(err)
						all.Done()
						continue
					}
					go serve(c, client)
				}
			}()
		}
	}
	all.Wait()
	return ends
}

// exchange writes message and wants it back.
func exchange(c net.Conn, message []byte) error {
	if _, err := c.Write(message); err != nil {
		return err
	}
	got := make([]byte, len(message))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, message) {
		return fmt.Errorf("got %q, want %q", got, message)
	}
	return nil
}

// answer reads n octets and writes them back.
func answer(c net.Conn, n int) error {
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	_, err := c.Write(got)
	return err
}

// TestTenThousandEcho: 10,000 connections are open at the same time, and each gets back what
// it sends.
func TestTenThousandEcho(t *testing.T) {
	conns, rounds := 10_000, 3
	if underRace || testing.Short() {
		conns = 1000
	}
	p := newPair(t, stack.Config{})
	var open sync.WaitGroup
	open.Add(conns)
	start := time.Now()
	ends := p.many(t, conns, func(c net.Conn) error {
		c.SetDeadline(time.Now().Add(100 * time.Second))
		open.Done()
		open.Wait() // none begins before all are open
		for i := range rounds {
			if err := exchange(c, fmt.Appendf(nil, "%-1000s", fmt.Sprintf("%v %d", c.LocalAddr(), i))); err != nil {
				return err
			}
		}
		return nil
	}, func(c net.Conn) error {
		for range rounds {
			if err := answer(c, 1000); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%d connections, %d echoes in %v", conns, conns*rounds, time.Since(start))
	if got := p.b.Stats()[0].Conns; got != conns {
		t.Errorf("%d connections are open, want %d", got, conns)
	}
	for _, c := range ends {
		c.Close()
	}
}

// TestIdleCost: what a connection that has carried a little data both ways and is idle costs:
// all that is reachable, of application, stack and claims, divided by the ends, of which each
// connection over the pipe has two.
func TestIdleCost(t *testing.T) {
	const octetsMax = 4 << 10
	conns := *idleFlag
	if underRace || testing.Short() {
		conns = 5000
	}
	p := newPair(t, stack.Config{})
	p.many(t, 100, func(c net.Conn) error { return exchange(c, make([]byte, 100)) },
		func(c net.Conn) error { return answer(c, 100) })
	p.idle(t)
	before := reachable()
	start := time.Now()
	ends := p.many(t, conns, func(c net.Conn) error { return exchange(c, make([]byte, 100)) },
		func(c net.Conn) error { return answer(c, 100) })
	took := time.Since(start)
	p.idle(t)
	used := (reachable() - before) / int64(2*conns)
	t.Logf("%d connections opened in %v: %d octets each", conns, took, used)
	if used > octetsMax && !underRace {
		t.Errorf("an idle connection costs %d octets, want at most %d", used, octetsMax)
	}
	for _, c := range ends {
		c.(*stack.Conn).SetLinger(0)
		c.Close()
	}
}

// idle waits until no connection holds a buffer any more: until the last ACKs, which may be
// delayed, have come.
func (p *pair) idle(t *testing.T) {
	t.Helper()
	testutil.Eventually(t, patience, func() bool { return p.a.BufferOctets()+p.b.BufferOctets() == 0 },
		"idle connections hold no buffers")
}

func reachable() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what sync.Pool holds lives for one more
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
