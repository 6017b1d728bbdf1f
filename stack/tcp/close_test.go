package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

const finack = wire.FIN | wire.ACK

// RFC 9293, section 3.6, figure 12, as the side that closes first.
func TestActiveClose(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.Close(s.now)
	s.want("FIN", "F. 1:1(0) ack 1")
	s.wantState(tcp.StateFinWait1)
	s.in(wire.ACK, 1, 0, 2)
	s.wantState(tcp.StateFinWait2)
	s.in(finack, 1, 0, 2)
	s.wantState(tcp.StateTimeWait)
	s.want("ACK", ". 2:2(0) ack 2")
	s.after(10 * time.Second)
	s.in(finack, 1, 0, 2)
	s.want("a repeated FIN is acknowledged", ". 2:2(0) ack 2")
	if got := s.wait(); got != 60*time.Second {
		t.Errorf("TIME-WAIT lasted %v after the repeated FIN, want 2 MSL", got)
	}
	s.wantCause(tcp.None)
	s.want("silence")
}

// As the side that closes second.
func TestPassiveClose(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(finack, 1, 0, 1)
	s.wantState(tcp.StateCloseWait)
	s.want("ACK", ". 1:1(0) ack 2")
	if !s.PeerFinished() {
		t.Error("the reader does not learn of the end")
	}
	s.write(100)
	s.want("our side is still open", ". 1:101(100) ack 2")
	s.Close(s.now)
	s.want("FIN", "F. 101:101(0) ack 2")
	s.wantState(tcp.StateLastAck)
	s.in(wire.ACK, 2, 0, 102)
	s.wantCause(tcp.None)
}

// RFC 9293, section 3.6, figure 13.
func TestSimultaneousClose(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.Close(s.now)
	s.want("FIN", "F. 1:1(0) ack 1")
	s.in(finack, 1, 0, 1)
	s.wantState(tcp.StateClosing)
	s.want("ACK", ". 2:2(0) ack 2")
	s.in(wire.ACK, 2, 0, 2)
	s.wantState(tcp.StateTimeWait)
}

func TestHalfClose(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.CloseWrite(s.now)
	s.want("FIN", "F. 1:1(0) ack 1")
	s.in(wire.ACK, 1, 0, 2)
	s.in(wire.ACK, 1, 1000, 2)
	s.want("data still comes", ". 2:2(0) ack 1001")
	if got := s.recv.Len(); got != 1000 {
		t.Errorf("%d octets to read, want 1000", got)
	}
	if s.Deadline() != mono.Never {
		t.Error("a half-closed connection is bounded by a timer")
	}
	s.in(finack, 1001, 0, 2)
	s.wantState(tcp.StateTimeWait)
}

func TestFINFollowsTheData(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(2500)
	s.CloseWrite(s.now)
	s.want("with the last of it", append(data(1, 1000, 2), "FP. 2001:2501(500) ack 1")...)
	s.in(wire.ACK, 1, 0, 2501)
	s.wantState(tcp.StateFinWait1)
	s.wait()
	s.want("the FIN alone again", "F. 2501:2501(0) ack 1")
}

// "TCP SHOULD send a RST to show that data was lost" (RFC 1122, section 4.2.2.13).
func TestCloseWithUnreadData(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK, 1, 10, 1)
	s.Close(s.now)
	s.want("RST", "R. 1:1(0) ack 11")
	s.wantCause(tcp.Aborted)
}

func TestDataAfterClose(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.Close(s.now)
	s.out()
	s.in(wire.ACK, 1, 10, 2)
	s.want("RST", "R 2:2(0)")
	s.wantCause(tcp.Aborted)
}

func TestAbort(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(5000)
	s.out()
	s.Abort(s.now)
	s.want("RST", "R. 5001:5001(0) ack 1")
	s.wantCause(tcp.Aborted)
	if s.pool.InUse() != 0 || s.Deadline() != mono.Never {
		t.Error("buffers or timers are left")
	}
}

func TestFinWait2Ends(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.Close(s.now)
	s.out()
	s.in(wire.ACK, 1, 0, 2)
	if got := s.wait(); got != 60*time.Second {
		t.Errorf("FIN-WAIT-2 lasted %v, want 60s", got)
	}
	s.wantCause(tcp.None)
}

// RFC 9293, section 3.10.7.4, second step, as RFC 5961 has it.
func TestResetMustMatchExactly(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.RST, 500, 0, 0)
	s.want("a challenge in the window", ". 1:1(0) ack 1")
	s.in(wire.RST, -500, 0, 0)
	s.in(wire.RST, 100_000, 0, 0)
	s.want("silence outside of it")
	s.in(wire.SYN, 1, 0, 0)
	s.want("a SYN is challenged", ". 1:1(0) ack 1")
	s.wantState(tcp.StateEstablished)
	s.in(wire.RST, 1, 0, 0)
	s.wantCause(tcp.Reset)
}

func TestChallengesAreLimited(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	n := 0
	for range 1000 {
		s.in(wire.SYN, 1, 0, 0)
		n += len(s.out())
	}
	if n != 10 {
		t.Errorf("%d challenges in a second, want 10", n)
	}
}

// RFC 1337: RST does not end TIME-WAIT.
func TestTimeWaitIgnoresReset(t *testing.T) {
	s := timeWait(t, wire.Options{})
	s.in(wire.RST, 2, 0, 0)
	s.wantState(tcp.StateTimeWait)
}

// RFC 6191.
func TestTimeWaitReuse(t *testing.T) {
	s := timeWait(t, wire.Options{})
	syn := wire.Segment{Flags: wire.SYN, SEQ: irs.Add(2)}
	if s.CanReuse(&syn) {
		t.Error("an old SYN may open a new connection")
	}
	syn.SEQ = irs.Add(3)
	if !s.CanReuse(&syn) {
		t.Error("a newer sequence number may not")
	}
	syn.Flags |= wire.ACK
	if s.CanReuse(&syn) {
		t.Error("a SYN,ACK may")
	}
}

func timeWait(t testing.TB, o wire.Options) *script {
	s := established(t, tcp.Config{}, o)
	s.Close(s.now)
	s.out()
	s.in(finack, 1, 0, 2)
	s.out()
	s.wantState(tcp.StateTimeWait)
	return s
}

// RFC 9293, section 3.8.4.
func TestKeepalive(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.SetKeepAlive(s.now, true, 0, 0, 0)
	if got := s.wait(); got != 2*time.Hour {
		t.Errorf("first probe after %v, want 2h", got)
	}
	s.want("a probe", ". 0:0(0) ack 1")
	s.after(time.Second)
	s.in(wire.ACK, 1, 0, 1)
	s.want("the answer is no news")
	if got := s.wait(); got != 2*time.Hour {
		t.Errorf("next probe after %v, want 2h", got)
	}
	for i := range 9 {
		s.want("a probe", ". 0:0(0) ack 1")
		if got := s.wait(); got != 75*time.Second {
			t.Errorf("probe %d after %v, want 75s", i+2, got)
		}
	}
	s.want("the tenth probe", ". 0:0(0) ack 1")
	s.wait()
	s.want("RST", "R. 1:1(0) ack 1")
	s.wantCause(tcp.TimedOut)
}

func TestKeepaliveIsAnswered(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK, 0, 0, 1)
	s.want("the peer's probe is answered", ". 1:1(0) ack 1")
}

// RFC 7323, section 5.3.
func TestPAWS(t *testing.T) {
	ts := func(v uint32) wire.Options { return wire.Options{Has: wire.HasTimestamps, TSVal: v} }
	s := established(t, tcp.Config{}, ts(1000))
	s.in(wire.ACK, 1, 10, 1, ts(1100))
	s.out()
	s.in(wire.ACK, 11, 10, 1, ts(900))
	s.want("an old duplicate is acknowledged and dropped", ". 1:1(0) ack 11")
	if got := s.recv.Len(); got != 10 {
		t.Errorf("%d octets to read, want 10", got)
	}
	s.in(wire.ACK, 11, 10, 1, ts(1101))
	if got := s.recv.Len(); got != 20 {
		t.Errorf("%d octets to read, want 20", got)
	}
}

func TestAckOfTheFuture(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(wire.ACK, 1, 10, 5000)
	s.want("an ACK and nothing else", ". 1:1(0) ack 1")
	if s.recv.Len() != 0 {
		t.Error("its data was taken")
	}
}

func TestFINOutOfOrder(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.in(finack, 101, 100, 1)
	s.wantState(tcp.StateEstablished)
	s.in(wire.ACK, 1, 100, 1)
	s.wantState(tcp.StateCloseWait)
	if got := s.recv.Len(); got != 200 {
		t.Errorf("%d octets to read, want 200", got)
	}
	s.in(wire.ACK, 202, 100, 1)
	if got := s.recv.Len(); got != 200 {
		t.Errorf("data behind the FIN was taken")
	}
}

func TestShutReaderDropsAndAcknowledges(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.CloseRead(s.now)
	for i := range 200 {
		s.in(wire.ACK, 1+1000*i, 1000, 1)
		s.out()
	}
	if got := s.Info(s.now); got.OctetsReceived != 200_000 || got.RecvWindow == 0 {
		t.Errorf("received %d with window %d", got.OctetsReceived, got.RecvWindow)
	}
	if s.pool.InUse() != 0 {
		t.Error("what nobody reads is kept")
	}
}

func TestPathMSSShrinks(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(3000)
	s.want("MSS 1000", data(1, 1000, 3)...)
	s.SetPathMSS(s.now, 500)
	s.want("what is on its way is cut and sent again", data(1, 500, 6)...)
	s.in(wire.ACK, 1, 0, 3001)
	s.write(1000)
	s.want("and so is what follows", data(3001, 500, 2)...)
}
