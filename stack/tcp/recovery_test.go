package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

var sackOK = wire.Options{Has: wire.HasSACKPermitted}

// O8: 20 segments outstanding, the first lost, limited transmit, ssthresh 10.
// https://www.rfc-editor.org/rfc/rfc9937.html
func TestPRR(t *testing.T) {
	s := flight(t, 20, sackOK)
	segments := "NNRxNxNxNxNxNxNxNxx"
	next := 20001
	for i, want := range segments {
		s.in(wire.ACK, 1, 0, 1, sack(1001, 2001+1000*i))
		switch want {
		case 'N':
			s.want("new data", data(next, 1000, 1)...)
			next += 1000
		case 'R':
			s.want("the hole", data(1, 1000, 1)...)
		case 'x':
			s.want("nothing")
		}
	}
	if got := s.Info(s.now).Ssthresh; got != 10000 {
		t.Errorf("ssthresh = %d, want 10000", got)
	}
	s.in(wire.ACK, 1, 0, next)
	if got := s.Info(s.now); got.Recovery != "open" || got.Cwnd != 10000 {
		t.Errorf("%s with cwnd %d after recovery, want open, 10000", got.Recovery, got.Cwnd)
	}
}

// RFC 8985, section 6.2: a segment that is overtaken by less than the reordering window is not
// taken for lost once reordering was seen.
func TestRACKToleratesReordering(t *testing.T) {
	s := flight(t, 10, sackOK)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 2001)) // the first was overtaken
	s.in(wire.ACK, 1, 0, 2001)                // and has come
	s.out()
	s.after(50 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 2001, sack(3001, 6001))
	for _, line := range s.out() {
		if line == data(2001, 1000, 1)[0] {
			t.Fatalf("sent %q within the reordering window", line)
		}
	}
	if got := s.Info(s.now).FastRecoveries; got != 0 {
		t.Fatalf("%d recoveries, want none yet", got)
	}
	// min_RTT/4 after the RTT of what overtook it, the timer gives it up.
	for s.Info(s.now).FastRecoveries == 0 {
		if d := s.wait(); d > 60*time.Millisecond {
			t.Fatalf("the reordering timer took %v", d)
		}
		s.out()
	}
}

// Reordering that shows only after a segment was given up is reordering as well: the window for
// it, which is 0 until then, must open. Without timestamps a DSACK tells, with them the echo of
// a time before the retransmission.
func TestRACKSeesReorderingTooLate(t *testing.T) {
	for _, tt := range []struct {
		name string
		ts   bool
		tell func(s *script, sentAt uint32)
		want bool
	}{
		{"by DSACK", false, func(s *script, _ uint32) {
			s.in(wire.ACK, 1, 0, 4001)
			s.in(wire.ACK, 1, 0, 4001, sack(1, 1001))
		}, true},
		{"by echo", true, func(s *script, sentAt uint32) {
			s.in(wire.ACK, 1, 0, 4*988+1, withTS(wire.Options{}, 3, sentAt))
		}, true},
		{"none", false, func(s *script, _ uint32) { s.in(wire.ACK, 1, 0, 4001) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, n := sackOK, 1000
			if tt.ts {
				o, n = withTS(sackOK, 1, 0), 988
			}
			s := established(t, tcp.Config{InitialWindow: 10}, o)
			report := func(from, to, ack int) {
				o := sack(from*n+1, to*n+1)
				if tt.ts {
					o = withTS(o, 2, uint32(s.now/1e6)-100)
				}
				s.in(wire.ACK, 1, 0, ack*n+1, o)
			}
			s.write(40 * n)
			s.out()
			sentAt := uint32(s.now / 1e6)
			s.after(100 * time.Millisecond)
			report(1, 4, 0)
			s.out()
			if got := s.Info(s.now).SegmentsRetransmitted; got != 1 {
				t.Fatalf("%d segments sent again, want the first, which three have overtaken", got)
			}
			s.after(20 * time.Millisecond)
			tt.tell(s, sentAt)
			s.out()
			s.after(80 * time.Millisecond)
			s.in(wire.ACK, 1, 0, 10*n+1) // and the rest in order
			s.out()
			was := s.Info(s.now).SegmentsRetransmitted
			s.after(100 * time.Millisecond)
			report(11, 14, 10)
			s.out()
			if waits := s.Info(s.now).SegmentsRetransmitted == was; waits != tt.want {
				t.Errorf("waits for what three have overtaken: %v, want %v", waits, tt.want)
			}
		})
	}
}

// What was sent again and lost again is found without a time-out (RFC 8985, section 3.2).
func TestLostRetransmission(t *testing.T) {
	s := flight(t, 10, sackOK)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	got := s.out()
	if len(got) == 0 || got[0] != "P"+data(1, 1000, 1)[0]+" win 65535" && got[0][:9] != ". 1:1001(" {
		t.Fatalf("got %q, want the hole first", got)
	}
	s.after(60 * time.Millisecond)
	// More of the flight, and what was sent after the retransmission, is reported.
	s.in(wire.ACK, 1, 0, 1, sack(1001, 10001))
	s.out()
	s.after(60 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 12001))
	again := s.out()
	if len(again) == 0 || again[0][:9] != ". 1:1001(" {
		t.Fatalf("got %q, want the lost retransmission first", again)
	}
	if got := s.Info(s.now).Timeouts; got != 0 {
		t.Errorf("%d time-outs, want 0", got)
	}
}

// RFC 8985, section 7: the last segment lost costs a probe, not a time-out.
func TestTailLossProbe(t *testing.T) {
	s := established(t, tcp.Config{}, sackOK)
	s.write(3000)
	s.want("data", data(1, 1000, 3)...)
	s.after(100 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 2001)
	rto := s.Info(s.now).RTO
	if got := s.wait(); got >= rto {
		t.Errorf("the probe came after %v, not before the RTO of %v", got, rto)
	}
	s.want("the last segment again", data(2001, 1000, 1)...)
	s.in(wire.ACK, 1, 0, 3001)
	if s.Info(s.now).Timeouts != 0 {
		t.Error("a time-out")
	}
}

func TestTailLossProbeSendsNewData(t *testing.T) {
	s := established(t, tcp.Config{InitialWindow: 3}, sackOK)
	s.write(5000)
	s.want("the window", data(1, 1000, 3)...)
	s.wait()
	s.want("one new segment beyond the window", data(3001, 1000, 1)...)
}

// RFC 8985, section 7.4: a probe that repaired a loss reduces the window; one in vain does not.
func TestProbeThatRepairedALoss(t *testing.T) {
	for _, tt := range []struct {
		name    string
		dsack   bool
		reduced bool
	}{{"repaired", false, true}, {"in vain", true, false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := established(t, tcp.Config{}, sackOK)
			s.write(4000)
			s.out()
			s.after(50 * time.Millisecond)
			s.in(wire.ACK, 1, 0, 3001)
			s.wait()
			s.want("the probe", data(3001, 1000, 1)...)
			s.write(1000)
			s.out()
			if tt.dsack {
				s.in(wire.ACK, 1, 0, 4001, sack(3001, 4001))
			}
			s.in(wire.ACK, 1, 0, 5001)
			if got := s.Info(s.now).Ssthresh < 1_000_000; got != tt.reduced {
				t.Errorf("ssthresh reduced: %v, want %v", got, tt.reduced)
			}
		})
	}
}

func withTS(o wire.Options, val, ecr uint32) wire.Options {
	o.Has |= wire.HasTimestamps
	o.TSVal, o.TSEcr = val, ecr
	return o
}

// RFC 3522 and 4015: an ACK that echoes a time before the retransmission shows that the
// original had arrived; the reduction is taken back.
func TestEifelUndoesATimeout(t *testing.T) {
	s := established(t, tcp.Config{InitialWindow: 10}, withTS(wire.Options{}, 1, 0))
	s.write(20_000)
	s.out()
	sentAt := uint32(s.now / 1e6)
	s.wait()
	s.out()
	if got := s.View().Cwnd; got != s.Info(s.now).SendMSS {
		t.Fatalf("cwnd = %d after the time-out", got)
	}
	s.after(30 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 989, withTS(wire.Options{}, 2, sentAt))
	i := s.Info(s.now)
	if i.Undone != 1 || i.Cwnd < 9880 || i.Recovery != "open" || i.LostOctets != 0 {
		t.Errorf("undone %d, cwnd %d, %s, lost %d; want the window of before", i.Undone, i.Cwnd, i.Recovery, i.LostOctets)
	}
}

// RFC 3708: a DSACK for every retransmission shows that the recovery was needless.
func TestDSACKUndoesARecovery(t *testing.T) {
	s := flight(t, 10, sackOK)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	s.out()
	if s.Info(s.now).FastRecoveries != 1 {
		t.Fatal("no recovery")
	}
	s.in(wire.ACK, 1, 0, 4001)                // the original of the first arrived late
	s.in(wire.ACK, 1, 0, 4001, sack(1, 1001)) // and then the retransmission
	i := s.Info(s.now)
	if i.Undone != 1 || i.Cwnd < 10_000 {
		t.Errorf("undone %d, cwnd %d; want 1, at least 10000", i.Undone, i.Cwnd)
	}
}

// A receiver that got several segments twice before it sent an ACK tells of them in one block, as
// Linux does: each counts.
func TestOneDSACKOfSeveralSegments(t *testing.T) {
	s := flight(t, 10, sackOK)
	for end := 6001; end <= 10_001; end += 2000 { // the first three are given up
		s.in(wire.ACK, 1, 0, 1, sack(3001, end))
		s.out()
	}
	s.after(20 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 10_001)
	s.out()
	if got := s.Info(s.now).SegmentsRetransmitted; got < 2 {
		t.Fatalf("%d segments sent again, want more", got)
	}
	s.in(wire.ACK, 1, 0, 10_001, sack(1, 1+1000*int(s.Info(s.now).SegmentsRetransmitted)))
	if i := s.Info(s.now); i.Undone != 1 || i.DSACKs != i.SegmentsRetransmitted {
		t.Errorf("undone %d, %d DSACKs; want 1, %d", i.Undone, i.DSACKs, i.SegmentsRetransmitted)
	}
}

// The other way round: two segments that came twice in one batch, next to each other, are told of
// in one block.
func TestDSACKTellsOfABatch(t *testing.T) {
	s := established(t, tcp.Config{}, sackOK)
	s.in(wire.ACK, 1, 3000, 1)
	s.out()
	s.in(wire.ACK, 1001, 1000, 1)
	s.in(wire.ACK, 1, 1000, 1)
	s.want("both", ". 1:1(0) ack 3001 win 62535 <nop,nop,sack 1:2001>", ". 1:1(0) ack 3001")
}

// RFC 5682: without timestamps, an ACK of what was never sent again shows that the time-out
// was spurious.
func TestFRTO(t *testing.T) {
	s := flight(t, 10, sackOK)
	for s.Info(s.now).Timeouts == 0 {
		s.wait()
		if s.Info(s.now).Timeouts == 0 {
			s.out() // the tail loss probe
		}
	}
	s.want("the oldest segment", data(1, 1000, 1)...)
	s.after(20 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1001)
	for _, line := range s.out() {
		if line < data(10001, 1000, 1)[0] && line[:8] == ". 1001:2" {
			t.Errorf("sent %q again before the test was over", line)
		}
	}
	s.in(wire.ACK, 1, 0, 3001)
	if i := s.Info(s.now); i.Undone != 1 || i.Recovery != "open" || i.Cwnd < 10_000 {
		t.Errorf("undone %d, %s, cwnd %d; want 1, open, at least 10000", i.Undone, i.Recovery, i.Cwnd)
	}
}

// RFC 5682, section 3.1: the answer to the first retransmission decides nothing before SND.UNA
// moves. What is reported by SACK alone came after a hole, which may be a loss.
func TestFRTOWaitsForTheHole(t *testing.T) {
	s := established(t, tcp.Config{InitialWindow: 4, NoTLP: true}, sackOK)
	s.write(4000)
	s.out()
	for s.Info(s.now).Timeouts == 0 {
		s.wait()
	}
	s.want("the oldest segment", data(1, 1000, 1)...)
	s.after(20 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 2001))
	if i := s.Info(s.now); i.Undone != 0 || i.Recovery != "loss" {
		t.Errorf("undone %d, %s; want 0, loss: the first segment is missing", i.Undone, i.Recovery)
	}
}

// RFC 4015, section 3.2: an episode is taken back for what proved spurious. Another segment of
// the same flight that is found lost later must reduce the window as any loss does.
func TestLossAfterUndoReduces(t *testing.T) {
	s := established(t, tcp.Config{InitialWindow: 10}, withTS(sackOK, 1, 0))
	s.write(40 * 988)
	s.out()
	sentAt := uint32(s.now / 1e6)
	s.after(100 * time.Millisecond)
	report := func(ack, from, to int) {
		s.in(wire.ACK, 1, 0, ack*988+1, withTS(sack(from*988+1, to*988+1), 2, sentAt))
	}
	report(0, 1, 4)
	s.out()
	s.after(20 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 4*988+1, withTS(wire.Options{}, 2, sentAt)) // the first was only late
	if got := s.Info(s.now).Undone; got != 1 {
		t.Fatalf("undone %d, want 1", got)
	}
	s.out()
	report(4, 5, 10) // the fifth is missing
	for s.Info(s.now).FastRecoveries < 2 {
		if d := s.wait(); d > 100*time.Millisecond {
			t.Fatal("the lost segment began no episode")
		}
		s.out()
	}
	if got := s.Info(s.now).Ssthresh; got > 10*988 {
		t.Errorf("ssthresh = %d after a loss", got)
	}
}

// Every choice of detector and governor delivers everything.
func TestDetectorsAndGovernorsDeliver(t *testing.T) {
	for d := tcp.DetectRACK; d <= tcp.DetectDupACK; d++ {
		for g := tcp.GovernPRR; g <= tcp.GovernPipe; g++ {
			cfg := tcp.Config{Detector: d, Governor: g}
			p := newPair(t, cfg, cfg, 1<<16)
			p.drop = func(_ *end, n int, _ *wire.Segment) bool { return n%23 == 11 }
			p.transfer(p.a, p.b, pattern(300_000))
		}
	}
}
