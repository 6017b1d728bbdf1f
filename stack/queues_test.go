package stack_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// spreader is a NIC with two queues: what comes for the host goes to the queue that pick says,
// what it sends goes on whichever queue it comes from.
type spreader struct {
	t     testing.TB
	ends  [3]end // the far ends of the host's two queues and of the wire
	pick  func(frame []byte) int
	tasks sync.WaitGroup
}

// end is a port that two goroutines use, one that receives and one that sends.
type end struct {
	mu sync.Mutex
	dataplane.Port
}

const wire = 2

// newSpreader returns a spreader with the ports of the host and that of its peer.
func newSpreader(t testing.TB, pick func(frame []byte) int) (s *spreader, host []dataplane.Port, peer dataplane.Port) {
	s = &spreader{t: t, pick: pick}
	var near [3]dataplane.Port
	for i := range s.ends {
		near[i], s.ends[i].Port = pipe.New(pipe.Config{})
	}
	for i := range s.ends {
		s.tasks.Go(func() { s.carry(i) })
	}
	return s, near[:wire], near[wire]
}

// carry takes what arrives at an end on, until that is closed.
func (s *spreader) carry(i int) {
	var batch [dataplane.BatchMax]dataplane.Frame
	e := &s.ends[i]
	for {
		e.mu.Lock()
		n := e.Recv(batch[:])
		frames := make([][]byte, n)
		for j, f := range batch[:n] {
			frames[j] = slices.Clone(f.Data)
		}
		e.Free(batch[:n])
		e.Flush()
		e.mu.Unlock()
		for _, f := range frames {
			to := wire
			if i == wire {
				to = s.pick(f)
			}
			s.ends[to].send(f)
		}
		if n == 0 && e.Wait(-1) != nil {
			return
		}
	}
}

// send sends a frame, or loses it if there is no room, as a queue does.
func (e *end) send(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var f [1]dataplane.Frame
	if e.Alloc(f[:]) == 0 {
		return
	}
	f[0].Data = f[0].Data[:copy(f[0].Data, b)]
	e.Send(f[:])
	e.Flush()
}

func (s *spreader) close() {
	for i := range s.ends {
		e := &s.ends[i]
		e.mu.Lock()
		if err := e.Close(); err != nil {
			s.t.Error(err)
		}
		e.mu.Unlock()
	}
	s.tasks.Wait()
}

// byPort spreads by the last bit of the host's port, which in an IPv4 packet without options and
// tags lies at octet 36 of the frame.
func byPort(frame []byte) int { return int(binary.BigEndian.Uint16(frame[36:]) & 1) }

// newQueues returns a host with two queues, and its peer. end ends both.
func newQueues(t *testing.T, cfg stack.Config, pick func([]byte) int) (host, peer *stack.Stack, end func()) {
	t.Helper()
	s, ports, far := newSpreader(t, pick)
	v6 := netip.MustParseAddr("fd00::1")
	host = newStack(t, cfg, sourceRouter{addrA, v6}, ports...)
	peer = newStack(t, stack.Config{}, sourceRouter{addrB, addr6}, far)
	return host, peer, func() {
		host.Close()
		peer.Close()
		s.close()
		for _, p := range append(ports, far) {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := host.BufferOctets() + peer.BufferOctets(); n != 0 {
			t.Errorf("%d octets of buffers are in use after Close", n)
		}
	}
}

// total adds the counters of all queues.
func total(s *stack.Stack, of func(*engine.Stats) uint64) (n uint64) {
	for _, st := range s.Stats() {
		n += of(&st)
	}
	return n
}

// echoed sends data over a connection and checks that it comes back.
func echoed(c net.Conn, seed uint64) error {
	defer c.Close()
	data := make([]byte, 200_000)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	failed := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		failed <- err
	}()
	got := sha256.New()
	if _, err := io.CopyN(got, c, int64(len(data))); err != nil {
		return err
	}
	if want := sha256.Sum256(data); !slices.Equal(got.Sum(nil), want[:]) {
		return fmt.Errorf("other octets came back than were sent")
	}
	return <-failed
}

// dialAll makes connections at the same time, each of which has data echoed.
func dialAll(t *testing.T, host, peer *stack.Stack, conns int) {
	t.Helper()
	l := listen(t, peer, "10.0.0.2:7")
	serve := make(chan struct{})
	go func() {
		defer close(serve)
		echoAll(l)
	}()
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			c, err := host.DialContext(ctx, "tcp", "10.0.0.2:7")
			if err == nil {
				err = echoed(c, uint64(i))
			}
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
			}
		})
	}
	all.Wait()
	l.Close()
	<-serve
}

// Nobody knows how the NIC spreads what comes: each connection is on the queue that it spreads
// the answers to all the same, and no data has to be forwarded.
func TestDialFollowsTheQueue(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	// Ports follow one another, and so do queues that connections begin on: their last bits may
	// always agree.
	host, peer, end := newQueues(t, stack.Config{}, func(frame []byte) int {
		return bits.OnesCount16(binary.BigEndian.Uint16(frame[36:])) & 1
	})
	defer end()
	dialAll(t, host, peer, 40)
	moved := total(host, func(s *engine.Stats) uint64 { return s.Moved })
	if forwarded := total(host, func(s *engine.Stats) uint64 { return s.Forwarded }); forwarded > 2*moved {
		t.Errorf("%d frames were forwarded for %d connections that moved", forwarded, moved)
	}
	if moved == 0 || moved > 40 {
		t.Errorf("%d of 40 connections moved, want about half", moved)
	}
	for i, st := range host.Stats() {
		if st.RXFrames == 0 || st.TXFrames == 0 {
			t.Errorf("queue %d received %d frames and sent %d", i, st.RXFrames, st.TXFrames)
		}
	}
}

// It is known how the NIC spreads: no connection moves and nothing is forwarded, and the
// connections are shared out evenly.
func TestDialIsSteered(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	cfg := stack.Config{Steer: func(local, remote netip.AddrPort) (int, bool) {
		if local.Addr() != addrA || remote.Addr() != addrB {
			t.Errorf("asked for %v and %v", local, remote)
		}
		return int(local.Port() & 1), true
	}}
	host, peer, end := newQueues(t, cfg, byPort)
	defer end()
	l := listen(t, peer, "10.0.0.2:7")
	for range 20 {
		c, err := host.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	for i, st := range host.Stats() {
		if st.Conns != 10 || st.Moved+st.Forwarded != 0 {
			t.Errorf("queue %d has %d connections, want 10; %d moved, %d frames were forwarded", i, st.Conns, st.Moved, st.Forwarded)
		}
	}
	// With a port of the user's choice the queue is the one that belongs to it.
	d := stack.Dialer{Stack: host, LocalAddr: &net.TCPAddr{Port: 40001}}
	for port := range 4 {
		d.LocalAddr.(*net.TCPAddr).Port = 4001 + 2*port
		c, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if st := host.Stats(); st[0].Conns != 10 || st[1].Conns != 14 {
		t.Errorf("the queues have %d and %d connections, want 10 and 14", st[0].Conns, st[1].Conns)
	}
}

// What the NIC spreads anew in the middle of connections is forwarded, and nothing is lost.
func TestSpreadAnew(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	var mu sync.Mutex
	frames := 0
	host, peer, end := newQueues(t, stack.Config{}, func(frame []byte) int {
		mu.Lock()
		defer mu.Unlock()
		frames++
		return (frames / 64) & 1
	})
	defer end()
	dialAll(t, host, peer, 8)
	if total(host, func(s *engine.Stats) uint64 { return s.ForwardedIn }) == 0 {
		t.Error("nothing was forwarded")
	}
}

// Each worker holds a thread; where one cannot, there is no stack and nothing runs on.
func TestHold(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	var mu sync.Mutex
	var held []int
	cfg := stack.Config{Hold: func(port int) error {
		mu.Lock()
		defer mu.Unlock()
		held = append(held, port)
		return nil
	}}
	host, peer, end := newQueues(t, cfg, byPort)
	dialAll(t, host, peer, 10)
	end()
	if slices.Sort(held); !slices.Equal(held, []int{0, 1}) {
		t.Errorf("workers %v held a thread, want 0 and 1", held)
	}
	no := errors.New("no")
	cfg.Router, cfg.Addrs = sourceRouter{v4: addrA}, engine.NewAddrSet(addrA)
	cfg.Hold = func(port int) error {
		if port == 1 {
			return no
		}
		return nil
	}
	pa, pb := pipe.New(pipe.Config{})
	if s, err := stack.New(cfg, pa, pb); s != nil || !errors.Is(err, no) {
		t.Errorf("got %v, %v", s, err)
	}
	for _, p := range []dataplane.Port{pa, pb} {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
