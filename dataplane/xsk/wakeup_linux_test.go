package xsk_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cilium/ebpf/link"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
)

// waiting is a way to wait for frames.
type waiting struct {
	name   string
	wait   func(p *xsk.Port) error
	locked bool // the worker holds its thread
}

// waitings are the port's own Wait, and what it was measured against: ppoll on the socket
// and an eventfd, from a goroutine that holds its thread and from one that does not.
func waitings(t testing.TB) []waiting {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(event) })
	fds := []unix.PollFd{{Events: unix.POLLIN}, {Fd: int32(event), Events: unix.POLLIN}}
	ppoll := func(p *xsk.Port) error {
		fds[0].Fd = int32(p.FD())
		if _, err := unix.Ppoll(fds, nil, nil); err != nil && err != unix.EINTR {
			return os.NewSyscallError("ppoll", err)
		}
		return nil
	}
	return []waiting{
		{"netpoller", func(p *xsk.Port) error { return p.Wait(-1) }, false},
		{"ppoll", ppoll, false},
		{"ppoll, thread locked", ppoll, true},
	}
}

// senderEnv, when it is set, makes this test binary the sender of BenchmarkWakeup: "ADDR N"
// is where to send and how many packets. Another process, so that the Go scheduler under
// test knows nothing of the sender.
const senderEnv = "MILLRACE_XSK_TEST_SENDER"

func TestMain(m *testing.M) {
	if job := os.Getenv(senderEnv); job != "" {
		if err := sender(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// clock is CLOCK_MONOTONIC, which processes share, in nanoseconds.
func clock() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// sender sends packets that carry the time, 200 µs apart: long enough for the receiver to
// fall asleep.
func sender(job string) error {
	var addr string
	var packets int
	if _, err := fmt.Sscan(job, &addr, &packets); err != nil {
		return err
	}
	conn, err := net.Dial("udp4", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var payload [64]byte
	for range packets {
		pace := unix.NsecToTimespec(200_000)
		_ = unix.Nanosleep(&pace, nil)
		binary.BigEndian.PutUint64(payload[:], uint64(clock()))
		if _, err := conn.Write(payload[:]); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkWakeup is the time from a UDP packet that the kernel sends at the far end of a
// veth pair to the goroutine that a worker wakes with it: the worker sleeps, receives, and
// passes the news on over a channel.
func BenchmarkWakeup(b *testing.B) {
	lab := newBench(b, link.XDPDriverMode)
	udpTo(b, lab) // For the neighbour entry.
	for _, w := range waitings(b) {
		b.Run(w.name, func(b *testing.B) {
			p := open(b, lab.B, lab.b, xsk.Config{})
			news := make(chan arrival, 64)
			stopped := make(chan error, 1)
			turns := b.N
			go func() { stopped <- work(p, w, news, turns) }()
			cmd := lab.A.Command(b.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%v:9 %d", senderEnv, lab.B.IP4.Addr(), turns))
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			toWorker, toReader := make([]int64, 0, turns), make([]int64, 0, turns)
			for range turns {
				a := <-news
				toReader = append(toReader, clock()-a.sent)
				toWorker = append(toWorker, a.seen-a.sent)
			}
			if err := errors.Join(<-stopped, cmd.Wait()); err != nil {
				b.Fatal(err)
			}
			closePorts(b, p)
			slices.Sort(toWorker)
			slices.Sort(toReader)
			for _, q := range []int{50, 90, 99} {
				i := min(turns*q/100, turns-1)
				b.ReportMetric(float64(toWorker[i])/1e3, fmt.Sprintf("worker-p%d-µs", q))
				b.ReportMetric(float64(toReader[i])/1e3, fmt.Sprintf("reader-p%d-µs", q))
			}
		})
	}
}

// arrival is when a packet was sent, and when the worker saw it.
type arrival struct{ sent, seen int64 }

// work receives turns packets and passes each on over news.
func work(p *xsk.Port, w waiting, news chan<- arrival, turns int) error {
	if w.locked {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	var batch [dataplane.BatchMax]dataplane.Frame
	for turns > 0 {
		n := p.Recv(batch[:])
		if n == 0 {
			if err := w.wait(p); err != nil {
				return err
			}
			continue
		}
		now := clock()
		for _, f := range batch[:n] {
			if len(f.Data) < 50 {
				return fmt.Errorf("a frame of %d octets came", len(f.Data))
			}
			news <- arrival{int64(binary.BigEndian.Uint64(f.Data[42:])), now}
		}
		p.Free(batch[:n])
		p.Flush()
		turns -= n
	}
	return nil
}
