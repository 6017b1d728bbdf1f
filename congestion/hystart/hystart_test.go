package hystart_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/hystart"
	"github.com/millrace-tcp/millrace/internal/oracle"
)

const ms = time.Millisecond

// sender is a flow in slow start with HyStart++.
type sender struct {
	congestion.Flow
	hystart.HyStart
}

func newSender() *sender {
	s := &sender{Flow: congestion.Flow{MSS: 1000, IW: 10_000}}
	s.SetCwnd(10_000)
	s.SetSsthresh(congestion.SsthreshMax)
	return s
}

// round acknowledges samples segments of a round, each with this round trip, and returns what
// was added.
func (s *sender) round(rtt time.Duration, samples int) int {
	before := s.Cwnd()
	for i := range samples {
		s.OnAck(&s.Flow, &congestion.Ack{CumAcked: 1000, RTT: rtt, RoundStart: i == 0, CwndLimited: true})
	}
	return s.Cwnd() - before
}

// O10: with a base of 20, 100 and 200 ms a round whose lowest RTT is 24, 112.5 and 216 ms ends
// slow start, and one of a microsecond less does not.
func TestOracleExit(t *testing.T) {
	for _, tt := range []struct{ base, exit time.Duration }{
		{20 * ms, 24 * ms}, {100 * ms, 112500 * time.Microsecond}, {200 * ms, 216 * ms},
	} {
		exit := tt.base + hystart.Threshold(tt.base)
		oracle.Is(t, "O10", fmt.Sprintf("exit (ms), base %v", tt.base), tt.exit.Seconds()*1e3, exit.Seconds()*1e3, 0)
		for rtt, want := range map[time.Duration]bool{tt.exit: true, tt.exit - time.Microsecond: false} {
			s := newSender()
			s.round(tt.base, 10)
			s.round(rtt, 10)
			if s.Conservative() != want {
				t.Errorf("base %v, then %v: conservative is %v, want %v", tt.base, rtt, s.Conservative(), want)
			}
		}
	}
}

// "currentRoundMinRTT" counts from N_RTT_SAMPLE = 8 samples on.
func TestSevenSamplesAreNotEnough(t *testing.T) {
	s := newSender()
	s.round(20*ms, 10)
	s.round(200*ms, 7)
	if s.Conservative() {
		t.Error("slow start ended after 7 samples")
	}
	s.OnAck(&s.Flow, &congestion.Ack{CumAcked: 1000, RTT: 200 * ms, CwndLimited: true})
	if !s.Conservative() {
		t.Error("slow start goes on after 8 samples")
	}
}

// Conservative Slow Start adds a quarter, for five rounds; then ssthresh is cwnd.
func TestOracleConservative(t *testing.T) {
	s := newSender()
	s.round(20*ms, 10)
	s.round(30*ms, 10)
	for i := range 4 {
		got := float64(s.round(30*ms, 20))
		oracle.Is(t, "O10", fmt.Sprintf("growth by 20 ACKs in round %d of Conservative Slow Start", i+1), 20*1000/4, got, 0)
		if !s.InSlowStart() {
			t.Fatalf("slow start is over after %d rounds", i+1)
		}
	}
	s.round(30*ms, 1) // which completes the fifth
	if s.InSlowStart() || s.Conservative() {
		t.Errorf("cwnd %d, ssthresh %d after five rounds, want slow start to be over", s.Cwnd(), s.Ssthresh())
	}
}

// A lower round trip than the one that ended slow start means that it ended by mistake.
func TestOracleResume(t *testing.T) {
	s := newSender()
	s.round(20*ms, 10)
	s.round(30*ms, 10)
	s.round(30*ms-1, 10)
	if s.Conservative() {
		t.Error("slow start does not resume")
	}
	oracle.Is(t, "O10", "growth by 10 ACKs after slow start resumed", 10_000, float64(s.round(20*ms, 10)), 0)
}

// L is 8 segments an ACK, and without limit for a sender that is paced.
func TestOracleLimit(t *testing.T) {
	for _, tt := range []struct {
		pacing int64
		want   int
	}{{0, 8000}, {1e6, 20_000}} {
		s := newSender()
		s.SetPacing(tt.pacing)
		s.OnAck(&s.Flow, &congestion.Ack{CumAcked: 20_000, RTT: 20 * ms, CwndLimited: true})
		what := fmt.Sprintf("growth by an ACK of 20 segments, pacing at %d", tt.pacing)
		oracle.Is(t, "O10", what, float64(tt.want), float64(s.Cwnd()-10_000), 0)
	}
}

// After the initial slow start there is no looking at delays.
func TestStop(t *testing.T) {
	s := newSender()
	s.Stop()
	s.round(20*ms, 10)
	s.round(200*ms, 10)
	if s.Conservative() {
		t.Error("it looks at delays after it was stopped")
	}
	if got := s.round(200*ms, 10); got != 10_000 {
		t.Errorf("ten ACKs add %d octets, want 10000", got)
	}
}

// What the application leaves unused does not grow.
func TestNoGrowthWithoutNeed(t *testing.T) {
	s := newSender()
	s.OnAck(&s.Flow, &congestion.Ack{CumAcked: 1000, RTT: 20 * ms})
	if s.Cwnd() != 10_000 {
		t.Errorf("cwnd = %d, want 10000", s.Cwnd())
	}
}
