package tcp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// listener is an algorithm that hears everything, writes it down, and keeps the window.
type listener struct {
	heard []string
	acks  []congestion.Ack
	owns  bool
	grabs bool // sets the largest window at each event
}

func (l *listener) say(f *congestion.Flow, format string, args ...any) {
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
	if l.grabs {
		f.SetCwnd(congestion.CwndMax)
	}
}

func (l *listener) take() []string {
	heard := l.heard
	l.heard = nil
	return heard
}

func (l *listener) Init(f *congestion.Flow, _ mono.Time) { l.say(f, "init %d", f.Cwnd()) }
func (l *listener) OnAck(f *congestion.Flow, a *congestion.Ack) {
	l.acks = append(l.acks, *a)
	l.say(f, "ack %d lost %d flight %d", a.Acked, a.NewlyLost, f.Flight)
}
func (l *listener) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	l.say(f, "%v flight %d lost %d acked %d", e.Cause, e.Flight, e.Lost, e.Acked)
}
func (l *listener) OnSent(f *congestion.Flow, s *congestion.Sent) {
	l.say(f, "sent %d at %d resent %v limited %v restart %v", s.Octets, s.PriorFlight, s.Resent, s.AppLimited, s.Restart)
}
func (l *listener) OnLost(f *congestion.Flow, e *congestion.Lost) {
	l.say(f, "lost %d at %d delivered %d before %d of %d timer %v", e.Octets, e.TxInFlight, e.Delivered, e.Lost, f.Lost, e.Timeout)
}
func (l *listener) OnRecovered(f *congestion.Flow, e *congestion.Congestion) {
	l.say(f, "recovered %v", e.Cause)
}
func (l *listener) Undo(f *congestion.Flow) { l.say(f, "undo") }
func (l *listener) OwnsRecovery() bool      { return l.owns }
func (l *listener) Name() string            { return "listener" }

// listening is an established connection of listener with 4 segments on their way.
func listening(t *testing.T, l *listener, octets int) *script {
	var cfg tcp.Config
	cfg.Congestion = func() congestion.Algorithm { return l }
	cfg.InitialWindow = 4
	s := established(t, cfg, sackOK)
	s.write(octets)
	s.want("the initial window", data(1, 1000, 4)...)
	return s
}

func (l *listener) want(t *testing.T, why string, want ...string) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %q\nwant %q", why, got, want)
	}
}

// The optional interfaces are asked for once, and called in the documented order: what was
// lost, the episode, the ACK; what was sent; and the end of the episode before its ACK.
func TestObserversHearEventsInOrder(t *testing.T) {
	l := &listener{}
	s := listening(t, l, 4000)
	l.want(t, "the first flight", "init 4000",
		"sent 1000 at 0 resent false limited true restart true",
		"sent 1000 at 1000 resent false limited true restart false",
		"sent 1000 at 2000 resent false limited true restart false",
		"sent 1000 at 3000 resent false limited true restart false")
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	l.want(t, "a loss shown by SACK",
		"lost 1000 at 1000 delivered 0 before 0 of 1000 timer false",
		"loss flight 4000 lost 1000 acked 3000",
		"ack 3000 lost 1000 flight 0")
	if r := l.acks[0].Rate; r.Lost != 1000 || r.Delivered != 3000 || r.TxInFlight != 4000 || !r.AppLimited ||
		r.Interval != 50*time.Millisecond || r.OctetsPerSec != 60000 || l.acks[0].RTT != 50*time.Millisecond {
		t.Errorf("sample %+v, RTT %v", r, l.acks[0].RTT)
	}
	s.want("the hole", data(1, 1000, 1)...)
	l.want(t, "the retransmission", "sent 1000 at 0 resent true limited false restart false")
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 4001)
	l.want(t, "the end of the episode", "recovered loss", "ack 1000 lost 0 flight 0")
	if r := l.acks[1].Rate; r.Lost != 0 || r.Delivered != 1000 || r.TxInFlight != 1000 || r.PriorDelivered != 3000 {
		t.Errorf("sample of the retransmission %+v", r)
	}
}

// What the reordering timer gives up was shown by no ACK: the episode says that none was acked.
func TestTheReorderingTimerHasNoACK(t *testing.T) {
	l := &listener{}
	s := listening(t, l, 8000)
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 2001)) // the first was overtaken
	s.in(wire.ACK, 1, 0, 4001)                // and has come: there is reordering
	s.out()
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 4001, sack(5001, 8001))
	l.take()
	heard := ""
	for heard == "" {
		s.wait()
		for _, h := range l.take() {
			if strings.HasPrefix(h, "loss ") {
				heard = h
			}
		}
	}
	if heard != "loss flight 4000 lost 1000 acked 0" {
		t.Errorf("heard %q, want an episode without an ACK", heard)
	}
}

// "A sample with an interval below the minimum RTT is discarded": the ACK is of the original,
// and the retransmission was just sent.
// https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-4.1.1.3
func TestSampleOfARetransmissionAnsweredTooSoon(t *testing.T) {
	l := &listener{}
	s := listening(t, l, 4000)
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	s.want("the hole", data(1, 1000, 1)...)
	s.after(time.Millisecond)
	s.in(wire.ACK, 1, 0, 4001)
	if r := l.acks[1].Rate; r.OctetsPerSec != 0 || r.Interval != time.Millisecond {
		t.Errorf("rate %d over %v, want none", r.OctetsPerSec, r.Interval)
	}
}

// An algorithm that owns recovery is not governed by PRR: its window holds.
func TestRecoveryOwner(t *testing.T) {
	l := &listener{owns: true}
	s := listening(t, l, 9000)
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	s.wantCwnd("in recovery", 4000)
	s.want("the hole and new data", append(data(1, 1000, 1), data(4001, 1000, 3)...)...)
}

// The back-off of the retransmission timer, and the loss window, are out of an algorithm's
// reach: whatever it sets, one segment is sent a time-out.
func TestNoAlgorithmEndsTheBackOff(t *testing.T) {
	for _, owns := range []bool{false, true} {
		l := &listener{owns: owns, grabs: true}
		s := established(t, tcp.Config{Congestion: func() congestion.Algorithm { return l }, NoTLP: true, NoPathSearch: true}, sackOK)
		s.write(20_000)
		s.out()
		last := time.Duration(0)
		for i := range 6 {
			d := s.wait()
			if i > 0 && d != 2*last {
				t.Errorf("time-out %d after %v, want %v", i, d, 2*last)
			}
			last = d
			s.want("the oldest segment alone", data(1, 1000, 1)...)
		}
	}
}
