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

// flight is an established connection with n segments of 1000 octets outstanding, and 20
// more written.
func flight(t testing.TB, n int, o wire.Options) *script {
	s := established(t, tcp.Config{InitialWindow: n}, o)
	s.write(n*1000 + 20_000)
	s.want("the initial window", data(1, 1000, n)...)
	s.after(50 * time.Millisecond)
	return s
}

// O4: NewReno with 20 segments outstanding, the first and the eighth lost, limited transmit.
// https://www.rfc-editor.org/rfc/rfc6582.html#section-3.2
func TestOracleNewReno(t *testing.T) {
	s := flight(t, 20, wire.Options{})
	s.in(wire.ACK, 1, 0, 1)
	s.want("limited transmit", data(20001, 1000, 1)...)
	s.in(wire.ACK, 1, 0, 1)
	s.want("limited transmit", data(21001, 1000, 1)...)
	s.in(wire.ACK, 1, 0, 1)
	s.want("the third duplicate resends the first segment", data(1, 1000, 1)...)
	oracle.Is(t, "O4", "ssthresh after the third duplicate", 10000, float64(s.Info(s.now).Ssthresh), 0)
	cwnd := func(what string, want float64) {
		t.Helper()
		oracle.Is(t, "O4", "cwnd after "+what, want, float64(s.View().Cwnd), 0)
	}
	cwnd("the third duplicate", 13000)
	for range 17 {
		s.in(wire.ACK, 1, 0, 1)
	}
	cwnd("20 duplicates", 30000)
	s.want("the inflated window", data(22001, 1000, 8)...)
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 7001)
	cwnd("a partial ACK of 7000", 24000)
	s.want("the next hole at once", append(data(7001, 1000, 1), data(30001, 1000, 1)...)...)
	s.in(wire.ACK, 1, 0, 31001)
	cwnd("the full ACK, nothing left in flight", 1000+1000)
	if s.View().Pipe != 0 {
		t.Errorf("pipe = %d, want 0", s.View().Pipe)
	}
}

// "a TCP MAY limit the number of times cwnd is artificially inflated during loss recovery to the
// number of outstanding segments": else a peer that sends one duplicate after another has all
// sent at once that its window takes.
// https://www.rfc-editor.org/rfc/rfc5681.html#section-3.2 (step 4)
func TestDuplicatesInflateByTheFlight(t *testing.T) {
	s := established(t, tcp.Config{InitialWindow: 20}, wire.Options{})
	s.write(200_000)
	s.want("the initial window", data(1, 1000, 20)...)
	for range 1000 {
		s.in(wire.ACK, 1, 0, 1)
	}
	s.out()
	s.wantCwnd("1000 duplicates of 20 segments", 10_000+20_000)
}

// "RTT samples MUST NOT be made using segments that were retransmitted", nor of what was
// acknowledged together with them: it waited for the hole to be filled.
// https://www.rfc-editor.org/rfc/rfc6298.html#section-3
func TestACKOverARetransmissionMeasuresNothing(t *testing.T) {
	s := flight(t, 10, wire.Options{})
	before := s.View().RTTSamples
	for range 3 {
		s.in(wire.ACK, 1, 0, 1)
	}
	s.out()
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 10_001)
	if got := s.View().RTTSamples; got != before {
		t.Errorf("%d samples of an ACK that waited for a retransmission, want 0", got-before)
	}
}

// "the first partial ACK" alone restarts the retransmission timer (the Impatient variant).
// https://www.rfc-editor.org/rfc/rfc6582.html#section-4
func TestPartialACKRestartsTimerOnce(t *testing.T) {
	s := flight(t, 20, wire.Options{})
	for range 3 {
		s.in(wire.ACK, 1, 0, 1)
	}
	s.out()
	s.after(10 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 2001)
	first := s.Deadline()
	s.out()
	s.after(10 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 3001)
	if got := s.Deadline(); got != first {
		t.Errorf("the second partial ACK moved the timer by %v", got.Sub(first))
	}
}

// Two duplicates are not three (RFC 5681, section 3.2), and an ACK with a new window, or with
// data, is none.
func TestWhatIsNoDuplicate(t *testing.T) {
	s := flight(t, 10, wire.Options{})
	s.in(wire.ACK, 1, 0, 1)
	s.in(wire.ACK, 1, 0, 1)
	s.out()
	s.win++
	s.in(wire.ACK, 1, 0, 1)
	s.in(wire.ACK, 1, 100, 1)
	s.out()
	if got := s.Info(s.now).FastRecoveries; got != 0 {
		t.Errorf("%d recoveries, want 0", got)
	}
}

// SACK: only the hole is sent again. https://www.rfc-editor.org/rfc/rfc6675.html#section-5
func TestSACKResendsHolesOnly(t *testing.T) {
	s := flight(t, 10, wire.Options{Has: wire.HasSACKPermitted})
	s.in(wire.ACK, 1, 0, 2001)
	s.out()
	s.in(wire.ACK, 1, 0, 2001, sack(3001, 4001))
	s.in(wire.ACK, 1, 0, 2001, sack(3001, 5001))
	s.out()
	s.in(wire.ACK, 1, 0, 2001, sack(3001, 6001))
	s.want("the hole", data(2001, 1000, 1)...)
	s.in(wire.ACK, 1, 0, 2001, sack(3001, 7001))
	for _, line := range s.out() {
		if line[:7] == ". 3001:" || line[:7] == ". 2001:" {
			t.Errorf("sent %q again", line)
		}
	}
	if got := s.Info(s.now); got.Ssthresh != 6000 || got.Recovery != "recovery" {
		t.Errorf("ssthresh %d, %s; want 6000, recovery", got.Ssthresh, got.Recovery)
	}
}

// A block that cannot be true changes nothing: nor can one that holds the octet which its own ACK
// says is missing.
func TestImpossibleSACK(t *testing.T) {
	s := flight(t, 10, wire.Options{Has: wire.HasSACKPermitted})
	for _, bad := range [][2]int{{5001, 4001}, {10001, 90001}, {-5000, -4000}, {5001, 5001}, {1, 5001}, {-500, 5001}} {
		s.in(wire.ACK, 1, 0, 1, sack(bad[0], bad[1]))
	}
	if got := s.Info(s.now).Sacked; got != 0 {
		t.Errorf("%d octets marked, want 0", got)
	}
}

// RFC 6298, section 5: the time-out doubles, the same octets are sent, cwnd is one segment,
// and ssthresh is reduced once.
func TestOracleRetransmissionTimeout(t *testing.T) {
	s := flight(t, 10, wire.Options{})
	wait := 200 * time.Millisecond
	for i := range 5 {
		got := s.wait()
		if i == 0 {
			got += 50 * time.Millisecond // since the segment was sent
			wait = s.Info(s.now).RTO / 2
		}
		if got != wait {
			t.Errorf("time-out %d after %v, want %v", i, got, wait)
		}
		wait *= 2
		s.want("the oldest segment", data(1, 1000, 1)...)
		what := fmt.Sprintf(" after time-out %d of the same segment, 10000 in flight", i+1)
		oracle.Is(t, "O3", "cwnd"+what, 1000, float64(s.View().Cwnd), 0)
		oracle.Is(t, "O3", "ssthresh"+what, 5000, float64(s.Info(s.now).Ssthresh), 0)
	}
	s.in(wire.ACK, 1, 0, 1001)
	s.want("slow start over what was given up", data(1001, 1000, 2)...)
	s.in(wire.ACK, 1, 0, 10001)
	if got := s.Info(s.now).Recovery; got != "open" {
		t.Errorf("mode %s, want open", got)
	}
}

func TestGiveUp(t *testing.T) {
	s := established(t, tcp.Config{Retries: 3}, wire.Options{})
	s.write(10)
	s.want("data", data(1, 10, 1)...)
	for range 3 {
		s.wait()
		s.want("again", data(1, 10, 1)...)
	}
	s.wait()
	s.wantCause(tcp.TimedOut)
	if s.pool.InUse() != 0 {
		t.Error("buffers are kept")
	}
}

func TestUserTimeout(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.SetUserTimeout(s.now, 3*time.Second)
	s.write(10)
	s.out()
	began := s.now
	for s.State() != tcp.StateClosed {
		s.wait()
		s.out()
	}
	s.wantCause(tcp.TimedOut)
	if got := s.now.Sub(began); got != 3*time.Second {
		t.Errorf("gave up after %v, want 3s", got)
	}
}

// Karn: a segment that was sent twice measures nothing without timestamps.
func TestKarn(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	before := s.Info(s.now).RTT
	s.write(10)
	s.out()
	s.wait()
	s.out()
	s.after(time.Millisecond)
	s.in(wire.ACK, 1, 0, 11)
	if got := s.Info(s.now).RTT; got != before {
		t.Errorf("RTT = %v, want %v as before", got, before)
	}
}

// O2: an ACK for each segment doubles the window a round in slow start.
func TestOracleSlowStart(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.win = 65535
	s.write(500_000)
	next := 1
	for _, want := range []int{10, 20, 40} {
		got := s.out()
		if len(got) != want {
			t.Fatalf("%d segments in this round, want %d", len(got), want)
		}
		for range want {
			next += 1000
			s.in(wire.ACK, 1, 0, next)
		}
	}
	oracle.Is(t, "O2", "cwnd after three rounds of slow start, on the wire", 80000, float64(s.View().Cwnd), 0)
}

// O2: from 20000 in avoidance, 20 ACKs of 1000 octets give 21000.
func TestOracleCongestionAvoidance(t *testing.T) {
	s := flight(t, 40, wire.Options{})
	for range 3 {
		s.in(wire.ACK, 1, 0, 1)
	}
	s.out()
	s.in(wire.ACK, 1, 0, 40001)
	s.write(100_000)
	for s.View().Cwnd < 20000 {
		una := int(s.View().UNA-uint32(iss)) & 0xffffffff
		s.out()
		s.in(wire.ACK, 1, 0, una+1000)
	}
	s.wantCwnd("slow start ends", 20000)
	una := int(s.View().UNA - uint32(iss))
	for range 20 {
		s.out()
		una += 1000
		s.in(wire.ACK, 1, 0, una)
	}
	oracle.Is(t, "O2", "cwnd of 20000 after 20 ACKs in avoidance, on the wire", 21000, float64(s.View().Cwnd), 0)
}

// RFC 5681, section 4.1: after an idle time longer than the RTO the window is at most the
// initial one.
func TestRestartAfterIdle(t *testing.T) {
	s := established(t, tcp.Config{Idle: tcp.IdleRestart}, wire.Options{})
	s.write(60_000)
	for next := 1; next <= 60_000; next += 1000 {
		s.out()
		s.in(wire.ACK, 1, 0, next+1000)
	}
	if got := s.View().Cwnd; got <= 10_000 {
		t.Fatalf("cwnd = %d, want it grown", got)
	}
	s.after(10 * time.Second)
	s.write(60_000)
	s.want("the restart window", data(60_001, 1000, 10)...)
}

// O5, driven from outside; the estimator's own table is in rtt_internal_test.go.
func TestRTOAfterEachSample(t *testing.T) {
	ms := time.Millisecond
	s := established(t, tcp.Config{RTOMin: 1}, wire.Options{})
	// The handshake gave the first sample of 100 ms.
	at := 1
	for _, tt := range []struct {
		rtt time.Duration
		rto float64
	}{{120, 272.5}, {80, 249.6875}, {100, 212.539}, {100, 184.644}} {
		s.write(10)
		s.want("data", data(at, 10, 1)...)
		at += 10
		s.after(tt.rtt * ms)
		s.in(wire.ACK, 1, 0, at)
		got := float64(s.Info(s.now).RTO) / float64(ms)
		if diff := got - tt.rto; diff > 0.001 || diff < -0.001 {
			t.Errorf("after a sample of %d ms: RTO = %.4f ms, want %.4f", tt.rtt, got, tt.rto)
		}
	}
}

func TestIdleConnectionHasNoTimer(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	s.write(10)
	s.out()
	s.in(wire.ACK, 1, 0, 11)
	if s.Deadline() != mono.Never || s.pool.InUse() != 0 {
		t.Errorf("deadline %d, %d octets in use; want never, none", s.Deadline(), s.pool.InUse())
	}
}
