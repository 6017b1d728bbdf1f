package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// "If the RST bit is set and the sequence number exactly matches the next expected sequence
// number": it is that of the segment as it came. One whose data reaches up to RCV.NXT would
// else let a guess be wrong by as much as a segment holds.
// https://www.rfc-editor.org/rfc/rfc5961.html#section-3.2
func TestResetWithDataMustMatchExactly(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK, 1, 1000, 1)
	s.want("ACK", ". 1:1(0) ack 1001")
	for _, at := range []int{1, 600, 1000} {
		s.in(wire.RST|wire.ACK, at, 1000, 1)
		s.wantState(tcp.StateEstablished)
		s.want("before the window: dropped")
	}
	s.in(wire.RST|wire.ACK, 1002, 1000, 1)
	s.wantState(tcp.StateEstablished)
	s.want("in the window: challenged", ". 1:1(0) ack 1001")
	// "A TCP implementation SHOULD allow a received RST segment to include data" (RFC 9293,
	// section 3.5.3).
	s.in(wire.RST|wire.ACK, 1001, 1000, 1)
	s.wantCause(tcp.Reset)
}

// "special allowance should be made to accept valid ACKs, URGs, and RSTs" when the window is
// closed. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.7.4
func TestResetWithDataIntoClosedWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	for at := 1; at <= 1<<16-1; at += 1<<14 - 1 {
		s.in(wire.ACK, at, min(1<<14-1, 1<<16-at), 1)
	}
	s.out()
	s.in(wire.RST, 1<<16-1, 100, 0)
	s.wantState(tcp.StateEstablished)
	s.in(wire.RST, 1<<16, 100, 0)
	s.wantCause(tcp.Reset)
}

// "If the SYN bit is set, irrespective of the sequence number, TCP MUST send an ACK (also
// referred to as challenge ACK) to the remote peer", and "drop the unacceptable segment".
// https://www.rfc-editor.org/rfc/rfc5961.html#section-4.2
func TestSYNIsNeverTrimmedIntoTheWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.SYN|wire.ACK, 0, 500, 1)
	s.want("challenged", ". 1:1(0) ack 1")
	if got := s.recv.Len(); got != 0 {
		t.Errorf("%d octets of a segment with SYN were taken, want 0", got)
	}
	if got := s.stats.TCPSYNChallenge; got != 1 {
		t.Errorf("%d SYNs challenged, want 1", got)
	}
}

// What comes with our peer's SYN and ACK is in the window that our SYN has offered, or is not
// taken; and that window holds until another is offered.
func TestSYNACKWithDataKeepsToTheWindow(t *testing.T) {
	s := newScript(t, tcp.Config{})
	s.recv.SetLimit(1000)
	s.Connect(s.now, &s.cfg, s.params())
	s.out()
	o := mss(1000)
	s.in(wire.SYN|wire.ACK, 0, 600, 1, o)
	if got := s.recv.Len(); got != 600 {
		t.Fatalf("%d octets taken, want 600", got)
	}
	s.in(wire.ACK, 601, 400, 1)
	if got := s.recv.Len(); got != 1000 {
		t.Errorf("%d octets taken, want 1000", got)
	}
	s.in(wire.ACK, 1<<20, 100, 1)
	s.in(wire.ACK, 1001, 100, 1)
	if got := s.recv.Len(); got != 1000 {
		t.Errorf("%d octets taken, want 1000: that is all there is room for", got)
	}

	s = newScript(t, tcp.Config{})
	s.recv.SetLimit(1000)
	s.Connect(s.now, &s.cfg, s.params())
	s.out()
	s.in(finack|wire.SYN, 0, 1500, 1, o)
	if got := s.recv.Len(); got != 1000 {
		t.Errorf("%d octets taken with the SYN, want the 1000 of the window", got)
	}
	s.wantState(tcp.StateEstablished)
	s.want("no more is offered", ". 1:1(0) ack 1001 win 0")
}

// A peer's FIN stands where it came first, and nothing lies behind it. A peer that says
// otherwise gets an answer, and the stream that it first told of.
func TestFINThatContradicts(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   func(s *script)
	}{
		{"data behind", func(s *script) {
			s.in(finack, 1001, 0, 1)
			s.in(wire.ACK, 1001, 500, 1)
			s.in(wire.ACK, 2001, 500, 1)
		}},
		{"before data that came", func(s *script) {
			s.in(wire.ACK, 1501, 500, 1)
			s.in(wire.ACK, 2501, 500, 1)
			s.in(finack, 501, 500, 1)
		}},
		{"within data that came", func(s *script) {
			s.in(wire.ACK, 801, 500, 1)
			s.in(finack, 1001, 0, 1)
		}},
		{"a later one", func(s *script) {
			s.in(finack, 1001, 0, 1)
			s.in(finack, 2001, 0, 1)
			s.in(finack, 501, 1500, 1)
		}},
		{"an earlier one", func(s *script) {
			s.in(finack, 501, 500, 1)
			s.in(finack, 601, 0, 1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := established(t, tcp.Config{}, wire.Options{Has: wire.HasSACKPermitted})
			tt.in(s)
			if len(s.out()) == 0 {
				t.Error("no answer")
			}
			s.in(wire.ACK, 1, 1000, 1)
			s.wantState(tcp.StateCloseWait)
			s.want("data and FIN are acknowledged", ". 1:1(0) ack 1002")
			if got := s.recv.Len(); got != 1000 || !s.PeerFinished() {
				t.Errorf("%d octets, finished: %v; want 1000, true", got, s.PeerFinished())
			}
		})
	}
}

// "The only thing that can arrive in this state is a retransmission of the remote FIN": what
// only carries the flag does not lengthen the wait.
func TestTimeWaitRestartsByTheFINAlone(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.CloseWrite(s.now)
	s.out()
	s.in(finack, 1, 0, 2)
	s.wantState(tcp.StateTimeWait)
	s.out()
	s.after(10 * time.Second)
	for _, at := range []int{-5000, 1 << 20} {
		s.Input(s.now, &wire.Segment{SEQ: irs.Add(at), ACK: iss.Add(2), Flags: finack, WND: 100})
		s.out()
	}
	if got := s.wait(); got != 50*time.Second {
		t.Errorf("TIME-WAIT goes on for %v, want 50 s", got)
	}
}
