package millrace_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/stack"
)

// open opens the interface of a host of the lab.
func open(t testing.TB, h *lab.Host, cfg millrace.Config) *millrace.NIC {
	t.Helper()
	var nic *millrace.NIC
	err := h.Do(func() (err error) {
		nic, err = millrace.Open(h.Interface, cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nic.Close(); err != nil {
			t.Error(err)
		}
		if n := nic.BufferOctets(); n != 0 {
			t.Errorf("%d octets of buffers are in use after Close", n)
		}
	})
	t.Log(nic.Info())
	return nic
}

// listen listens in the host's namespace, where the port is reserved.
func listen(t testing.TB, h *lab.Host, nic *millrace.NIC, address string) (l net.Listener) {
	t.Helper()
	err := h.Do(func() (err error) {
		l, err = nic.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial dials in the host's namespace.
func dial(h *lab.Host, nic *millrace.NIC, address string) (c net.Conn, err error) {
	err = h.Do(func() (err error) {
		c, err = nic.Dial("tcp", address)
		return err
	})
	return c, err
}

// echo serves each connection of l by sending back what comes.
func echo(t testing.TB, l net.Listener) {
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
}

// wantEcho sends octets through an echo and compares what comes back.
func wantEcho(t testing.TB, c net.Conn, octets int) {
	t.Helper()
	wantEchoWithin(t, c, octets, 8*time.Second)
}

// wantEchoWithin is wantEcho that takes at most d.
func wantEchoWithin(t testing.TB, c net.Conn, octets int, d time.Duration) {
	t.Helper()
	defer c.Close()
	c.SetDeadline(time.Now().Add(d))
	sent, got := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(c, io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), int64(octets)), sent))
		err = errors.Join(err, c.(interface{ CloseWrite() error }).CloseWrite())
		done <- err
	}()
	n, err := io.Copy(got, c)
	if err := errors.Join(err, <-done); err != nil || n != int64(octets) {
		t.Errorf("%v: got %d octets of %d, %v", c.RemoteAddr(), n, octets, err)
	} else if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		t.Errorf("%v: the content differs", c.RemoteAddr())
	}
}

// TestKernelPeer moves data between this stack and the kernel's, each way of connecting, on
// IPv4 and IPv6, in each mode.
func TestKernelPeer(t *testing.T) {
	testutil.Privileged(t)
	for _, mode := range []millrace.Mode{millrace.ModeCopy, millrace.ModeGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			l := lab.ForTest(t, lab.Config{})
			nic := open(t, l.A, millrace.Config{Mode: mode})
			echo(t, listen(t, l.A, nic, ":7"))
			kernel, err := l.B.Listen("tcp", ":7")
			if err != nil {
				t.Fatal(err)
			}
			echo(t, kernel)
			hosts := func(h *lab.Host) []string {
				return []string{
					net.JoinHostPort(h.IP4.Addr().String(), "7"), net.JoinHostPort(h.IP6.Addr().String(), "7"),
				}
			}
			for _, address := range hosts(l.A) {
				c, err := l.B.Dial(t.Context(), "tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				wantEcho(t, c, 8<<20)
			}
			for _, address := range hosts(l.B) {
				c, err := dial(l.A, nic, address)
				if err != nil {
					t.Fatal(err)
				}
				wantEcho(t, c, 8<<20)
			}
			t.Logf("%+v", nic.Stats()[0].Drop)
		})
	}
}

// TestShared: what is not claimed stays with the kernel, and ports belong to one of the two.
func TestShared(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	kernel, err := l.A.Listen("tcp", ":22")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, kernel)
	nic := open(t, l.A, millrace.Config{})
	addr := l.A.IP4.Addr().String()
	wantErr := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	wantErr(l.A.Do(func() error { _, err := nic.Listen("tcp", ":22"); return err }), syscall.EADDRINUSE)
	mine := listen(t, l.A, nic, ":80")
	_, err = l.A.Listen("tcp", addr+":80")
	wantErr(err, syscall.EADDRINUSE)
	wantErr(l.A.Do(func() error { _, err := nic.Listen("tcp", addr+":80"); return err }), syscall.EADDRINUSE)
	c, err := l.B.Dial(t.Context(), "tcp", addr+":22")
	if err != nil {
		t.Fatal(err)
	}
	wantEcho(t, c, 1<<20)
	_, err = l.B.Dial(t.Context(), "tcp", addr+":81")
	wantErr(err, syscall.ECONNREFUSED)
	_, err = dial(l.A, nic, l.B.IP4.Addr().String()+":81")
	wantErr(err, syscall.ECONNREFUSED)

	// Once it is closed the port is anybody's.
	mine.Close()
	testutil.Eventually(t, 5*time.Second, func() bool {
		k, err := l.A.Listen("tcp", addr+":80")
		if err == nil {
			k.Close()
		}
		return err == nil
	}, "the port to be free")
}

// TestNettestXDP runs the standard library's conformance test with both ends on AF_XDP.
func TestNettestXDP(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	a, b := open(t, l.A, millrace.Config{}), open(t, l.B, millrace.Config{})
	listener := listen(t, l.B, b, ":80")
	address := l.B.IP4.Addr().String() + ":80"
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if c1, err = dial(l.A, a, address); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = listener.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// TestNettestKernel runs it against the kernel's TCP.
func TestNettestKernel(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	nic := open(t, l.A, millrace.Config{})
	listener := listen(t, l.A, nic, ":80")
	address := l.A.IP4.Addr().String() + ":80"
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if c1, err = l.B.Dial(context.Background(), "tcp", address); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = listener.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

// TestQueues serves several queues: connections work though the veth spreads packets as it
// likes.
func TestQueues(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 4})
	nic := open(t, l.A, millrace.Config{})
	echo(t, listen(t, l.A, nic, ":7"))
	kernel, err := l.B.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, kernel)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			c, err := l.B.Dial(context.Background(), "tcp", l.A.IP4.Addr().String()+":7")
			if err != nil {
				t.Error(err)
				return
			}
			wantEcho(t, c, 1<<20)
		})
		all.Go(func() {
			c, err := dial(l.A, nic, l.B.IP4.Addr().String()+":7")
			if err != nil {
				t.Error(err)
				return
			}
			wantEcho(t, c, 1<<20)
		})
	}
	all.Wait()
	forwarded := uint64(0)
	for _, s := range nic.Stats() {
		forwarded += s.Forwarded
	}
	t.Logf("%d frames were forwarded between queues", forwarded)
}

// TestRestored: a closed interface is as it was, and can be opened again; without listeners
// nothing is taken from the kernel.
func TestRestored(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	kernel, err := l.A.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, kernel)
	for range 3 {
		nic := open(t, l.A, millrace.Config{})
		c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
		if err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, 100_000)
		if err := nic.Close(); err != nil {
			t.Error(err)
		}
		if err := nic.Close(); err != nil {
			t.Errorf("a second Close says %v", err)
		}
		var info loader.NICInfo
		err = l.A.Do(func() (err error) {
			info, err = loader.Probe(l.A.Interface)
			return err
		})
		if err != nil || info.XDPProgram != 0 {
			t.Errorf("program %d is still attached, %v", info.XDPProgram, err)
		}
	}
	err = l.A.Do(func() error { _, err := millrace.Open("nosuch0", millrace.Config{}); return err })
	if err == nil {
		t.Error("an interface that does not exist was opened")
	}
	err = l.A.Do(func() error { _, err := millrace.Open(l.A.Interface, millrace.Config{Queues: 9}); return err })
	if err == nil {
		t.Error("nine queues of a veth with one were opened")
	}
}

// TestConnects opens and closes ten thousand connections from a kernel client: none fails,
// and nothing is left.
func TestConnects(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	nic := open(t, l.A, millrace.Config{})
	echo(t, listen(t, l.A, nic, ":7"))
	conns := 10_000
	if testing.Short() {
		conns = 500
	}
	buf := make([]byte, 1)
	heap := uint64(0)
	for i := range conns {
		if i == conns/10 {
			heap = heapInUse()
		}
		c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if _, err := c.Write(buf); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		if _, err := io.ReadFull(c, buf); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.Close()
	}
	testutil.Eventually(t, 5*time.Second, func() bool {
		s := nic.Stats()[0]
		return s.Conns == 0 && s.TimeWaits == 0
	}, "the last connection to end")
	if n := nic.BufferOctets(); n != 0 {
		t.Errorf("%d octets of buffers are in use", n)
	}
	if now := heapInUse(); now > heap+1<<20 {
		t.Errorf("the heap grew from %d to %d octets", heap, now)
	}
}

// heapInUse is what is in use after a collection.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestOutgoing opens many connections to kernel servers, on ports that the stack reserves,
// and one from a port of its own choice.
func TestOutgoing(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	nic := open(t, l.A, millrace.Config{})
	kernel, err := l.B.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, kernel)
	address := l.B.IP4.Addr().String() + ":7"
	var open []net.Conn
	seen := make(map[string]bool)
	for range 200 {
		c, err := dial(l.A, nic, address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		if at := c.LocalAddr().String(); seen[at] {
			t.Errorf("%s was given twice", at)
		} else if seen[at] = true; len(seen) == 1 {
			if k, err := l.A.Listen("tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("the kernel gives %s too: %v %v", at, k, err)
			}
		}
	}
	for _, c := range open {
		wantEcho(t, c, 10_000)
	}
	from := &net.TCPAddr{IP: l.A.IP4.Addr().AsSlice(), Port: 33333}
	var c net.Conn
	err = l.A.Do(func() (err error) {
		c, err = stack.Dialer{Stack: nic.Stack, LocalAddr: from}.Dial("tcp", address)
		return err
	})
	if err != nil || c.LocalAddr().String() != from.String() {
		t.Fatalf("got %v, %v, want a connection from %v", c, err, from)
	}
	wantEcho(t, c, 10_000)
}

// TestIdle: an open interface with connections that say nothing uses less than 2 % of a core.
func TestIdle(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	nic := open(t, l.A, millrace.Config{})
	echo(t, listen(t, l.A, nic, ":7"))
	for range 20 {
		c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	// What opening has left to do, and Go's collector, may take a second or two; then there is
	// nothing to do in any.
	const watch, share, tries = time.Second, 0.02, 4
	for range tries {
		before := cpuTime(t)
		<-time.After(watch)
		used := cpuTime(t) - before
		t.Logf("used %v in %v", used, watch)
		if used.Seconds() <= share*watch.Seconds() {
			return
		}
	}
	t.Errorf("used more than %v %% of a core in each of %d times %v", 100*share, tries, watch)
}

// cpuTime is what the process has used.
func cpuTime(t testing.TB) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
