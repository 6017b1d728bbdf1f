package tcp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// script plays the peer of one connection, segment by segment, in virtual time. Sequence
// numbers of both sides count from their initial ones, which lie near the wrap.
type script struct {
	t testing.TB
	tcp.Conn
	now     mono.Time
	cfg     tcp.Config
	send    queue.Send
	recv    queue.Recv
	pool    queue.Pool
	stats   tcp.Stats
	scratch tcp.Scratch // of tuned alone
	win     uint16
	place   bool // what comes is put in its place before it is looked at
}

const (
	iss = seq.Num(0xfffffffe)
	irs = seq.Num(0xffff0000)
)

func newScript(t testing.TB, cfg tcp.Config) *script {
	s := &script{t: t, now: mono.Time(time.Hour), cfg: cfg.WithDefaults(), win: 65535}
	s.send.Init(&s.pool, 1<<20)
	s.recv.Init(&s.pool, 1<<16)
	return s
}

func (s *script) params() tcp.Params {
	return tcp.Params{LocalPort: 80, RemotePort: 1024, ISS: iss, MSS: 1460,
		Send: &s.send, Recv: &s.recv, Stats: &s.stats}
}

// client has sent its SYN.
func client(t testing.TB, cfg tcp.Config) *script {
	s := newScript(t, cfg)
	s.Connect(s.now, &s.cfg, s.params())
	return s
}

// server has received a SYN with o.
func server(t testing.TB, cfg tcp.Config, o wire.Options) *script {
	s := newScript(t, cfg)
	syn := wire.Segment{SEQ: irs, Flags: wire.SYN, WND: s.win, Opt: o}
	s.Accept(s.now, &s.cfg, s.params(), &syn)
	return s
}

func mss(n uint16) wire.Options { return wire.Options{Has: wire.HasMSS, MSS: n} }

// established is a server with the handshake done, MSS 1000, and delayed ACKs in force.
func established(t testing.TB, cfg tcp.Config, o wire.Options) *script {
	o.Has |= wire.HasMSS
	o.MSS = 1000
	s := server(t, cfg, o)
	s.want("the SYN is answered", "S. 0:0(0) ack 1")
	s.after(100 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1)
	s.want("the handshake ends in silence")
	if s.State() != tcp.StateEstablished {
		t.Fatalf("state %v, want ESTABLISHED", s.State())
	}
	s.Events()
	return s
}

// in injects a segment of n octets at sequence number at, which acknowledges ack.
func (s *script) in(flags wire.Flags, at, n, ack int, opt ...wire.Options) {
	seg := wire.Segment{SEQ: irs.Add(at), ACK: iss.Add(ack), Flags: flags, WND: s.win}
	if n > 0 {
		seg.Payload = pattern(at + n)[at:]
	}
	for _, o := range opt {
		seg.Opt = o
	}
	s.Input(s.now, &seg)
	s.Settle() // it is a batch
}

func sack(ranges ...int) wire.Options {
	o := wire.Options{Has: wire.HasSACK, NSACK: uint8(len(ranges) / 2)}
	for i := range o.NSACK {
		o.SACK[i] = seq.Range{Start: iss.Add(ranges[2*i]), End: iss.Add(ranges[2*i+1])}
	}
	return o
}

// after lets time pass, ticking whenever a deadline comes, and fails if a segment is due
// meanwhile: use wait for that.
func (s *script) after(d time.Duration) {
	s.t.Helper()
	until := s.now.Add(d)
	for s.Deadline() <= until {
		s.now = max(s.now, s.Deadline())
		s.Tick(s.now)
		if got := s.out(); len(got) > 0 {
			s.t.Fatalf("sent %q while nothing was to be sent", got)
		}
	}
	s.now = until
}

// wait lets time pass until the next deadline, and returns how long that was.
func (s *script) wait() time.Duration {
	s.t.Helper()
	d := s.Deadline()
	if d == mono.Never {
		s.t.Fatal("no timer is armed")
	}
	passed := d.Sub(s.now)
	s.now = max(s.now, d)
	s.Tick(s.now)
	return passed
}

// out returns what is sent now, in packetdrill's notation.
func (s *script) out() []string {
	var lines []string
	b := make([]byte, 2048)
	for {
		n := s.Output(s.now, b)
		if n == 0 {
			return lines
		}
		var seg wire.Segment
		if err := wire.ParseTCP(b[:n], &seg); err != nil {
			s.t.Fatal(err)
		}
		lines = append(lines, seg.Relative(iss, irs))
	}
}

// want compares what is sent now. A line names flags, range and ACK, and window and options
// if they matter; PSH does not.
func (s *script) want(why string, lines ...string) {
	s.t.Helper()
	got := s.out()
	bad := len(got) != len(lines)
	for i := 0; i < len(lines) && !bad; i++ {
		bad = !strings.HasPrefix(strings.TrimPrefix(got[i], "P")+" ", lines[i]+" ")
	}
	if bad {
		s.t.Fatalf("%s:\n got %q\nwant %q", why, got, lines)
	}
}

// data is the lines of n segments of size octets from sequence number at on.
func data(at, size, n int) []string {
	var lines []string
	for ; n > 0; n-- {
		lines = append(lines, fmt.Sprintf(". %d:%d(%d) ack 1", at, at+size, size))
		at += size
	}
	return lines
}

func (s *script) write(n int) {
	s.t.Helper()
	if got := s.send.Write(pattern(n)); got != n {
		s.t.Fatalf("the queue took %d octets, want %d", got, n)
	}
}

func (s *script) wantState(want tcp.State) {
	s.t.Helper()
	if got := s.State(); got != want {
		s.t.Fatalf("state %v, want %v", got, want)
	}
}

func (s *script) wantCwnd(why string, want int) {
	s.t.Helper()
	if got := s.View().Cwnd; got != want {
		s.t.Fatalf("%s: cwnd = %d, want %d", why, got, want)
	}
}

func (s *script) wantCause(want tcp.Cause) {
	s.t.Helper()
	if s.State() != tcp.StateClosed || s.Cause() != want {
		s.t.Fatalf("%v, %v; want CLOSED, %v", s.State(), s.Cause(), want)
	}
}
