package tcp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The window that the peer offers is scaled by what its SYN said (RFC 7323, section 2.3),
// and what does not fill a segment waits (RFC 9293, section 3.8.6.2.1).
func TestScaledWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{Has: wire.HasWScale, WScale: 7})
	s.win = 32
	s.in(wire.ACK, 1, 0, 1)
	s.write(9000)
	s.want("32 << 7 octets", data(1, 1000, 4)...)
	s.after(100 * time.Millisecond)
	s.win = 257
	s.in(wire.ACK, 1, 0, 4001)
	s.want("the rest", data(4001, 1000, 5)...)
}

// RFC 9293, section 3.8.6.1: a closed window is probed, with back-off, for as long as the
// peer answers, and data follows when it opens.
func TestZeroWindowProbes(t *testing.T) {
	s := established(t, tcp.Config{Retries: 4}, wire.Options{})
	s.win = 1000
	s.in(wire.ACK, 1, 0, 1)
	s.write(2000)
	s.want("a window of one segment", data(1, 1000, 1)...)
	s.after(50 * time.Millisecond)
	s.win = 0
	s.in(wire.ACK, 1, 0, 1001)
	s.want("the window is closed")
	wait := s.Info(s.now).RTO
	for i := range 10 {
		if got := s.wait(); got != wait {
			t.Errorf("probe %d after %v, want %v", i, got, wait)
		}
		wait = min(2*wait, 120*time.Second)
		s.want("a probe before the window", ". 1000:1000(0) ack 1")
		s.in(wire.ACK, 1, 0, 1001)
		s.want("the answer is no news")
	}
	s.win = 65535
	s.in(wire.ACK, 1, 0, 1001)
	s.want("the window opens", data(1001, 1000, 1)...)
}

func TestUnansweredProbesEnd(t *testing.T) {
	s := established(t, tcp.Config{Retries: 3}, wire.Options{})
	s.win = 0
	s.in(wire.ACK, 1, 0, 1)
	s.write(10)
	s.out()
	for range 4 {
		s.wait()
		s.want("a probe", ". 0:0(0) ack 1")
	}
	s.wait()
	s.wantCause(tcp.TimedOut)
}

// A window too small for a segment is used when the timer says so, not before.
func TestSillyWindowIsOverridden(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.win = 300
	s.in(wire.ACK, 1, 0, 1)
	s.write(5000)
	s.want("300 of 65535 is silly")
	s.wait()
	s.want("the timer overrides", data(1, 300, 1)...)
}

// "The receiver may at any time reduce the size of RCV.BUFF": one whose window stays below half of
// what it once was is sent what it offers without the timer, after the timer has said so some times.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.1
func TestBufferThatShrankIsFilledAtOnce(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(60_000)
	s.win = 900
	at := 1
	overridden := 0
	for range 40 {
		s.in(wire.ACK, 1, 0, at)
		sent := s.out()
		if len(sent) == 0 {
			overridden++
			s.wait()
			sent = s.out()
		}
		for _, line := range sent {
			var from, to, n int
			if _, err := fmt.Sscanf(strings.TrimPrefix(line, "P"), ". %d:%d(%d)", &from, &to, &n); err != nil || from != at {
				t.Fatalf("got %q, want data from %d on: %v", line, at, err)
			}
			at = to
		}
	}
	// 65,535 halved until 900 is half of it: 32767, 16383, 8191, 4095, 2047, 1023.
	if overridden > 6 {
		t.Errorf("the timer sent %d of 40 flights, want 6 at most", overridden)
	}
	s.win = 10_000
	s.in(wire.ACK, 1, 0, at)
	s.want("a window that opens is used in whole segments", data(at, 1000, 10)...)
}

// Receiver's side: the window closes as the application does not read, and is not opened
// again by crumbs. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.2
func TestAdvertisedWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	at := 1
	for range 65 {
		s.in(wire.ACK, at, 1000, 1)
		at += 1000
		s.out()
	}
	s.in(wire.ACK, at, 535, 1)
	s.wait()
	s.want("full", ". 1:1(0) ack 65536 win 0")
	s.in(wire.ACK, 65536, 1, 1)
	s.want("a probe of one octet is not taken", ". 1:1(0) ack 65536 win 0")
	crumb := make([]byte, 100)
	s.recv.Read(crumb)
	s.Consumed(s.now)
	s.out()
	if got := s.Info(s.now).RecvWindow; got != 0 {
		t.Errorf("a crumb opened the window to %d", got)
	}
	s.recv.Read(make([]byte, 40_000))
	s.Consumed(s.now)
	s.want("the reader has caught up", ". 1:1(0) ack 65536 win 40101")
}

// "The right edge of the window is never taken back" (RFC 9293, section 3.8.6, MUST-34 side).
func TestWindowEdgeNeverMovesLeft(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{Has: wire.HasWScale, WScale: 0})
	edge := 0
	for i := range 60 {
		s.in(wire.ACK, 1+i*777, 777, 1)
		s.out()
		next := (i+1)*777 + s.Info(s.now).RecvWindow
		if next < edge {
			t.Fatalf("after %d segments the edge went from %d to %d", i+1, edge, next)
		}
		edge = next
		if i%5 == 0 {
			s.recv.Read(make([]byte, 900))
			s.Consumed(s.now)
		}
	}
}

// RFC 9293, section 3.7.4.
func TestNagle(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(100)
	s.want("nothing is outstanding", data(1, 100, 1)...)
	s.write(100)
	s.want("Nagle holds a small segment")
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 101)
	s.want("until all is acknowledged", data(101, 100, 1)...)
	s.SetNoDelay(true)
	s.write(100)
	s.want("not with TCP_NODELAY", data(201, 100, 1)...)
	s.SetNoDelay(false)
	s.in(wire.ACK, 1, 0, 301)
	s.write(1100)
	s.want("what is left goes behind a full segment", append(data(301, 1000, 1), data(1301, 100, 1)...)...)
	s.write(100)
	s.want("another small one waits")
	s.in(wire.ACK, 1, 0, 1301)
	s.want("for the small one, not the full one")
	s.in(wire.ACK, 1, 0, 1401)
	s.want("which is acknowledged", data(1401, 100, 1)...)
}

// RFC 9293, section 3.8.6.3, and RFC 5681, section 4.2.
func TestDelayedACK(t *testing.T) {
	s := established(t, tcp.Config{DelayedACK: 200 * time.Millisecond}, wire.Options{})
	at := 1
	next := func(n int) {
		s.in(wire.ACK, at, n, 1)
		at += n
	}
	for range 16 { // the first phase: at once
		next(1000)
		s.out()
	}
	next(1000)
	s.want("one segment waits")
	if got := s.wait(); got != 200*time.Millisecond {
		t.Errorf("for %v, want 200ms", got)
	}
	s.want("then it is acknowledged", ". 1:1(0) ack 17001")
	next(1000)
	next(1000)
	s.want("the second is not delayed", ". 1:1(0) ack 19001")
	for range 5 {
		next(1000)
	}
	s.want("a batch of five", ". 1:1(0) ack 21001", ". 1:1(0) ack 23001")
	s.in(wire.ACK, at+1000, 1000, 1)
	s.in(wire.ACK, at+2000, 1000, 1)
	s.want("each out-of-order segment owes one", ". 1:1(0) ack 24001", ". 1:1(0) ack 24001")
	next(1000)
	s.want("the fill at once", ". 1:1(0) ack 27001")
}

// With AckFold one ACK covers what came at once, but never more than that: a batch as GRO
// would make one packet of. What tells the peer of a loss or opens its window stays as it is.
func TestFoldedACKs(t *testing.T) {
	s := established(t, tcp.Config{DelayedACK: 200 * time.Millisecond, AckFold: 8}, wire.Options{})
	at := 1
	batch := func(segments int) {
		for range segments {
			s.in(wire.ACK, at, 1000, 1)
			at += 1000
		}
	}
	batch(16)
	s.want("the first phase, every second", ". 1:1(0) ack 2001", ". 1:1(0) ack 4001", ". 1:1(0) ack 6001",
		". 1:1(0) ack 8001", ". 1:1(0) ack 10001", ". 1:1(0) ack 12001", ". 1:1(0) ack 14001", ". 1:1(0) ack 16001")
	batch(5)
	s.want("a batch of five", ". 1:1(0) ack 21001")
	batch(2)
	s.want("two are not delayed", ". 1:1(0) ack 23001")
	batch(1)
	s.want("one segment waits")
	batch(1)
	s.want("for the second", ". 1:1(0) ack 25001")
	batch(19)
	s.want("no more than eight in one", ". 1:1(0) ack 33001", ". 1:1(0) ack 41001", ". 1:1(0) ack 44001")
	s.in(wire.ACK, at+1000, 1000, 1)
	s.in(wire.ACK, at+2000, 1000, 1)
	s.want("each out-of-order segment owes one", ". 1:1(0) ack 44001", ". 1:1(0) ack 44001")
	batch(1)
	s.want("the fill at once", ". 1:1(0) ack 47001")
}

// On a path that loses, the one ACK of a whole window would be lost as well, and the sender wait
// for its timer: each second segment is acknowledged by itself, and at once what comes after a
// silence, which may be the probe of a sender that waits. A thousand segments later that is over.
func TestFoldedACKsNotOnLossyPath(t *testing.T) {
	s := established(t, tcp.Config{DelayedACK: 200 * time.Millisecond, AckFold: 8}, wire.Options{})
	at := 1
	taken := make([]byte, 1<<16)
	batch := func(segments int) []string {
		for range segments {
			s.in(wire.ACK, at, 1000, 1)
			at += 1000
		}
		lines := s.out()
		s.recv.Read(taken)
		s.Consumed(s.now)
		s.out() // the window
		return lines
	}
	batch(16)
	s.in(wire.ACK, at+1000, 1000, 1)
	s.want("one out of order", ". 1:1(0) ack 16001")
	batch(1)
	at += 1000
	s.want("nothing more")
	if got := len(batch(6)); got != 3 {
		t.Errorf("%d ACKs of 6 segments, want 3", got)
	}
	if got := len(batch(1)); got != 0 {
		t.Errorf("%d ACKs of one segment that comes with the others, want it delayed", got)
	}
	batch(1)
	s.after(500 * time.Millisecond)
	if got := len(batch(1)); got != 1 {
		t.Errorf("%d ACKs of one segment after a silence, want 1", got)
	}
	for range 125 {
		batch(8)
	}
	if got := len(batch(6)); got != 1 {
		t.Errorf("%d ACKs of 6 segments, a thousand after the last loss, want 1", got)
	}
}

func TestDataCarriesTheACK(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	for i := range 20 {
		s.in(wire.ACK, 1+10*i, 10, 1)
		s.out()
	}
	s.in(wire.ACK, 201, 10, 1)
	s.write(10)
	s.want("data with the ACK", ". 1:11(10) ack 211")
	s.in(wire.ACK, 211, 0, 11)
	if s.Deadline() != mono.Never {
		t.Error("an ACK is still owed")
	}
}

// RFC 2018, section 4: the block of the latest segment first, then the others.
func TestSACKBlocks(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{Has: wire.HasSACKPermitted})
	for _, tt := range []struct {
		at   int
		want string
	}{
		{1001, "sack 1001:2001"},
		{2001, "sack 1001:3001"},
		{4001, "sack 4001:5001 1001:3001"},
		{3001, "sack 1001:5001"},
		{7001, "sack 7001:8001 1001:5001"},
		{1001, "sack 1001:2001 1001:5001 7001:8001"}, // it came before: RFC 2883, section 4.2
	} {
		s.in(wire.ACK, tt.at, 1000, 1)
		s.want("the latest first", ". 1:1(0) ack 1 win 65535 <nop,nop,"+tt.want+">")
	}
	s.in(wire.ACK, 1, 1000, 1)
	got := s.out()
	if len(got) != 1 {
		t.Fatalf("got %q", got)
	}
	if s.recv.Len() != 5000 {
		t.Errorf("%d octets to read, want 5000", s.recv.Len())
	}
}

// Segments smaller than a unit of the window scale close the window like others: rounding it
// up must not offer an octet for each that comes.
func TestTinySegmentsCloseTheWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{Has: wire.HasWScale, WScale: 0})
	at := 1
	for range 200_000 {
		window := s.Info(s.now).RecvWindow
		if window == 0 {
			break
		}
		s.in(wire.ACK, at, 1, 1)
		at++
		s.out()
	}
	if got, limit := s.recv.Len(), s.recv.Limit(); got > limit+limit/16+2 {
		t.Errorf("took %d octets that nobody reads, with a buffer of %d", got, limit)
	}
}

// "SHOULD NOT time out the connection if data beyond the right window edge is not acknowledged. If
// the window shrinks to zero, the TCP implementation MUST probe it in the standard way", as long
// as the peer answers. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6
func TestWindowTakenBackWhole(t *testing.T) {
	for _, answers := range []bool{true, false} {
		s := established(t, tcp.Config{}, wire.Options{})
		s.write(3000)
		s.want("three segments", data(1, 1000, 3)...)
		s.win = 0
		s.in(wire.ACK, 1, 0, 1)
		for range 100 {
			s.wait()
			if got := s.out(); s.State() == tcp.StateClosed {
				break
			} else if answers && got[0] != ". 1:1001(1000) ack 1 win 65535" {
				t.Fatalf("sent %q, want the first segment, at its size", got)
			}
			if answers {
				s.in(wire.ACK, 1, 0, 1)
			}
		}
		if !answers {
			s.wantCause(tcp.TimedOut)
			continue
		}
		s.wantState(tcp.StateEstablished)
		s.win = 65535
		s.in(wire.ACK, 1, 0, 1001)
		s.want("the rest", data(1001, 1000, 2)...)
	}
}

// What is on its way costs memory by the segment, and time at each ACK. With very many, those that
// follow must be of some size: what an application writes octet by octet gathers meanwhile, and a
// peer that takes no larger ones is sent a smaller flight.
func TestSmallSegmentsOnTheirWayAreBounded(t *testing.T) {
	const most = 4096
	s := established(t, tcp.Config{InitialWindow: 10}, wire.Options{})
	s.SetNoDelay(true)
	for range most + 900 {
		s.write(1)
		s.out()
	}
	if got := s.View().Board; got != most {
		t.Fatalf("%d segments on their way, want %d", got, most)
	}
	s.in(wire.ACK, 1, 0, 2)
	s.want("what has gathered", fmt.Sprintf(". %d:%d(900) ack 1", most+1, most+901))
	s.in(wire.ACK, 1, 0, most+901)
	s.write(1)
	s.want("at once again", fmt.Sprintf(". %d:%d(1) ack 1", most+901, most+902))

	s = server(t, tcp.Config{InitialWindow: 1 << 14}, wire.Options{Has: wire.HasMSS | wire.HasWScale, MSS: 1, WScale: 5})
	s.out()
	s.in(wire.ACK, 1, 0, 1)
	s.write(1 << 20)
	s.out()
	if got := s.View().Board; got != most {
		t.Errorf("%d segments on their way to a peer that takes 64 octets, want %d", got, most)
	}
}
