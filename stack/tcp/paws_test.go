package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// A pure ACK that another has overtaken fails the test of RFC 7323, section 5.3, for both have
// the same sequence number. It is taken for its SACK blocks, unless it is older than a time-out,
// or says something else than its successor; TS.Recent stays.
func TestDisorderedACK(t *testing.T) {
	for _, tt := range []struct {
		name string
		ago  uint32 // milliseconds, by the peer's clock
		ack  int
		more uint16 // window
		want bool
	}{
		{"overtaken", 2, 1, 0, true},
		{"older than a time-out", 2000, 1, 0, false},
		{"of another window", 2, 1, 1, false},
		{"acknowledges", 2, 989, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := established(t, tcp.Config{InitialWindow: 10}, withTS(sackOK, 5000, 0))
			ours := uint32(s.now / 1e6)
			s.write(10 * 988)
			s.out()
			s.after(100 * time.Millisecond)
			s.in(wire.ACK, 1, 0, 1, withTS(wire.Options{}, 5100, ours))
			s.win += tt.more
			s.in(wire.ACK, 1, 0, tt.ack, withTS(sack(9*988+1, 10*988+1), 5100-tt.ago, ours))
			s.win -= tt.more
			if got := s.Info(s.now).Sacked == 988; got != tt.want {
				t.Errorf("taken: %v, want %v", got, tt.want)
			}
			if got := s.stats.PAWSOldAck == 0; got != tt.want {
				t.Errorf("PAWSOldAck %d", s.stats.PAWSOldAck)
			}
			s.out()
			s.in(wire.ACK, 1, 10, 1, withTS(wire.Options{}, 5099, ours))
			if s.recv.Len() != 0 || s.stats.PAWSEstab != 1 {
				t.Errorf("data older than the last ACK: %d octets taken, PAWSEstab %d; want 0, 1", s.recv.Len(), s.stats.PAWSEstab)
			}
		})
	}
}

// RFC 7323, section 5.3: "Send an acknowledgement in reply". What the peer sent twice it must
// hear of each time (RFC 2883); anything else is answered ten times a second at the most.
func TestAnswersToOutdatedSegments(t *testing.T) {
	s := established(t, tcp.Config{}, withTS(sackOK, 5000, 0))
	s.in(wire.ACK, 1, 5000, 1, withTS(wire.Options{}, 5100, 0))
	s.out()
	for range 50 {
		s.in(wire.ACK, 1, 1000, 1, withTS(wire.Options{}, 5050, 0))
		if got := s.out(); len(got) != 1 {
			t.Fatalf("a segment that came before: %q, want an ACK", got)
		}
	}
	answers := 0
	for range 50 {
		s.in(wire.ACK, 900_001, 1000, 1, withTS(wire.Options{}, 5050, 0))
		answers += len(s.out())
	}
	if answers != 10 || s.stats.TCPACKSkippedPAWS != 40 || s.stats.PAWSEstab != 100 {
		t.Errorf("%d answers, %d skipped, PAWSEstab %d; want 10, 40, 100", answers, s.stats.TCPACKSkippedPAWS, s.stats.PAWSEstab)
	}
}

// RFC 9293, section 3.10.7.4: what is not in the window is answered with an ACK, and RFC 5961,
// section 7, has answers to what anybody may send bounded. What came before is answered each
// time, as far back as the peer may still send it again.
func TestAnswersToSegmentsOutsideOfTheWindow(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK, 1, 5000, 1)
	s.out()
	for range 50 {
		s.in(wire.ACK, 1, 1000, 1)
		s.want("a segment that came before", ". 1:1(0) ack 5001")
	}
	for _, at := range []int{900_001, -900_000} {
		skipped := s.stats.TCPACKSkippedSeq
		answers := 0
		for range 50 {
			s.in(wire.ACK, at, 0, 1)
			seg := wire.Segment{SEQ: irs.Add(at), ACK: iss.Add(1), Flags: wire.ACK, WND: s.win, Payload: make([]byte, 100)}
			s.Input(s.now, &seg)
			answers += len(s.out())
		}
		if answers > 10 || answers == 0 || s.stats.TCPACKSkippedSeq-skipped < 80 {
			t.Errorf("at %d: %d answers, %d skipped; want 1 to 10, and the others", at, answers, s.stats.TCPACKSkippedSeq-skipped)
		}
		s.after(time.Second)
	}
}
