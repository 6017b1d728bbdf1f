package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	// synFlood is SYNs from addresses that never answer: fifty times the half-open
	// connections that a listener holds (engine.BacklogDefault).
	synFlood = 200000
	// comersRate is how many connections a second are made meanwhile, and comersShare the
	// part of them that must come to something.
	comersRate  = 100
	comersShare = 0.99
	// comerPatience is how long each may take: SYNs are repeated after 1 s and 3 s.
	comerPatience = 5 * time.Second
	// streamShare is the part of its rate that an open connection must keep.
	streamShare = 0.5
	// streamShareCore is the part of its rate per core that will do in its place where what
	// makes the flood takes cores from the server: on a machine of two that is nearly always
	// so. The rest goes into some 100,000 cookies a second, of 2 µs each, most of that the
	// kernel's for sending them.
	streamShareCore = 0.5
)

// flooded is what a flood of SYNs did to a server.
type flooded struct {
	before, during float64 // Gbit/s of an open connection
	cpuBefore      float64 // cores that the server had then
	cpuDuring      float64
	took           time.Duration
	comers, failed int
	firstFailure   error
	waits          []time.Duration // of connections that were made, in order of size
}

func (f *flooded) String() string {
	return fmt.Sprintf("%d SYNs in %.1f s, %.0f/s; %d of %d connections made meanwhile, in %v at the median, %v at p99; a stream %.2f Gbit/s before, %.2f in the flood, ratio %.2f, the server on %.2f and %.2f cores",
		synFlood*sized(3, 1), f.took.Seconds(), synFlood*float64(sized(3, 1))/f.took.Seconds(), f.comers-f.failed, f.comers,
		f.wait(50), f.wait(99), f.before, f.during, f.during/f.before, f.cpuBefore, f.cpuDuring)
}

// wait returns a percentile of the waits.
func (f *flooded) wait(percent int) time.Duration {
	if len(f.waits) == 0 {
		return 0
	}
	return f.waits[(len(f.waits)-1)*percent/100].Round(10 * time.Microsecond)
}

// TestSYNFlood is point 4 of hostile networks: a flood of SYNs whose senders do not exist
// overflows what there is for half-open connections (RFC 4987), and yet new connections
// are made, memory is bounded, and an open one goes on. The kernel's TCP is put to the same
// test, to tell what is the machine's.
func TestSYNFlood(t *testing.T) {
	l := byHand(t)
	// The answers to the flood must have a way to go, or they cost nothing: to a router that
	// is not there.
	ip := testutil.Command(t, "iproute2", "ip")
	output(t, most(patience), l.A, ip, "neigh", "add", "10.77.0.3", "lladdr", "02:00:00:00:00:03", "dev", l.A.Interface, "nud", "permanent")
	output(t, most(patience), l.A, ip, "route", "add", "default", "via", "10.77.0.3")
	args := []string{"serve", "chargen", "--listen", ":7000", "--limit", "10000"}

	p := listening(t, l.A, append(args, "--metrics", metricsAddress)...)
	resident := p.status("VmRSS")
	ours := floodOf(t, l, p)
	t.Logf("point 4: millrace: %v", ours)
	n := eventCounts(t, l.A)
	peak := p.status("VmHWM")
	t.Logf("point 4: resident %d MiB before, %d MiB at its peak; %d SYNs beyond the backlog, %d cookies sent, %d came back, %d wrong",
		resident/mib, peak/mib, n["TCPReqQFullDoCookies"], n["SyncookiesSent"], n["SyncookiesRecv"], n["SyncookiesFailed"])
	p.stop()
	kernel := floodOfKernel(t, l, args)
	t.Logf("point 4: the kernel: %v", kernel)

	if n["TCPReqQFullDoCookies"] == 0 || n["SyncookiesSent"] == 0 || n["SyncookiesRecv"] == 0 {
		t.Errorf("point 4: the backlog never overflowed: the flood was none, %v", n)
	}
	if float64(ours.comers-ours.failed) < comersShare*float64(ours.comers) {
		t.Errorf("point 4: %d of %d connections failed, want at most %.0f %%; the first: %v", ours.failed, ours.comers, 100*(1-comersShare), ours.firstFailure)
	}
	if grown := peak - resident; grown > floodResident {
		t.Errorf("point 4: the resident set grew by %d octets at its peak, more than %d", grown, floodResident)
	}
	share, core := ours.during/ours.before, ours.during/ours.cpuDuring/(ours.before/ours.cpuBefore)
	t.Logf("point 4: an open connection kept %.2f of its rate, %.2f of its rate per core; the kernel's kept %.2f", share, core, kernel.during/kernel.before)
	if share < streamShare && core < streamShareCore {
		t.Errorf("point 4: an open connection kept %.2f of its rate, want %v, or %v of its rate per core", share, streamShare, streamShareCore)
	}
}

// floodOfKernel puts the kernel's TCP to the test, under the same program.
func floodOfKernel(t testing.TB, l *lab.Lab, args []string) *flooded {
	t.Helper()
	p := start(t, l.A, built.path, append(args, "--stack", "kernel")...)
	p.await("istening")
	defer p.stop()
	return floodOf(t, l, p)
}

// floodOf floods port 7000 of A, where p listens, from B while connections are made and a stream runs.
func floodOf(t testing.TB, l *lab.Lab, p *process) *flooded {
	t.Helper()
	f := new(flooded)
	s := openStream(t, l.B, "10.77.0.1:7000")
	defer s.conn.Close()
	// Time is what a rate is measured against: there is no condition to wait for.
	before, cpu, began := s.meter(), p.cpu(), time.Now()
	<-time.After(sized(2*time.Second, time.Second))
	f.before, f.cpuBefore = before(), (p.cpu()-cpu).Seconds()/time.Since(began).Seconds()

	w := openWire(t, l.B, false)
	var over atomic.Bool
	comers := newComers(t, l.B, sized(4000, 2000))
	var all sync.WaitGroup
	all.Go(func() { comers.come(f, &over) })
	during := s.meter()
	cpu, began = p.cpu(), time.Now()
	sendSYNs(w, l, synFlood*sized(3, 1))
	f.took, f.during = time.Since(began), during()
	f.cpuDuring = (p.cpu() - cpu).Seconds() / f.took.Seconds()
	over.Store(true)
	all.Wait()
	if err := s.fault(); err != nil {
		t.Errorf("point 4: the stream ended in the flood: %v", err)
	}
	return f
}

// sendSYNs sends n SYNs at full speed, each from another address of 198.18.0.0/15, which
// belongs to tests (RFC 2544) and to nobody here, and port.
func sendSYNs(w *wireEnd, l *lab.Lab, n int) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	frame := append(append([]byte(nil), l.A.MAC...), l.B.MAC...)
	frame = append(frame,
		8, 0, 0x45, 0, 0, 60, 0, 0, 0x40, 0, 64, 6, 0, 0, 198, 18, 0, 0, 10, 77, 0, 1,
		0, 0, 7000>>8, 7000&0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0, 2, 0xfa, 0xf0, 0, 0, 0, 0,
		2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7) // as Linux opens
	f, _ := findTCP(frame)
	rnd := rand.New(rand.NewPCG(uint64(n), 4))
	for range n {
		r := rnd.Uint64()
		binary.BigEndian.PutUint32(frame[f.ip+12:], 198<<24|18<<16|uint32(r)&0x1ffff)
		binary.BigEndian.PutUint16(frame[f.tcp:], uint16(r>>20)|1024)
		binary.BigEndian.PutUint32(frame[f.tcp+4:], uint32(r>>32))
		f.repair()
		w.send(frame)
	}
}

// comers is clients on the kernel's TCP whose sockets are open and not yet connected: to
// enter a namespace for each costs more than the connection.
type comers struct {
	t   testing.TB
	fds []int
}

func newComers(t testing.TB, h *lab.Host, n int) *comers {
	t.Helper()
	c := &comers{t: t}
	err := h.Do(func() error {
		for range n {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			c.fds = append(c.fds, fd)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// come connects clients at comersRate until over, and waits for them.
func (c *comers) come(f *flooded, over *atomic.Bool) {
	var mu sync.Mutex
	var all sync.WaitGroup
	tick := time.NewTicker(time.Second / comersRate)
	defer tick.Stop()
	next := 0
	for ; next < len(c.fds) && !over.Load(); next++ {
		fd := c.fds[next]
		all.Go(func() {
			began := time.Now()
			err := comer(fd)
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			f.comers++
			if err == nil {
				f.waits = append(f.waits, took)
				return
			}
			if f.failed++; f.firstFailure == nil {
				f.firstFailure = err
			}
		})
		<-tick.C
	}
	all.Wait()
	for _, fd := range c.fds[next:] {
		_ = unix.Close(fd)
	}
	slices.Sort(f.waits)
}

// comer connects a socket and wants the first line of what is served. It closes the socket.
func comer(fd int) error {
	defer unix.Close(fd)
	bound := unix.NsecToTimeval(int64(comerPatience))
	for _, option := range []int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &bound); err != nil {
			return err
		}
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 7000, Addr: [4]byte{10, 77, 0, 1}}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	line := make([]byte, 74)
	for n := 0; n < len(line); {
		m, err := unix.Read(fd, line[n:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if m == 0 {
			return fmt.Errorf("read: the end after %d octets", n)
		}
		n += m
	}
	if !bytes.Equal(line, characters[:len(line)]) {
		return fmt.Errorf("read %q", line)
	}
	return nil
}
