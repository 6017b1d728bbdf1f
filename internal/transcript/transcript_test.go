package transcript_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/internal/transcript"
)

const open = `
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+.1 < S 0:0(0) win 65535 <mss 1000,sackOK,TS val 7 ecr 0>
+0 > S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 100 ecr 7>
+.1 < . 1:1(0) ack 1 win 65535 <nop,nop,TS val 8 ecr 100>
+0 accept(3, ..., ...) = 4
`

// openLines is the line of the first event behind open.
const openLines = 9

func play(t *testing.T, src string, o transcript.Options) error {
	t.Helper()
	s, err := pktdrill.Parse("x.pkt", src)
	if err != nil {
		t.Fatal(err)
	}
	return transcript.Play(s, o)
}

// TestRight: what the engine does is found right, with ordinary sequence numbers and across
// the end of their space.
func TestRight(t *testing.T) {
	src := open + `
+0 write(4, ..., 1500) = 1500
+0 > P. 1:1501(1500) ack 1 <nop,nop,TS val 200 ecr 8>
+.1 < P. 1:101(100) ack 1501 win 65535 <nop,nop,TS val 9 ecr 200>
+0 > . 1501:1501(0) ack 101 <...>
+0 read(4, ..., 1000) = 100
+0...0.5 read(4, ..., 1000) = 0
+.5 < F. 101:101(0) ack 1501 win 65535 <nop,nop,TS val 9 ecr 200>
+0 > . 1501:1501(0) ack 102 <...>
`
	src = strings.Replace(src, "1500) = 1500\n+0 > P.", "1500) = 1500\n+0 > .", 1)
	src = strings.Replace(src, "1:1501(1500) ack 1 <nop,nop,TS val 200 ecr 8>",
		"1:989(988) ack 1 <nop,nop,TS val 200 ecr 8>\n+0 > P. 989:1501(512) ack 1 <...>", 1)
	for _, wrap := range []bool{false, true} {
		if err := play(t, src, transcript.Options{Echo: true, Wrap: wrap}); err != nil {
			t.Errorf("wrap %v: %v", wrap, err)
		}
	}
}

// TestWrong: each way in which a script can differ from what happens is found, at its line.
func TestWrong(t *testing.T) {
	for _, c := range []struct{ name, lines, want string }{
		{"flags", "+0 write(4, ..., 10) = 10\n+0 > F. 1:11(10) ack 1 <...>", "other flags"},
		{"sequence number", "+0 write(4, ..., 10) = 10\n+0 > . 2:12(10) ack 1 <...>", "another sequence number"},
		{"ACK", "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 2 <...>", "another ACK"},
		{"window", "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1 win 7 <...>", "another window"},
		{"no options", "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1", "other options"},
		{"echo", "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1 <nop,nop,TS val 200 ecr 9>", "the option TS differs"},
		{"more data", "+0 write(4, ..., 10) = 10\n+0 > . 1:6(5) ack 1 <...>", "more data"},
		{"less data", "+0 write(4, ..., 10) = 10\n+0 > . 1:21(20) ack 1 <...>", "nothing came (10 octets of it did)"},
		{"silence", "+0 write(4, ..., 10) = 10\n+0 > . 1:11(10) ack 1 <...>\n+.1 > . 1:1(0) ack 1 <...>", "nothing came"},
		{"too early", "+0 write(4, ..., 10) = 10\n+.1 > . 1:11(10) ack 1 <...>", "it came at 200ms"},
		{"ECN", "+0 write(4, ..., 10) = 10\n+0 > [ce] . 1:11(10) ack 1 <...>", "ECN bits 0"},
		{"unexpected", "+0 write(4, ..., 10) = 10\n+.1 < P. 1:11(10) ack 1 win 9 <nop,nop,TS val 8 ecr 100>\n+0 > . 11:11(0) ack 11 <...>", "more data"},
		{"result", "+0 write(4, ..., 10) = 11", "write() is to return 11, it returned 10"},
		{"errno", "+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0\n+0 read(4, ..., 10) = -1 EPIPE (no)", "is to fail with EPIPE, it returned -1 EAGAIN"},
		{"waits", "+0 read(4, ..., 10) = 10", "read() waits for ever"},
		{"late", "+0...0.1 read(4, ..., 10) = 10\n+.2 < P. 1:11(10) ack 1 win 9 <nop,nop,TS val 8 ecr 100>", "is to return at 300ms, it did at 400ms"},
		{"option", "+0 getsockopt(4, SOL_TCP, TCP_NODELAY, [1], [4]) = 0", "TCP_NODELAY is to be 1, it is 0"},
		{"poll", "+0 poll([{fd=4, events=POLLIN, revents=POLLIN}], 1, 0) = 0", "are to be 0x1, they are 0x0"},
		{"assertion", "+0 %{ assert tcpi_snd_cwnd == 3 }%", "it does not hold"},
		{"unknown call", "+0 splice(4) = 0", "the system call splice is not played"},
	} {
		err := play(t, open+c.lines, transcript.Options{Echo: true})
		var at *transcript.Error
		if !errors.As(err, &at) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			continue
		}
		if at.File != "x.pkt" || at.Line < openLines || at.Line > openLines+strings.Count(c.lines, "\n") {
			t.Errorf("%s: the mistake is said to be at %s:%d", c.name, at.File, at.Line)
		}
	}
}

// TestOptions: options say what was set, within the bounds that they have.
func TestOptions(t *testing.T) {
	src := open + `
+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=0, linger=0}, [8]) = 0
+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=7}, 8) = 0
+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=7}, [8]) = 0
+0 setsockopt(4, SOL_SOCKET, SO_SNDBUF, [1], 4) = 0
+0 getsockopt(4, SOL_SOCKET, SO_SNDBUF, [4608], [4]) = 0
+0 setsockopt(4, SOL_SOCKET, SO_RCVBUF, [6000], 4) = 0
+0 getsockopt(4, SOL_SOCKET, SO_RCVBUF, [12000], [4]) = 0
+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, "vegas", 5) = 0
+0 getsockopt(4, SOL_TCP, TCP_CONGESTION, "vegas", [5]) = 0
+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, "none such", 9) = -1 ENOENT (No such file or directory)
+0 poll([{fd=-1, events=POLLIN, revents=0}, {fd=9, events=POLLIN, revents=POLLNVAL}], 2, 0) = 1
+0 shutdown(4, 3) = -1 EINVAL (Invalid argument)
+0 read(4, NULL, 1) = -1 EFAULT (Bad address)
+0 write(4, NULL, 1) = -1 EFAULT (Bad address)
`
	if err := play(t, src, transcript.Options{}); err != nil {
		t.Error(err)
	}
	wrong := open + "+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, [8]) = 0"
	if err := play(t, wrong, transcript.Options{}); err == nil || !strings.Contains(err.Error(), "onoff is to be 1, it is 0") {
		t.Errorf("got %v", err)
	}
}

// TestHints: sizes may be products, as the shell computes them.
func TestHints(t *testing.T) {
	src := strings.Replace(open, "socket(", "`sysctl -q net.ipv4.tcp_rmem=\"4096 65536 $((64*1024*1024))\"`\n+0 socket(", 1)
	src = strings.Replace(src, "sackOK,TS val 7 ecr 0>", "nop,wscale 3>", 1)
	src = strings.Replace(src, "sackOK,TS val 100 ecr 7>", "nop,wscale 11>", 1)
	src = strings.Replace(src, "<nop,nop,TS val 8 ecr 100>", "", 1)
	if err := play(t, src, transcript.Options{}); err != nil {
		t.Error(err)
	}
}

// TestLeftOut: what is not understood is told, not passed over.
func TestLeftOut(t *testing.T) {
	var notes []string
	o := transcript.Options{Note: func(s string) { notes = append(notes, s) }}
	if err := play(t, open+"+0 %{ assert tcpi_nothing == 3\nimport os }%", o); err != nil {
		t.Fatal(err)
	}
	if len(notes) != 2 || !strings.HasPrefix(notes[0], "x.pkt:9: left out: import os") {
		t.Errorf("got %q", notes)
	}
}
