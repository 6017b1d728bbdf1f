package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	// blindEach is how many segments of each kind are guessed at a running transfer, and
	// quietEach how many then at the same connection while it is silent.
	blindEach, quietEach = 10000, 1000
	// blindSpan is how long either takes. The transfer runs through all of the first.
	blindSpan = 3 * time.Second
	// challengeRate is the most ACKs a second that may answer them (RFC 5961, section 7,
	// whose example is 10 in 5 s; Linux's default was 1000 a host).
	challengeRate = 10
	// blindMargin keeps a guess from being right by chance: it is this far beyond what was
	// last seen to be expected. The transfer moves a tenth of that between look and guess.
	blindMargin = 64 << 10
)

// TestBlindAttacks is point 5 of hostile networks: RSTs, SYNs and data of one who knows the
// addresses and ports of a connection, and its window, but not the exact sequence number
// (RFC 5961), and as much data from before the window, neither end a running transfer nor change an octet of it, and are answered at a
// bounded rate.
func TestBlindAttacks(t *testing.T) {
	l := byHand(t)
	listening(t, l.A, "serve", "echo", "--listen", ":7000", "--metrics", metricsAddress)
	w := openWire(t, l.B, true)
	e := openEchoes(t, l.B)
	v := watch(w, uint16(e.conn.LocalAddr().(*net.TCPAddr).Port))
	defer v.end()
	testutil.Eventually(t, patience, func() bool { return v.window.Load() > 2*blindMargin }, "a window to guess in")
	seed := uint64(time.Now().UnixNano())
	t.Logf("point 5: seed %d", seed)
	g := &guesser{w: openWire(t, l.B, false), l: l, v: v, rnd: rand.New(rand.NewPCG(seed, 5))}

	before, moved := eventCounts(t, l.A), e.checked.Load()
	g.attack(blindEach)
	if err := e.fault(); err != nil {
		t.Fatalf("point 5: the transfer ended in the attack: %v", err)
	}
	moved = e.checked.Load() - moved
	if moved < mib {
		t.Errorf("point 5: %d octets came back during the attack: the transfer hardly ran", moved)
	}
	after := eventCounts(t, l.A)
	rose := func(name string) int64 { return after[name] - before[name] }
	t.Logf("point 5: %d each of RST, SYN, data, and old data while %d KiB were echoed; TCPChallengeACK %d, TCPSYNChallenge %d, TCPAckTooNew %d, TCPAckTooOld %d, PAWSEstab %d, TCPOFOQueue %d",
		blindEach, moved>>10, rose("TCPChallengeACK"), rose("TCPSYNChallenge"), rose("TCPAckTooNew"), rose("TCPAckTooOld"), rose("PAWSEstab"), rose("TCPOFOQueue"))
	for _, name := range []string{"TCPChallengeACK", "TCPSYNChallenge"} {
		if n := rose(name); n < blindEach/2 {
			t.Errorf("point 5: %s rose by %d: the guesses of %d did not reach the connection", name, n, blindEach)
		}
	}

	// Silent, the connection sends nothing but answers to what is guessed.
	e.pause(t)
	sent, began := v.segments.Load(), time.Now()
	g.plain = true
	g.attack(quietEach)
	answers, took := v.segments.Load()-sent, time.Since(began)
	t.Logf("point 5: %d each at the silent connection: %d answers in %.1f s", quietEach, answers, took.Seconds())
	if most := int64((took.Seconds() + 1) * challengeRate); answers > most {
		t.Errorf("point 5: %d answers in %v, want at most %d", answers, took, most)
	}
	if answers == 0 {
		t.Error("point 5: no guess was answered, want a challenge")
	}
	if err := e.finish(); err != nil {
		t.Errorf("point 5: the transfer: %v", err)
	}
	t.Logf("point 5: %d KiB came back as they were sent", e.checked.Load()>>10)
}

// view is what the wire shows of the connection that is attacked, all from millrace's own
// segments.
type view struct {
	w                *wireEnd
	port             uint16       // the peer's
	expected, window atomic.Int64 // RCV.NXT and RCV.WND; the window is 0 until one was seen
	next             atomic.Int64 // SND.NXT
	segments         atomic.Int64
	stop             atomic.Bool
	ended            chan struct{}
}

// watch looks at what comes in for a port of the host, until end. The window scale is taken
// from the SYN and ACK, which is among the frames that wait.
func watch(w *wireEnd, port uint16) *view {
	v := &view{w: w, port: port, ended: make(chan struct{})}
	go v.run()
	return v
}

func (v *view) run() {
	defer close(v.ended)
	buf := make([]byte, 2048)
	shift := -1
	for !v.stop.Load() {
		n, _, err := unix.Recvfrom(v.w.fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(v.w.fd), Events: unix.POLLIN}}, 20)
			continue
		}
		if err != nil {
			return // no window is seen, which fails the test
		}
		f, ok := findTCP(buf[:n])
		if !ok || f.dstPort() != v.port || f.srcPort() != 7000 {
			continue
		}
		h := f.frame[f.tcp:f.end]
		if h[13]&2 != 0 {
			shift = windowShift(h[20 : h[12]>>4*4])
			continue
		}
		if shift < 0 {
			continue
		}
		v.segments.Add(1)
		v.expected.Store(int64(binary.BigEndian.Uint32(h[8:])))
		v.window.Store(int64(binary.BigEndian.Uint16(h[14:])) << shift)
		v.next.Store(int64(binary.BigEndian.Uint32(h[4:])) + int64(len(h)) - int64(h[12]>>4*4))
	}
}

func (v *view) end() {
	v.stop.Store(true)
	<-v.ended
}

// windowShift looks for the window scale among the options of a SYN; 0 if there is none.
func windowShift(options []byte) int {
	for len(options) > 1 {
		switch kind, size := options[0], int(options[1]); {
		case kind == 0:
			return 0
		case kind == 1:
			options = options[1:]
		case kind == 3 && size == 3 && len(options) >= 3:
			return int(options[2])
		case size < 2 || size > len(options):
			return 0
		default:
			options = options[size:]
		}
	}
	return 0
}

// guesser sends segments that are right in all but what has to be guessed.
type guesser struct {
	w   *wireEnd
	l   *lab.Lab
	v   *view
	rnd *rand.Rand
	// plain leaves out what is answered without a limit, as it may be the peer's: old data
	// (RFC 9293, section 3.10.7.4) and old timestamps (RFC 7323, section 5.3).
	plain bool
}

// attack sends n segments of each kind, evenly over blindSpan.
func (g *guesser) attack(n int) {
	const batches = 500
	tick := time.NewTicker(blindSpan / batches)
	defer tick.Stop()
	for range batches {
		for range n / batches {
			g.send(4, g.inWindow(0), g.rnd.Uint32(), nil)
			g.send([]byte{2, 2 | 16}[g.rnd.IntN(2)], g.inWindow(0), g.ack(), nil) // SYN, and SYN with ACK
			data := noise(g.rnd, 1+g.rnd.IntN(1000))
			g.send(16|8, g.inWindow(len(data)), g.ack(), data)
			if !g.plain {
				g.send(16|8, g.old(), g.ack(), data)
			}
		}
		<-tick.C
	}
}

// ack guesses an acknowledgment number. One in a thousand would be within the window that
// is acceptable, and then the segment is as good as the peer's own: those are left out.
func (g *guesser) ack() uint32 {
	const near = 16 * mib
	return uint32(g.v.next.Load()) + near + g.rnd.Uint32N(1<<32-2*near)
}

// inWindow guesses a sequence number such that n octets are in the window, but not the next.
func (g *guesser) inWindow(n int) uint32 {
	room := g.v.window.Load() - blindMargin - int64(n)
	return uint32(g.v.expected.Load() + blindMargin + g.rnd.Int64N(max(room, 1)))
}

// old guesses a sequence number from before the window: what is taken of such a segment, its
// timestamp above all, is what every second number would do for.
func (g *guesser) old() uint32 {
	return uint32(g.v.expected.Load() - blindMargin - g.rnd.Int64N(1<<30))
}

// send sends a segment, half of them with a timestamp, which is a guess too,
// unless they are to be plain.
func (g *guesser) send(flags byte, seq, ack uint32, payload []byte) {
	var options []byte
	if !g.plain && g.rnd.IntN(2) == 0 {
		options = binary.BigEndian.AppendUint64([]byte{1, 1, 8, 10}, g.rnd.Uint64())
	}
	size := 40 + len(options) + len(payload)
	frame := append(append([]byte(nil), g.l.A.MAC...), g.l.B.MAC...)
	frame = append(frame, 8, 0, 0x45, 0, byte(size>>8), byte(size), 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1)
	frame = binary.BigEndian.AppendUint16(frame, g.v.port)
	frame = binary.BigEndian.AppendUint16(frame, 7000)
	frame = binary.BigEndian.AppendUint32(frame, seq)
	frame = binary.BigEndian.AppendUint32(frame, ack)
	frame = append(frame, byte(5+len(options)/4)<<4, flags, 0xfa, 0xf0, 0, 0, 0, 0)
	frame = append(append(frame, options...), payload...)
	f, _ := findTCP(frame)
	f.repair()
	g.w.send(frame)
}

// echoes is a connection to serve echo on which octets run both ways, and are checked when
// they come back.
type echoes struct {
	conn          net.Conn
	written       atomic.Int64
	checked       atomic.Int64
	paused, quit  atomic.Bool
	wrote, readTo chan error
}

// openEchoes opens one over the kernel's TCP of a host. It is closed when the test ends.
func openEchoes(t testing.TB, h *lab.Host) *echoes {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := h.Dial(ctx, "tcp", "10.77.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	e := &echoes{conn: conn, wrote: make(chan error, 1), readTo: make(chan error, 1)}
	go func() { e.wrote <- e.write() }()
	go func() { e.readTo <- e.read() }()
	return e
}

// write writes 4 MiB/s: the window then is open, and moves slowly against blindMargin.
func (e *echoes) write() error {
	source, buf := rand.NewChaCha8([32]byte{'e'}), make([]byte, 8<<10)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; !e.quit.Load(); <-tick.C {
		if e.paused.Load() {
			continue
		}
		_, _ = source.Read(buf) // it has no end
		n, err := e.conn.Write(buf)
		e.written.Add(int64(n))
		if err != nil {
			return fmt.Errorf("write after %d octets: %w", e.written.Load(), err)
		}
	}
	return e.conn.(*net.TCPConn).CloseWrite()
}

func (e *echoes) read() error {
	source, buf := rand.NewChaCha8([32]byte{'e'}), make([]byte, 8<<10)
	want := make([]byte, len(buf))
	for {
		n, err := io.ReadFull(e.conn, buf)
		_, _ = source.Read(want)
		if string(buf[:n]) != string(want[:n]) {
			return fmt.Errorf("what came back after octet %d is wrong", e.checked.Load())
		}
		e.checked.Add(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read after %d octets: %w", e.checked.Load(), err)
		}
	}
}

// fault returns what went wrong so far, nil if it runs.
func (e *echoes) fault() error {
	select {
	case err := <-e.wrote:
		return fmt.Errorf("it ended: %w", err)
	case err := <-e.readTo:
		return fmt.Errorf("it ended: %w", err)
	default:
		return nil
	}
}

// pause stops writing and waits until all is back.
func (e *echoes) pause(t testing.TB) {
	t.Helper()
	e.paused.Store(true)
	last := int64(-1)
	testutil.Eventually(t, patience, func() bool {
		if err := e.fault(); err != nil {
			t.Fatalf("point 5: %v", err)
		}
		settled := e.written.Load() == last && e.checked.Load() == last
		last = e.written.Load()
		return settled
	}, "the echo to come back")
}

// finish goes on for a little, ends the transfer, and wants back all that was written.
func (e *echoes) finish() error {
	e.paused.Store(false)
	for began, target := time.Now(), e.checked.Load()+mib; e.checked.Load() < target; {
		if err := e.fault(); err != nil {
			return err
		}
		if time.Since(began) > patience {
			return fmt.Errorf("%d octets in %v", e.checked.Load()+mib-target, patience)
		}
		<-time.After(5 * time.Millisecond)
	}
	e.quit.Store(true)
	if err := e.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := errors.Join(<-e.wrote, <-e.readTo); err != nil {
		return err
	}
	if e.checked.Load() != e.written.Load() {
		return fmt.Errorf("%d octets came back of %d", e.checked.Load(), e.written.Load())
	}
	return nil
}
