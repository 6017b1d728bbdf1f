package millrace_test

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// kernelEcho serves an echo on the kernel's stack of a host, and returns its address.
func kernelEcho(t *testing.T, h *lab.Host) string {
	t.Helper()
	address := h.IP4.Addr().String() + ":7"
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, l)
	return address
}

// A veth's peer answers on whichever queue it likes: each outgoing connection is served on that
// one, and its data is not forwarded from queue to queue.
func TestOutgoingOverQueues(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 4})
	nic := open(t, l.A, millrace.Config{Mode: millrace.ModeCopy})
	address := kernelEcho(t, l.B)
	const conns = 40
	for range conns {
		c, err := dial(l.A, nic, address)
		if err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, 100_000)
	}
	var moved, forwarded, received uint64
	for i, s := range nic.Stats() {
		moved += s.Moved
		forwarded += s.Forwarded
		received += s.RXFrames
		if s.RXFrames == 0 || s.TXFrames == 0 {
			t.Errorf("queue %d received %d frames and sent %d", i, s.RXFrames, s.TXFrames)
		}
	}
	t.Logf("%d of %d connections moved, %d of %d frames were forwarded", moved, conns, forwarded, received)
	if moved == 0 || moved > conns {
		t.Errorf("%d of %d connections moved, want about three quarters", moved, conns)
	}
	// Before they moved three quarters were forwarded. The peer may spread anew when it resends.
	if 4*forwarded > received {
		t.Errorf("%d of %d frames were forwarded", forwarded, received)
	}
}

// lossy wraps each queue's port so that it loses one frame of a hundred each way, and has some
// overtake others. lost tells how many were lost on each queue.
func lossy(t *testing.T, seed uint64) (wrap func(queue int, p dataplane.Port) dataplane.Port, lost func() []uint64) {
	var ports []*fault.Port
	bad := fault.Direction{Loss: 0.01, Reorder: 0.01, ReorderBy: 3, ReorderMax: time.Millisecond}
	wrap = func(queue int, p dataplane.Port) dataplane.Port {
		f, err := fault.New(p, fault.Config{Seed: seed + uint64(queue), TX: bad, RX: bad})
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, f)
		return f
	}
	return wrap, func() (n []uint64) {
		for _, f := range ports {
			rx, tx := f.Counters()
			n = append(n, min(rx.Lost, tx.Lost))
		}
		return n
	}
}

// parallel opens connections at the same time, each of which has octets echoed within a time.
func parallel(t *testing.T, conns, octets int, within time.Duration, dial func() (net.Conn, error)) {
	t.Helper()
	var all sync.WaitGroup
	for range conns {
		all.Go(func() {
			c, err := dial()
			if err != nil {
				t.Error(err)
				return
			}
			wantEchoWithin(t, c, octets, within)
		})
	}
	all.Wait()
}

// Eight connections each way of connecting, over two queues at the same time, over a path that
// loses and reorders and one that does not: all content is right, and both queues have carried it.
func TestParallelOverQueues(t *testing.T) {
	testutil.Privileged(t)
	const conns = 8
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for _, loses := range []bool{false, true} {
		name, octets := "clean", 8<<20
		cfg := millrace.Config{Mode: millrace.ModeCopy}
		lost := func() []uint64 { return nil }
		if loses {
			name, octets = "lossy", 1<<20
			cfg.WrapPort, lost = lossy(t, seed)
		}
		t.Run(name, func(t *testing.T) {
			testutil.NoGoroutineLeak(t)
			l := lab.ForTest(t, lab.Config{Queues: 2})
			nic := open(t, l.A, cfg)
			echo(t, listen(t, l.A, nic, ":7"))
			out := kernelEcho(t, l.B)
			var ways sync.WaitGroup
			ways.Go(func() {
				parallel(t, conns, octets, time.Minute, func() (net.Conn, error) {
					return l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
				})
			})
			ways.Go(func() {
				parallel(t, conns, octets, time.Minute, func() (net.Conn, error) { return dial(l.A, nic, out) })
			})
			ways.Wait()
			for i, s := range nic.Stats() {
				t.Logf("queue %d: received %d frames, sent %d; forwarded %d, moved %d, had no room for %d", i, s.RXFrames, s.TXFrames, s.Forwarded, s.Moved, s.Drop.ForwardFull)
				// Of 16 connections all are on one queue once in 32,768 times.
				if least := uint64(octets / 3000); s.RXFrames < least || s.TXFrames < least {
					t.Errorf("queue %d received %d frames and sent %d, want %d at least", i, s.RXFrames, s.TXFrames, least)
				}
			}
			for i, n := range lost() {
				if n == 0 {
					t.Errorf("queue %d lost nothing one way", i)
				}
			}
		})
	}
}
