package pktdrill

import (
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const sample = "--tolerance_usecs=30000\n--ip_version=ipv4\n// what it shows\n" + `
    0 ` + "`sysctl -q net.ipv4.tcp_sack=1 net.ipv4.tcp_rmem=\"4096 540000 15728640\"`" + `
   +0 socket(..., SOCK_STREAM|SOCK_NONBLOCK, IPPROTO_TCP) = 3 /* a
      comment */
  +.1 < S 0:0(0) win 65535 <mss 1000,nop,nop,sackOK,TS val 7 ecr 0,wscale 7>
   +0 > S. 0:0(0) ack 1 <...>
   +.01 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
 +0...0.200 read(4, ..., 1000) = -1 EAGAIN (Resource temporarily unavailable)
   +.1~+.3 > [ect0] PE. 1:1001(1000) ack 1 win 5 <nop,nop,sack 1:2 3:4>
   *  > F. 1001:1001(0) ack 1
  2.5 < icmp unreachable frag_needed mtu 1200 [1:1461(1460)]
   +0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLOUT}], 1, 0) = 1
   +0 sendmsg(4, {msg_name(...)=..., msg_iov(2)=[{..., 100}, {..., 200}], msg_flags=0}, 0) = 300
   +0 %{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%
`

func parse(t *testing.T, src string) *Script {
	t.Helper()
	s, err := Parse("x.pkt", src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := parse(t, sample)
	if v, ok := s.Option("tolerance_usecs"); !ok || v != "30000" {
		t.Errorf("got tolerance %q, want 30000", v)
	}
	if v, _ := s.Option("ip_version"); v != "ipv4" {
		t.Errorf("got version %q, want ipv4", v)
	}
	e := s.Events
	if len(e) != 12 {
		t.Fatalf("got %d events, want 12", len(e))
	}
	if !strings.Contains(e[0].Command, `tcp_rmem="4096 540000 15728640"`) {
		t.Errorf("got command %q", e[0].Command)
	}
	if got := e[1].Call.Args[1].Words; !reflect.DeepEqual(got, []string{"SOCK_STREAM", "SOCK_NONBLOCK"}) {
		t.Errorf("got %v", got)
	}
	syn := e[2].Packet
	if syn.Outbound || syn.Flags != SYN || syn.Win != 65535 || len(syn.Options) != 6 || e[2].When.Start != 100*time.Millisecond {
		t.Errorf("got SYN %+v at %v", syn, e[2].When)
	}
	if ts := syn.Options[4]; ts.Name != "TS" || ts.Values[0] != 7 || ts.Values[1] != 0 {
		t.Errorf("got %+v", ts)
	}
	if !e[3].Packet.AnyOptions || e[3].Packet.Ack != 1 || e[3].Packet.Win != -1 {
		t.Errorf("got %+v", e[3].Packet)
	}
	if v, ok := e[4].Call.Args[3].Get("onoff"); !ok || v.Int != 1 {
		t.Errorf("got %+v", e[4].Call.Args[3])
	}
	if c := e[5].Call; !c.Blocks || c.End != 200*time.Millisecond || c.Errno != "EAGAIN" || c.Result.Int != -1 {
		t.Errorf("got %+v", c)
	}
}

func TestParseSecondHalf(t *testing.T) {
	e := parse(t, sample).Events
	p := e[6].Packet
	if w := e[6].When; w.Kind != RelativeRange || w.Start != 100*time.Millisecond || w.End != 300*time.Millisecond {
		t.Errorf("got %+v", w)
	}
	if p.ECN != ECNECT0 || p.Flags != PSH|ECE|ACK || p.Win != 5 || p.Len != 1000 {
		t.Errorf("got %+v", p)
	}
	if got := p.Options[2].Values; !reflect.DeepEqual(got, []uint32{1, 2, 3, 4}) {
		t.Errorf("got blocks %v", got)
	}
	if e[7].When.Kind != AnyTime || e[7].Packet.Flags != FIN|ACK {
		t.Errorf("got %+v", e[7])
	}
	if m := e[8].Packet.ICMP; m == nil || m.Type != "unreachable" || m.Code != "frag_needed" || m.MTU != 1200 || m.Len != 1460 || !m.Quotes {
		t.Errorf("got %+v", m)
	}
	if e[8].When.Kind != Absolute || e[8].Line != 14 {
		t.Errorf("got %+v at line %d", e[8].When, e[8].Line)
	}
	fd := e[9].Call.Args[0].Items[0]
	if v, ok := fd.Get("revents"); !ok || v.Words[0] != "POLLOUT" {
		t.Errorf("got %+v", fd)
	}
	iov, ok := e[10].Call.Args[1].Get("msg_iov")
	if !ok || len(iov.Items) != 2 || iov.Items[1].Items[1].Int != 200 {
		t.Errorf("got %+v", iov)
	}
	if !strings.Contains(e[11].Code, "tcpi_snd_cwnd == 10") {
		t.Errorf("got %q", e[11].Code)
	}
}

// TestMistakes: an error says where it is.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "x.pkt:1: pktdrill: parse script: there is no event"},
		{"0 < S 0:0(0)\n+0 < S 0:1(0) win 5", "x.pkt:2: pktdrill: parse script: 0:1 are not 0 octets"},
		{"0 < S 0:0(0) win 70000", "x.pkt:1: pktdrill: parse script: 70000 is not in [0, 65535]"},
		{"0 < Q 0:0(0)", `x.pkt:1: pktdrill: parse script: no flag has the letter 'Q'`},
		{"0 read(", `x.pkt:1: pktdrill: parse script: got "", want an argument`},
		{"0 < S 0:0(0) <...>", "<...> is for what is sent"},
		{"+.2~+.1 > S 0:0(0)", "the range of time runs backwards"},
		{"0 `unfinished", "nothing closes a quote"},
		{"0 %{ unfinished", "nothing closes %{"},
		{"* < S 0:0(0)", "only what is sent may have a range of time, or any"},
		{"0 < S 0:0(0) <mss 70000>", "70000 is not in [0, 65535]"},
		{"0 < udp (10)", "only TCP and ICMP"},
	} {
		_, err := Parse("x.pkt", c.src)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %s", c.src, err, c.want)
		}
	}
}

// TestNumbers: the longest form of a token wins, and times are decimals.
func TestNumbers(t *testing.T) {
	e := parse(t, "0 < . 1:1(0) ack 1\n+0...0.2 close(3) = 0\n+1.000001 f(-5, 0xff, 4tuple, \"a\" \"b\") = 0x10").Events
	if e[1].Call.End != 200*time.Millisecond {
		t.Errorf("got %v, want 200ms", e[1].Call.End)
	}
	a := e[2].Call.Args
	if e[2].When.Start != time.Second+time.Microsecond || a[0].Int != -5 || a[1].Int != 255 ||
		a[2].Words[0] != "4tuple" || a[3].Text != "ab" || e[2].Call.Result.Int != 16 {
		t.Errorf("got %+v at %v", e[2].Call, e[2].When)
	}
}

func TestAccECN(t *testing.T) {
	e := parse(t, "0 > [ce] SEWA 0:0(0)\n+0 > .5 1:1(0) ack 1\n+0 < P.3 1:2(1) ack 1 <ECN e0b 1 ceb 0 e1b 1>").Events
	if e[0].Packet.Flags != SYN|ECE|CWR|AE || e[0].Packet.ECN != ECNCE {
		t.Errorf("got %+v", e[0].Packet)
	}
	if e[1].Packet.ACE != 5 || e[1].Packet.Flags != ACK || e[2].Packet.ACE != 3 || e[2].Packet.Flags != PSH|ACK {
		t.Errorf("got %+v and %+v", e[1].Packet, e[2].Packet)
	}
	if o := e[2].Packet.Options[0]; len(o.Values) != 3 {
		t.Errorf("got %+v", o)
	}
}

func TestAssertions(t *testing.T) {
	values := map[string]int64{"tcpi_unacked": 5, "tcpi_snd_cwnd": 10, "tcpi_rtt": 100_000}
	lookup := func(name string) (int64, bool) {
		v, ok := values[name]
		return v, ok
	}
	for _, c := range []struct {
		code string
		want bool
	}{
		{"assert tcpi_unacked == 5", true},
		{"assert tcpi_unacked == 5 and tcpi_snd_cwnd != 10, 'said'", false},
		{"assert not tcpi_unacked > 5 or 1 / 0", true},
		{"assert (tcpi_unacked + 1) * 2 >= tcpi_snd_cwnd + 2, tcpi_unacked", true},
		{"assert tcpi_rtt - -1 == 100001", true},
		{"assert tcpi_rtt % 7 < 0x1", false},
	} {
		list, skipped := Assertions(c.code)
		if len(list) != 1 || len(skipped) != 0 {
			t.Fatalf("%s: got %d assertions, %q skipped", c.code, len(list), skipped)
		}
		if got, err := list[0].Holds(lookup); got != c.want || err != nil {
			t.Errorf("%s: got %v, %v; want %v", c.code, got, err, c.want)
		}
	}
	list, skipped := Assertions("import os\nassert len('x') == 1\nassert tcpi_new == 1; print(tcpi_rtt)\n# said\n")
	if len(list) != 1 || len(skipped) != 3 {
		t.Fatalf("got %d assertions, %q skipped; want 1 and 3", len(list), skipped)
	}
	if _, err := list[0].Holds(lookup); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v for an unknown name, want ErrUnsupported", err)
	}
}

// FuzzParse: a script never makes the parser panic or run on, and a mistake has a place.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("0 > .5 1:1(0) ack 1 <ECN e0b 1 ceb 0>")
	files, _ := filepath.Glob("../../stack/tcp/testdata/*/*.pkt")
	for _, name := range files[:min(len(files), 20)] {
		if s, err := ReadFile(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Errorf("%v, %v", s, err)
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		s, err := Parse("x.pkt", src)
		var syntax *SyntaxError
		if err != nil {
			if !errors.As(err, &syntax) || syntax.Line < 1 {
				t.Fatalf("got %v", err)
			}
			return
		}
		for _, e := range s.Events {
			for _, a := range first(Assertions(e.Code)) {
				_, _ = a.Holds(func(string) (int64, bool) { return 1, true })
			}
		}
	})
}

func first(list []Assertion, _ []string) []Assertion { return list }
