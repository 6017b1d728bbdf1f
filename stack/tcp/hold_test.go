package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The ACK of a question waits for its answer: "the data receiver can piggyback its ACK on data"
// is what RFC 9293, section 3.8.6.3, has acknowledgments delayed for.
func TestHeldACKRidesOnTheAnswer(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK|wire.PSH, 1, 40, 1)
	if !s.ACKCanWait() {
		t.Fatal("the ACK of a short segment cannot wait")
	}
	s.HoldACK(s.now)
	s.want("the ACK waits")
	s.write(10)
	s.want("the answer", ". 1:11(10) ack 41")
	if s.ACKHeld() {
		t.Error("the ACK is still held")
	}
}

// Whoever asks in two parts, by Nagle's algorithm, sends the second when the first is
// acknowledged: as soon as the application waits for it.
func TestHeldACKIsReleased(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK|wire.PSH, 1, 40, 1)
	s.HoldACK(s.now)
	s.after(30 * time.Millisecond)
	s.ReleaseACK()
	s.want("the ACK alone", ". 1:1(0) ack 41")
	s.after(time.Second)
}

func TestHeldACKIsDelayedNoLongerThanAny(t *testing.T) {
	s := established(t, tcp.Config{DelayedACK: 40 * time.Millisecond}, wire.Options{})
	s.in(wire.ACK|wire.PSH, 1, 40, 1)
	s.HoldACK(s.now)
	if got := s.wait(); got != 40*time.Millisecond {
		t.Errorf("the ACK comes after %v, want 40ms", got)
	}
	s.want("the ACK alone", ". 1:1(0) ack 41")
}

// What fills a window is acknowledged at once, and every second full-sized segment.
func TestACKThatCannotWait(t *testing.T) {
	for name, in := range map[string]func(s *script){
		"more follows": func(s *script) { s.in(wire.ACK, 1, 40, 1) },
		"a full one":   func(s *script) { s.in(wire.ACK|wire.PSH, 1, 1460, 1) },
		"a second one": func(s *script) {
			s.in(wire.ACK|wire.PSH, 1, 100, 1)
			s.HoldACK(s.now)
			s.in(wire.ACK, 101, 100, 1)
		},
	} {
		s := established(t, tcp.Config{}, wire.Options{})
		in(s)
		s.HoldACK(s.now)
		if got := s.out(); len(got) != 1 {
			t.Errorf("%s: sent %q, want one ACK", name, got)
		}
	}
}

// An application that closes when its peer has closed owes one segment, not two.
func TestHeldACKOfFIN(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK|wire.FIN, 1, 0, 1)
	s.HoldACK(s.now)
	s.want("the ACK waits")
	s.Close(s.now)
	s.want("both", "F. 1:1(0) ack 2")
	s.wantState(tcp.StateLastAck)
}

// Nobody is woken for the FIN of a peer when we have closed before.
func TestACKOfSecondFINCannotWait(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.Close(s.now)
	s.want("our FIN", "F. 1:1(0) ack 1")
	s.in(wire.ACK|wire.FIN, 1, 0, 2)
	s.HoldACK(s.now)
	s.want("the ACK", ". 2:2(0) ack 2")
	s.wantState(tcp.StateTimeWait)
}
