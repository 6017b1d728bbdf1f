package e2e

import (
	"errors"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// path is two hosts with a forwarder between them that spoils what crosses it:
//
//	A ── pair ── forwarder ── pair ── B
//
// The pairs are those of two labs; the ends in the middle have no address, so that the
// kernel there takes no part.
type path struct {
	a, b *lab.Host
	way  [2]*way // from A to B, and back
}

// way is one direction of a forwarder. Its goroutine owns both ports.
type way struct {
	from  *packetPort
	port  *fault.Port // wraps from
	to    *packetPort
	mark  func(frame []byte) // what to do to each frame, or nil
	stop  atomic.Bool
	ended chan struct{}
}

// newPath makes a path whose both ways have the same faults, drawn from a seed. marks, if
// given, are two and change the frames from A and those from B. It ends with the test.
func newPath(t testing.TB, seed uint64, d fault.Direction, marks ...func(frame []byte)) *path {
	t.Helper()
	return newPathOf(t, seed, d, d, marks...)
}

// newPathOf is newPath with the faults of either way: there from A, back from B.
func newPathOf(t testing.TB, seed uint64, there, back fault.Direction, marks ...func(frame []byte)) *path {
	t.Helper()
	testutil.Privileged(t)
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	ip := testutil.Command(t, "iproute2", "ip")
	left, right := lab.ForTest(t, lab.Config{}), lab.ForTest(t, lab.Config{})
	for _, h := range []*lab.Host{left.A, left.B, right.A, right.B} {
		// A forwarder of packets has no use for segments larger than the MTU, nor for
		// checksums that are left to a NIC.
		output(t, most(patience), h, ethtool, "-K", h.Interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off")
	}
	for _, h := range []*lab.Host{left.B, right.A} {
		if err := h.SetSysctl("net/ipv6/conf/"+h.Interface+"/disable_ipv6", "1"); err != nil {
			t.Fatal(err)
		}
		output(t, most(patience), h, ip, "addr", "flush", "dev", h.Interface)
	}
	if there.LateMax > 0 {
		// A thread that comes back from waiting needs a processor of Go's, and those that others
		// hold who wait for one of the machine's are none.
		before := runtime.GOMAXPROCS(16)
		t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	}
	p := &path{a: left.A, b: right.B}
	if len(marks) == 0 {
		marks = make([]func(frame []byte), 2)
	}
	p.way[0] = newWay(t, left.B, right.A, fault.Config{Seed: seed, RX: there}, marks[0])
	p.way[1] = newWay(t, right.A, left.B, fault.Config{Seed: seed + 1, RX: back}, marks[1])
	return p
}

func newWay(t testing.TB, from, to *lab.Host, cfg fault.Config, mark func(frame []byte)) *way {
	t.Helper()
	w := &way{from: openPacketPort(t, from, true), to: openPacketPort(t, to, false), mark: mark, ended: make(chan struct{})}
	cfg.Room = 1 << 14 // frames on their way: far more than a window
	var err error
	if w.port, err = fault.New(w.from, cfg); err != nil {
		t.Fatal(err)
	}
	var failed error
	go func() {
		defer close(w.ended)
		if cfg.RX.LateMax > 0 {
			hurry()
		}
		failed = w.run()
	}()
	t.Cleanup(func() {
		w.stop.Store(true)
		w.port.Wake()
		<-w.ended
		if err := errors.Join(failed, w.port.Close(), w.to.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// hurry has the goroutine keep a thread that goes before all others: an emulator whose lateness is
// judged must not wait for what it emulates a network to, nor for who else is at work. It works
// little and sleeps much. The thread ends with the goroutine.
func hurry() {
	runtime.LockOSThread()
	// Where it is not permitted, lateness is still judged.
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
}

// run forwards until stop.
func (w *way) run() error {
	in, out := make([]dataplane.Frame, dataplane.BatchMax), make([]dataplane.Frame, dataplane.BatchMax)
	for !w.stop.Load() {
		n := w.port.Recv(in)
		if n == 0 {
			if err := w.port.Wait(-1); err != nil && !errors.Is(err, net.ErrClosed) {
				return err
			}
			continue
		}
		k := w.to.Alloc(out[:n])
		for i := range k {
			out[i].Data = out[i].Data[:copy(out[i].Data, in[i].Data)]
			if w.mark != nil {
				w.mark(out[i].Data)
			}
		}
		w.port.Free(in[:n])
		w.to.Send(out[:k])
	}
	return nil
}

// faults returns what went wrong on the path so far, both ways: by intent, and beside it.
func (p *path) faults() (meant fault.Counters, other uint64) {
	for _, w := range p.way {
		rx, _ := w.port.Counters()
		meant.Passed += rx.Passed
		meant.Lost += rx.Lost
		meant.Reordered += rx.Reordered
		meant.Overflowed += rx.Overflowed
		other += rx.Overflowed + w.port.Stats().RXDropped + w.from.stats[3].Load() + w.to.stats[3].Load()
	}
	return meant, other
}
