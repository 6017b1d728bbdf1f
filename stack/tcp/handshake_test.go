package tcp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 9293, section 3.5, figure 6.
func TestActiveOpen(t *testing.T) {
	s := client(t, tcp.Config{NoTimestamps: true})
	s.want("SYN", "S 0:0(0) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 1>")
	s.wantState(tcp.StateSynSent)
	s.after(100 * time.Millisecond)
	s.in(wire.SYN|wire.ACK, 0, 0, 1, mss(1000))
	s.want("the SYN is acknowledged at once", ". 1:1(0) ack 1")
	s.wantState(tcp.StateEstablished)
	if got := s.Info(s.now).RTT; got != 100*time.Millisecond {
		t.Errorf("RTT = %v, want 100ms", got)
	}
}

// RFC 9293, section 3.5, figure 7.
func TestSimultaneousOpen(t *testing.T) {
	s := client(t, tcp.Config{})
	s.out()
	s.in(wire.SYN, 0, 0, 0, mss(1000))
	s.wantState(tcp.StateSynReceived)
	s.want("SYN and ACK", "S. 0:0(0) ack 1")
	s.in(wire.SYN|wire.ACK, 0, 0, 1, mss(1000))
	s.wantState(tcp.StateEstablished) // RFC 9293, figure 8: no other ACK follows
}

func TestRefused(t *testing.T) {
	s := client(t, tcp.Config{})
	s.out()
	s.in(wire.RST, 0, 0, 0)
	s.wantState(tcp.StateSynSent) // without ACK it proves nothing
	s.in(wire.RST|wire.ACK, 0, 0, 0)
	s.wantState(tcp.StateSynSent) // nor with one that we did not earn
	s.in(wire.RST|wire.ACK, 0, 0, 1)
	s.wantCause(tcp.Refused)
	s.want("silence")
}

// "If SND.UNA < SEG.ACK =< SND.NXT does not hold ... send a reset <SEQ=SEG.ACK><CTL=RST>"
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.7.3
func TestOldSynAckIsReset(t *testing.T) {
	s := client(t, tcp.Config{})
	s.out()
	s.in(wire.SYN|wire.ACK, 0, 0, 77)
	s.want("RST for the old SYN,ACK", "R 77:77(0)")
	s.wantState(tcp.StateSynSent)
	s.in(wire.SYN|wire.ACK, 0, 0, 1)
	s.want("and the right one still opens", ". 1:1(0) ack 1")
}

func TestSYNBackOffAndGiveUp(t *testing.T) {
	s := client(t, tcp.Config{SYNRetries: 3})
	s.want("SYN", "S 0:0(0)")
	for _, want := range []time.Duration{1, 2, 4} {
		if got := s.wait(); got != want*time.Second {
			t.Errorf("waited %v, want %v", got, want*time.Second)
		}
		s.want("SYN again", "S 0:0(0)")
	}
	s.wait()
	s.wantCause(tcp.TimedOut)
	s.want("silence")
}

func TestSynAckIsRepeated(t *testing.T) {
	s := server(t, tcp.Config{SYNACKRetries: 2}, mss(1000))
	s.want("SYN,ACK", "S. 0:0(0) ack 1")
	s.in(wire.SYN, 0, 0, 0, mss(1000))
	s.want("the SYN again is answered again", "S. 0:0(0) ack 1")
	s.wait()
	s.want("time-out", "S. 0:0(0) ack 1")
	s.wait()
	s.want("time-out", "S. 0:0(0) ack 1")
	s.wait()
	s.wantCause(tcp.TimedOut)
}

func TestBadAckInSynReceivedIsReset(t *testing.T) {
	s := server(t, tcp.Config{}, mss(1000))
	s.out()
	s.in(wire.ACK, 1, 0, 55)
	s.want("RST", "R 55:55(0)")
	s.in(wire.ACK, 1, 0, 1)
	s.wantState(tcp.StateEstablished)
}

// RFC 7323: an option that the peer does not offer is not used.
func TestOptionsAreOfferedAndAgreed(t *testing.T) {
	ts := wire.Options{Has: wire.HasMSS | wire.HasTimestamps, MSS: 1000, TSVal: 777}
	for _, tt := range []struct {
		name string
		cfg  tcp.Config
		peer wire.Options
		want string
	}{
		{"none", tcp.Config{}, mss(1000), "S. 0:0(0) ack 1 win 65535 <mss 1460>"},
		{"timestamps", tcp.Config{}, ts, "S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,TS val 3600000 ecr 777>"},
		{"timestamps refused", tcp.Config{NoTimestamps: true}, ts, "S. 0:0(0) ack 1 win 65535 <mss 1460>"},
		{"SACK", tcp.Config{}, wire.Options{Has: wire.HasSACKPermitted},
			"S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>"},
		{"scale", tcp.Config{}, wire.Options{Has: wire.HasWScale, WScale: 7},
			"S. 0:0(0) ack 1 win 65535 <mss 1460,nop,wscale 1>"},
		{"scale refused", tcp.Config{NoWindowScale: true}, wire.Options{Has: wire.HasWScale, WScale: 7},
			"S. 0:0(0) ack 1 win 65535 <mss 1460>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server(t, tt.cfg, tt.peer).want("SYN,ACK", tt.want)
		})
	}
}

// "If an MSS option is not received at connection setup, TCP implementations MUST assume a
// default send MSS of 536." https://www.rfc-editor.org/rfc/rfc9293.html#section-3.7.1
func TestDefaultMSS(t *testing.T) {
	s := server(t, tcp.Config{}, wire.Options{})
	s.out()
	s.in(wire.ACK, 1, 0, 1)
	s.SetNoDelay(true)
	s.write(800)
	s.want("536 and the rest", ". 1:537(536) ack 1", ". 537:801(264) ack 1")
}

// O1: RFC 6928's initial window, and one segment if the SYN was lost.
func TestOracleInitialWindow(t *testing.T) {
	for _, tt := range []struct {
		mss  uint16
		lost bool
		want int
	}{{1000, false, 10000}, {1460, false, 14600}, {1460, true, 1460}, {500, false, 5000}} {
		s := server(t, tcp.Config{}, mss(tt.mss))
		s.out()
		if tt.lost {
			s.wait()
			s.out()
		}
		s.in(wire.ACK, 1, 0, 1)
		what := fmt.Sprintf("initial window, MSS %d, SYN lost: %v", tt.mss, tt.lost)
		oracle.Is(t, "O1", what, float64(tt.want), float64(s.View().Cwnd), 0)
	}
}

func TestResetInSynReceived(t *testing.T) {
	s := server(t, tcp.Config{}, mss(1000))
	s.out()
	s.in(wire.RST, 1, 0, 0)
	s.wantCause(tcp.Refused)
}

func TestSynSentIsUnreachable(t *testing.T) {
	s := client(t, tcp.Config{})
	s.out()
	s.Unreachable(s.now, true)
	s.wantCause(tcp.Refused)

	e := established(t, tcp.Config{}, wire.Options{})
	e.Unreachable(e.now, true)
	e.wantState(tcp.StateEstablished)
	if e.Deadline() != mono.Never {
		t.Errorf("an idle connection has a deadline")
	}
}

// RFC 6298, 5.7: after a lost SYN the time-out starts at 3 s, unless a timestamp measures.
func TestTimeoutAfterLostSYN(t *testing.T) {
	for _, tt := range []struct {
		name string
		opt  wire.Options
		ack  wire.Options
		want time.Duration
	}{
		{"no timestamps", mss(1000), wire.Options{}, 3 * time.Second},
		{"timestamps", wire.Options{Has: wire.HasMSS | wire.HasTimestamps, MSS: 1000, TSVal: 5},
			wire.Options{Has: wire.HasTimestamps, TSVal: 6, TSEcr: 3_601_000}, 300 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := server(t, tcp.Config{}, tt.opt)
			s.out()
			s.wait() // 1 s
			s.out()
			s.after(100 * time.Millisecond)
			s.in(wire.ACK, 1, 0, 1, tt.ack)
			if got := s.Info(s.now).RTO; got != tt.want {
				t.Errorf("RTO = %v, want %v", got, tt.want)
			}
		})
	}
}
