package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// tuned is a connection whose buffers start at 16 KiB and may grow to 1 MiB.
func tuned(t testing.TB, o wire.Options) *script {
	s := newScript(t, tcp.Config{})
	s.recv.Init(&s.pool, 16<<10)
	s.send.Init(&s.pool, 16<<10)
	p := s.params()
	p.SendMax, p.RecvMax, p.Scratch = 1<<20, 1<<20, &s.scratch
	o.Has |= wire.HasMSS | wire.HasWScale
	o.MSS, o.WScale = 1000, 7
	syn := wire.Segment{SEQ: irs, Flags: wire.SYN, WND: 65535, Opt: o}
	s.Accept(s.now, &s.cfg, p, &syn)
	s.out()
	s.now = s.now.Add(50 * time.Millisecond)
	s.win = 8000
	s.in(wire.ACK, 1, 0, 1)
	return s
}

// play lets the peer send as much as the window takes, a window a round trip of 50 ms, and
// the application read all of it, or not.
func play(s *script, rounds int, reads bool) {
	at := 1 + int(s.recv.End())
	buf := make([]byte, 1<<20)
	for range rounds {
		window := s.Info(s.now).RecvWindow
		for sent := 0; sent+1000 <= window; sent += 1000 {
			s.in(wire.ACK, at, 1000, 1)
			at += 1000
			s.out()
			if reads {
				s.recv.Read(buf)
				s.Consumed(s.now)
			}
		}
		s.now = s.now.Add(50 * time.Millisecond)
		s.Tick(s.now)
		s.out()
	}
}

func TestReceiveBufferGrowsWithTheReader(t *testing.T) {
	s := tuned(t, wire.Options{})
	play(s, 12, true)
	if got := s.recv.Limit(); got < 500<<10 {
		t.Errorf("limit = %d after 12 round trips, want it grown to at least 500 KiB", got)
	}
}

// Where the worker does not keep up the buffer is halved, once for each window, down to a bound, and
// grows more slowly from then on. No octet that was offered is refused.
func TestReceiveBufferIsHalvedInACrowd(t *testing.T) {
	s := tuned(t, wire.Options{})
	play(s, 12, true)
	full := s.recv.Limit()
	s.scratch.Crowded = true
	at, end := s.recv.End(), s.recv.Edge()
	play(s, 1, true)
	if got := s.recv.Limit(); got != full/2 {
		t.Errorf("limit = %d after a window in a crowd, want it halved from %d", got, full)
	}
	if got := s.recv.End() - at; got < end-at-1000 {
		t.Errorf("%d octets came in, %d were offered", got, end-at)
	}
	play(s, 12, true)
	if got := s.recv.Limit(); got != 64<<10 {
		t.Errorf("limit = %d after many windows in a crowd, want %d", got, 64<<10)
	}
	s.scratch.Crowded = false
	before := s.recv.Limit()
	for range 8 {
		play(s, 1, true)
		if got := s.recv.Limit(); got < before || got > before+before/4 {
			t.Errorf("limit = %d after a round trip, want it to grow by a quarter from %d at most", got, before)
		}
		before = s.recv.Limit()
	}
	if before < 128<<10 {
		t.Errorf("limit = %d eight round trips after the crowd, want it grown", before)
	}
}

// A buffer that the application has set stays as it is, crowd or not.
func TestFixedReceiveBufferStaysInACrowd(t *testing.T) {
	s := tuned(t, wire.Options{})
	play(s, 12, true)
	full := s.recv.Limit()
	s.FixReceiveBuffer()
	s.scratch.Crowded = true
	play(s, 4, true)
	if got := s.recv.Limit(); got != full {
		t.Errorf("limit = %d, want %d as it was set", got, full)
	}
}

func TestReceiveBufferStaysWithoutAReader(t *testing.T) {
	s := tuned(t, wire.Options{})
	play(s, 12, false)
	if got := s.recv.Limit(); got != 16<<10 {
		t.Errorf("limit = %d, want 16 KiB: nobody reads", got)
	}
}

func TestSendBufferHoldsTwoWindows(t *testing.T) {
	s := tuned(t, wire.Options{})
	for next := 1; next < 2_000_000; {
		s.send.Write(make([]byte, 1<<20))
		sent := s.out()
		for range sent {
			next += 1000
			s.in(wire.ACK, 1, 0, next)
		}
		flight, got, cwnd := 1000*len(sent), s.send.Limit(), s.View().Cwnd
		if got < min(2*flight, 1<<20) || got < min(cwnd, 1<<20) || got > 1<<20 {
			t.Errorf("limit = %d with %d on their way and a window of %d, want twice the former, at most 1 MiB",
				got, flight, cwnd)
		}
	}
}
