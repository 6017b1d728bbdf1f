package iperf3

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// textReport writes what iperf3 writes for people. Its methods are called one at a time.
type textReport struct {
	w         io.Writer
	server    bool
	bidir     bool
	intervals int // written so far
}

// label is the number in front of a line. iperf3 prints the descriptor of the socket,
// which starts at 5; there is none here, so the number of the stream takes its place.
func label(id int) int { return id + 4 }

func (t *textReport) printf(format string, args ...any) { fmt.Fprintf(t.w, format, args...) }

// connected writes the line of each data connection.
func (t *textReport) connected(streams []*stream) {
	for _, s := range streams {
		local, lport := hostPort(s.conn.LocalAddr())
		remote, rport := hostPort(s.conn.RemoteAddr())
		t.printf("[%3d] local %s port %d connected to %s port %d\n", label(s.id), local, lport, remote, rport)
	}
}

// hostPort takes an address apart.
func hostPort(a net.Addr) (host string, port int) {
	if a == nil {
		return "?", 0
	}
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.IP.String(), tcp.Port
	}
	h, p, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String(), 0
	}
	_, _ = fmt.Sscan(p, &port)
	return h, port
}

func (t *textReport) writeHeader(retr, cwnd bool) {
	role := ""
	if t.bidir {
		role = "[Role]"
	}
	tail := ""
	if retr {
		tail = "         Retr"
	}
	if retr && cwnd {
		tail += "  Cwnd"
	}
	t.printf("[ ID]%s Interval           Transfer     Bitrate%s\n", role, tail)
}

func (t *textReport) role(sender bool) string {
	if !t.bidir {
		return ""
	}
	side := "C"
	if t.server {
		side = "S"
	}
	if sender {
		return "[TX-" + side + "]"
	}
	return "[RX-" + side + "]"
}

// rule separates intervals of more than one line.
func (t *textReport) rule() { t.printf("%s\n", strings.TrimSpace(strings.Repeat("- ", 25))) }

// interval writes one interval.
func (t *textReport) interval(v interval) {
	if t.intervals == 0 {
		sends, _ := v.sum(true)
		t.writeHeader(sends.hasInfo, sends.hasInfo)
	} else if len(v.spans) > 1 {
		t.rule()
	}
	t.intervals++
	for _, sender := range []bool{!t.server, t.server} {
		for _, s := range v.spans {
			if s.sender == sender {
				t.line(fmt.Sprintf("%3d", label(s.id)), s, v.omitted)
			}
		}
		if total, n := v.sum(sender); n > 1 {
			total.info = Info{}
			t.line("SUM", total, v.omitted)
		}
	}
}

// line writes one span of an interval.
func (t *textReport) line(name string, s span, omitted bool) {
	note := ""
	if omitted {
		note = "(omitted)"
	}
	middle := strings.Repeat(" ", 18)
	if s.sender && s.hasInfo {
		cwnd := strings.Repeat(" ", 13)
		if s.info.Cwnd > 0 {
			cwnd = fmt.Sprintf("   %s       ", octetsText(float64(s.info.Cwnd)))
		}
		middle = fmt.Sprintf("  %3d%s", s.retr, cwnd)
	}
	t.printf("[%s]%s %6.2f-%-6.2f sec  %s  %s%s%s\n", name, t.role(s.sender), s.start, s.end,
		octetsText(float64(s.octets)), bitsText(s.bitsPerSecond()), middle, note)
}

// summary writes the results. A client shows both ends of each stream, a server its own.
func (t *textReport) summary(streams []EndStream) {
	t.rule()
	retr := false
	for _, s := range streams {
		if (!t.server || s.Sender.Sender) && s.Sender.Retransmits != nil {
			retr = true
		}
	}
	t.writeHeader(retr, false)
	for _, mine := range []bool{!t.server, t.server} {
		n := 0
		var sent, got EndSide
		for _, s := range streams {
			if s.Sender.Sender != mine {
				continue
			}
			n++
			t.sides(fmt.Sprintf("%3d", s.Sender.Socket), mine, s.Sender, s.Receiver)
			sent.add(s.Sender)
			got.add(s.Receiver)
		}
		if n > 1 {
			t.sides("SUM", mine, sent, got)
		}
	}
}

// sides writes what both ends of a stream, or of their sum, saw.
func (t *textReport) sides(name string, sender bool, sent, got EndSide) {
	write := func(s EndSide, who string) {
		middle := strings.Repeat(" ", 18)
		if s.Retransmits != nil && who == "sender" {
			middle = fmt.Sprintf("  %3d             ", *s.Retransmits)
		}
		t.printf("[%s]%s %6.2f-%-6.2f sec  %s  %s%s%s\n", name, t.role(sender), s.Start, s.End,
			octetsText(float64(s.Bytes)), bitsText(s.BitsPerSecond), middle, who)
	}
	if !t.server || sender {
		write(sent, "sender")
	}
	if !t.server || !sender {
		write(got, "receiver")
	}
}
