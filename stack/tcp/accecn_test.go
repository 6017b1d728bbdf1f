package tcp_test

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// marking is a transfer over a path that marks one packet of seven and loses acks of the ACKs.
// It returns what arrived marked, and the ends.
func marking(t *testing.T, seed uint64, acks float64, ca, cb tcp.Config) (marked int, p *pair) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	p = newPair(t, ca, cb, 1<<17)
	p.drop = func(from *end, n int, seg *wire.Segment) bool {
		return from == p.b && len(seg.Payload) == 0 && n > 2 && r.Float64() < acks
	}
	p.mark = func(from *end, _ int, seg *wire.Segment) bool {
		mark := from == p.a && r.IntN(7) == 0
		if mark {
			marked += len(seg.Payload)
		}
		return mark
	}
	p.transfer(p.a, p.b, pattern(2_000_000))
	return marked, p
}

// RFC 9768, section 3.2.3: with the option the sender knows to the octet what was marked, though
// ACKs are lost; the counter of packets alone is about right.
func TestAccECNOption(t *testing.T) {
	for seed := range uint64(20) {
		acks := 0.02 * float64(seed%8)
		accurate := tcp.Config{ECN: tcp.ECNAccurate, NoTimestamps: seed%2 == 0}
		marked, p := marking(t, seed, acks, accurate, tcp.Config{})
		got := int(p.a.Info(p.now).Marked)
		if p.a.stats.TCPAccECNOptions == 0 || marked == 0 || got != marked || p.b.stats.TCPAccECNOptionLost > 0 {
			t.Errorf("seed %d: %d octets are said to be marked, %d were; %d options", seed, got, marked, p.a.stats.TCPAccECNOptions)
		}
		// What one end does not know of, the other does without.
		marked, p = marking(t, seed, acks, accurate, tcp.Config{NoECNOption: true})
		got = int(p.a.Info(p.now).Marked)
		if p.a.stats.TCPAccECNOptions != 0 || got < marked*3/4 || got > marked*3/2 {
			t.Errorf("seed %d: without the option %d octets are said to be marked, %d were", seed, got, marked)
		}
	}
}

// A path that removes the option, or zeroes it, costs its precision and nothing else.
func TestAccECNOptionSpoilt(t *testing.T) {
	for _, zero := range []bool{false, true} {
		s := ecnServer(t, tcp.ECNPassive, ae|cw|ec, 0)
		s.out()
		o := wire.Options{Has: wire.HasAccECN, AccECN: wire.AccECN{Fields: 3, E0B: 1, E1B: 1}}
		if zero {
			o.AccECN.E0B = 0
		}
		s.marked(wire.ECNECT0, ack|cw, 1, 0, 1, o)
		for i := range 6 {
			s.marked(wire.ECNECT0, ack|ae|ec, 1, 100, 1)
			s.out()
			if spoilt := s.stats.TCPAccECNOptionBad+s.stats.TCPAccECNOptionLost > 0; spoilt != (zero || i >= 4) {
				t.Errorf("zero %v: after %d times the same segment, spoilt = %v", zero, i+1, spoilt)
			}
		}
		s.marked(wire.ECNCE, ack|ae|ec, 101, 100, 1)
		s.wantFlags("the counter goes on", ack|ae|cw, wire.ECNNotECT)
	}
}

// A report of more than was ever sent is the peer's to lie about; it harms its own rate alone.
func TestAccECNOptionLies(t *testing.T) {
	s := ecnServer(t, tcp.ECNPassive, ae|cw|ec, 0)
	s.out()
	s.in(ack|cw, 1, 0, 1)
	s.write(30_000)
	s.out()
	for i, ceb := range []uint32{1<<23 - 1, 1<<24 - 2, 5} {
		o := wire.Options{Has: wire.HasAccECN, AccECN: wire.AccECN{Fields: 3, E0B: 1, E1B: 1, CEB: ceb}}
		s.marked(wire.ECNNotECT, ack|ae|ec, 1, 0, 1+1000*(i+1), o)
	}
	if got := s.Info(s.now); got.Cwnd < 2000 {
		t.Errorf("cwnd = %d, want at least two segments", got.Cwnd)
	}
}
