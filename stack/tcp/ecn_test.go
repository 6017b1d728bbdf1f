package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/dctcp"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

const (
	ec  = wire.ECE
	cw  = wire.CWR
	ae  = wire.AE
	ack = wire.ACK
)

// marked injects a segment whose packet carries the codepoint mark.
func (s *script) marked(mark uint8, flags wire.Flags, at, n, ack int, opt ...wire.Options) {
	seg := wire.Segment{SEQ: irs.Add(at), ACK: iss.Add(ack), Flags: flags, WND: s.win, ECN: mark}
	if n > 0 {
		seg.Payload = pattern(at + n)[at:]
	}
	for _, o := range opt {
		seg.Opt = o
	}
	s.Input(s.now, &seg)
}

// flagsOf returns the flags of the one segment that is sent now, and its codepoint.
func (s *script) flagsOf() (wire.Flags, uint8) {
	s.t.Helper()
	b := make([]byte, 2048)
	n := s.Output(s.now, b)
	var seg wire.Segment
	if err := wire.ParseTCP(b[:n], &seg); err != nil {
		s.t.Fatal("nothing was sent")
	}
	return seg.Flags &^ wire.PSH, s.OutputECN()
}

func (s *script) wantFlags(why string, want wire.Flags, mark uint8) {
	s.t.Helper()
	if got, codepoint := s.flagsOf(); got != want || codepoint != mark {
		s.t.Fatalf("%s: %v with codepoint %d, want %v with %d", why, got, codepoint, want, mark)
	}
}

// ecnServer has received a SYN with the given flags and codepoint.
func ecnServer(t testing.TB, mode tcp.ECNMode, flags wire.Flags, mark uint8) *script {
	s := newScript(t, tcp.Config{ECN: mode})
	syn := wire.Segment{SEQ: irs, Flags: wire.SYN | flags, WND: s.win, Opt: mss(1000), ECN: mark}
	s.Accept(s.now, &s.cfg, s.params(), &syn)
	return s
}

// RFC 9768, section 3.1, table 2: what is granted, and how the SYN's codepoint is told.
func TestECNGranted(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mode  tcp.ECNMode
		asks  wire.Flags
		mark  uint8
		wants wire.Flags
		kind  string
	}{
		{"nothing asked", tcp.ECNAccurate, 0, 0, 0, ""},
		{"RFC 3168", tcp.ECNPassive, ec | cw, 0, ec, "ecn"},
		{"AccECN", tcp.ECNPassive, ae | cw | ec, wire.ECNNotECT, cw, "accecn"},
		{"AccECN, ECT(1)", tcp.ECNPassive, ae | cw | ec, wire.ECNECT1, cw | ec, "accecn"},
		{"AccECN, ECT(0)", tcp.ECNPassive, ae | cw | ec, wire.ECNECT0, ae, "accecn"},
		{"AccECN, CE", tcp.ECNPassive, ae | cw | ec, wire.ECNCE, ae | cw, "accecn"},
		{"off", tcp.ECNOff, ae | cw | ec, 0, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ecnServer(t, tt.mode, tt.asks, tt.mark)
			s.wantFlags("SYN,ACK", wire.SYN|ack|tt.wants, wire.ECNNotECT)
			if got := s.Info(s.now).Options.ECN; got != tt.kind {
				t.Errorf("agreed on %q, want %q", got, tt.kind)
			}
		})
	}
}

// What is asked for, and what the peer's answer makes of it.
func TestECNAsked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mode   tcp.ECNMode
		asks   wire.Flags
		answer wire.Flags
		kind   string
	}{
		{"passive", tcp.ECNPassive, 0, ec, ""},
		{"classic", tcp.ECNClassic, ec | cw, ec, "ecn"},
		{"classic refused", tcp.ECNClassic, ec | cw, 0, ""},
		{"accurate", tcp.ECNAccurate, ae | cw | ec, cw, "accecn"},
		{"accurate falls back", tcp.ECNAccurate, ae | cw | ec, ec, "ecn"},
		{"accurate refused", tcp.ECNAccurate, ae | cw | ec, 0, ""},
		{"mirrored", tcp.ECNAccurate, ae | cw | ec, ae | cw | ec, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := client(t, tcp.Config{ECN: tt.mode})
			s.wantFlags("SYN", wire.SYN|tt.asks, wire.ECNNotECT)
			s.in(wire.SYN|ack|tt.answer, 0, 0, 1, mss(1000))
			if got := s.Info(s.now).Options.ECN; got != tt.kind {
				t.Errorf("agreed on %q, want %q", got, tt.kind)
			}
		})
	}
}

// An algorithm that goes by marks has them asked for, unless the configuration knows better.
func TestECNAskedForTheAlgorithm(t *testing.T) {
	for mode, want := range map[tcp.ECNMode]wire.Flags{
		tcp.ECNPassive: ae | cw | ec, tcp.ECNOff: 0, tcp.ECNClassic: ec | cw, tcp.ECNAccurate: ae | cw | ec,
	} {
		s := client(t, tcp.Config{ECN: mode, Congestion: dctcp.New})
		s.wantFlags("SYN", wire.SYN|want, wire.ECNNotECT)
	}
	s := client(t, tcp.Config{Congestion: func() congestion.Algorithm { panic("no") }})
	s.wantFlags("SYN of who can't be asked", wire.SYN, wire.ECNNotECT)
}

// RFC 8257, section 3.2: with RFC 3168 agreed on, a receiver under DCTCP echoes each change at once.
func TestECNEchoesChanges(t *testing.T) {
	s := newScript(t, tcp.Config{Congestion: dctcp.New})
	syn := wire.Segment{SEQ: irs, Flags: wire.SYN | ec | cw, WND: s.win, Opt: mss(1000)}
	s.Accept(s.now, &s.cfg, s.params(), &syn)
	s.wantFlags("SYN,ACK", wire.SYN|ack|ec, wire.ECNNotECT)
	s.in(ack, 1, 0, 1)
	at := 1
	came := func(mark uint8, flags wire.Flags) {
		s.marked(mark, flags, at, 100, 1)
		at += 100
	}
	s.SetQuickACK(false)
	came(wire.ECNCE, ack)
	s.wantFlags("marked", ack|ec, 0)
	came(wire.ECNECT0, ack)
	s.wantFlags("not marked, without CWR", ack, 0)
	came(wire.ECNCE, ack|cw)
	s.wantFlags("marked, with CWR", ack|ec, 0)
	came(wire.ECNCE, ack)
	if b := make([]byte, 2048); s.Output(s.now, b) != 0 {
		t.Error("an ACK at once though nothing has changed")
	}
}

func TestECNModeNames(t *testing.T) {
	for _, name := range []string{"passive", "off", "classic", "accurate"} {
		if m, err := tcp.ParseECNMode(name); err != nil || m.String() != name {
			t.Errorf("%q is %v, %v", name, m, err)
		}
	}
	if m, err := tcp.ParseECNMode("yes"); err == nil {
		t.Errorf(`"yes" is %v`, m)
	}
	if m := tcp.ECNMode(9); m.String() != "unknown" {
		t.Errorf("mode 9 is %v", m)
	}
}

// A SYN that is repeated asks for nothing (RFC 3168, section 6.1.1.1); AccECN tries once more
// before that (RFC 9768, section 3.1.4.1).
func TestECNFallsBackWhenTheSYNIsLost(t *testing.T) {
	s := client(t, tcp.Config{ECN: tcp.ECNAccurate})
	for range 2 {
		s.wantFlags("SYN", wire.SYN|ae|cw|ec, 0)
		s.wait()
	}
	s.wantFlags("SYN again", wire.SYN, 0)
	s = client(t, tcp.Config{ECN: tcp.ECNClassic})
	s.wantFlags("SYN", wire.SYN|cw|ec, 0)
	s.wait()
	s.wantFlags("SYN again", wire.SYN, 0)
}

// RFC 3168, section 6.1: the receiver echoes until the sender says that it has reduced; the
// sender reduces once a round trip.
func TestECNClassic(t *testing.T) {
	s := ecnServer(t, tcp.ECNPassive, ec|cw, 0)
	s.out()
	s.in(ack, 1, 0, 1)
	s.marked(wire.ECNCE, ack, 1, 100, 1)
	s.wantFlags("a mark is echoed", ack|ec, 0)
	s.marked(wire.ECNECT0, ack, 101, 100, 1)
	s.wantFlags("and echoed", ack|ec, 0)
	s.marked(wire.ECNECT0, ack|cw, 201, 100, 1)
	s.wantFlags("until CWR", ack, 0)

	s.write(20_000)
	s.wantFlags("data is capable", ack, wire.ECNECT0)
	s.out()
	s.in(ack|ec, 301, 0, 1001)
	if got := s.Info(s.now); got.Ssthresh != 5000 || got.Cwnd != 5000 {
		t.Errorf("ssthresh %d, cwnd %d; want 5000", got.Ssthresh, got.Cwnd)
	}
	s.in(ack|ec, 301, 0, 3001)
	if got := s.Info(s.now); got.Ssthresh != 5000 {
		t.Errorf("ssthresh %d after a second echo of the round trip, want 5000", got.Ssthresh)
	}
	s.in(ack|ec, 301, 0, 7001)
	s.wantFlags("CWR with the next new data", ack|cw, wire.ECNECT0)
	s.wantFlags("once", ack, wire.ECNECT0)
}

// What is sent again is not capable of ECN (RFC 3168, section 6.1.5).
func TestECNRetransmissionIsNotCapable(t *testing.T) {
	s := ecnServer(t, tcp.ECNPassive, ec|cw, 0)
	s.out()
	s.in(ack, 1, 0, 1)
	s.write(1000)
	s.wantFlags("data", ack, wire.ECNECT0)
	s.wait()
	s.wantFlags("again", ack, wire.ECNNotECT)
}

// RFC 9768, section 3.2: the counter of marks starts at 5, wraps at 8, and is on every
// segment; the ACK that ends the handshake tells the codepoint of the SYN,ACK.
func TestAccECNReceiver(t *testing.T) {
	s := client(t, tcp.Config{ECN: tcp.ECNAccurate})
	s.out()
	s.marked(wire.ECNECT0, wire.SYN|ack|cw, 0, 0, 1, mss(1000))
	s.wantFlags("the SYN,ACK came with ECT(0)", ack|ae, 0)
	at := 1
	for i, want := range []wire.Flags{ae | cw, ae | cw | ec, 0, ec} { // 6, 7, 0, 1
		s.marked(wire.ECNCE, ack|ae|ec, at, 100, 1)
		at += 100
		s.wantFlags("mark "+string(rune('1'+i)), ack|want, 0)
	}
}

func TestAccECNSender(t *testing.T) {
	s := ecnServer(t, tcp.ECNPassive, ae|cw|ec, 0)
	s.out()
	s.in(ack|cw, 1, 0, 1) // the SYN,ACK came without ECT
	s.write(30_000)
	for range 10 {
		s.wantFlags("capable, counter 5", ack|ae|ec, wire.ECNECT0)
	}
	s.in(ack|ae|ec, 1, 0, 2001)
	if got := s.Info(s.now).Ssthresh; got < 1<<20 {
		t.Fatalf("ssthresh = %d without a mark", got)
	}
	s.out()
	flight := s.View().Pipe
	s.in(ack|ae|cw, 1, 0, 4001)
	if got := s.Info(s.now).Ssthresh; got != flight/2 {
		t.Errorf("ssthresh = %d after a mark with %d in flight", got, flight)
	}
}

// A path that zeroes the field gets no ECT (RFC 9768, section 3.2.2.3).
func TestAccECNZeroed(t *testing.T) {
	s := ecnServer(t, tcp.ECNPassive, ae|cw|ec, 0)
	s.out()
	s.in(ack, 1, 0, 1)
	s.write(1000)
	s.wantFlags("no ECT", ack|ae|ec, wire.ECNNotECT)
	s.after(time.Millisecond)
}
