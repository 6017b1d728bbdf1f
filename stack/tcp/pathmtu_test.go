package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// path carries segments of at most limit octets of payload, and no word about it; the peer
// behind it acknowledges what comes, by SACK too.
type path struct {
	*script
	limit int
	have  []bool // by octet of the stream
	next  int    // everything before it has come
}

// run plays until the condition holds.
func (p *path) run(until func() bool) {
	p.t.Helper()
	b := make([]byte, 2048)
	for range 20_000 {
		if until() {
			return
		}
		p.send.Write(make([]byte, 100_000))
		last, sent := 0, false
		for n := p.Output(p.now, b); n > 0; n = p.Output(p.now, b) {
			var seg wire.Segment
			if wire.ParseTCP(b[:n], &seg) != nil || len(seg.Payload) > p.limit {
				continue
			}
			last, sent = seg.SEQ.Sub(iss), true
			for i := range seg.Payload {
				p.have[last+i] = true
			}
		}
		p.now = p.now.Add(10 * time.Millisecond)
		if !sent {
			p.wait()
			continue
		}
		for p.have[p.next] {
			p.next++
		}
		if last < p.next {
			p.in(wire.ACK, 1, 0, p.next)
			continue
		}
		end := last
		for p.have[end] {
			end++
		}
		for last > p.next && p.have[last-1] {
			last--
		}
		p.in(wire.ACK, 1, 0, p.next, sack(last, end))
	}
	p.t.Fatalf("no progress: %d acknowledged, MSS %d", p.next, p.Info(p.now).SendMSS)
}

// hole is a connection of which nothing larger than limit gets through, and nobody says so.
func hole(t *testing.T, limit int, o wire.OptionSet) *path {
	t.Helper()
	s := server(t, tcp.Config{}, wire.Options{Has: wire.HasMSS | o, MSS: 1460})
	s.out()
	s.in(wire.ACK, 1, 0, 1)
	return &path{script: s, limit: limit, have: make([]bool, 8<<20), next: 1}
}

// wantMSS: the search has come within its step of limit, and stays there without a recovery.
func (p *path) wantMSS(limit int) {
	p.t.Helper()
	p.run(func() bool { return p.Info(p.now).SendMSS >= limit-32 })
	before, acked := p.Info(p.now).FastRecoveries, p.Info(p.now).OctetsAcked
	p.run(func() bool { return p.Info(p.now).OctetsAcked > acked+1_000_000 })
	if got := p.Info(p.now); got.SendMSS > limit || got.FastRecoveries != before {
		p.t.Errorf("MSS %d, %d recoveries; want at most %d and none: a probe's loss is no congestion",
			got.SendMSS, got.FastRecoveries-before, limit)
	}
}

// RFC 4821, section 7.7: segments of full size vanish, smaller ones pass, and no ICMP tells.
func TestBlackHole(t *testing.T) {
	p := hole(t, 1100, wire.HasSACKPermitted)
	p.run(func() bool { return p.Info(p.now).OctetsAcked > 5_000 })
	if p.stats.TCPMTUPFail == 0 {
		t.Error("the black hole was not counted")
	}
	p.wantMSS(1100)
	if p.Events()&tcp.PathFound == 0 || p.PathMSS() > 1100 {
		t.Errorf("the path is said to carry %d", p.PathMSS())
	}
	// After ten minutes it searches again.
	p.limit = 1300
	p.now = p.now.Add(10 * time.Minute)
	p.wantMSS(1300)
}

// Section 7.2: below the base there is the default MSS, and less.
func TestNarrowHole(t *testing.T) {
	for _, limit := range []int{536, 300} {
		p := hole(t, limit, wire.HasSACKPermitted)
		p.run(func() bool { return p.Info(p.now).OctetsAcked > 5_000 })
		p.wantMSS(limit)
	}
	// As small as a link may be, and no smaller.
	p := hole(t, 100, wire.HasSACKPermitted)
	p.send.Write(make([]byte, 100_000))
	for p.out(); p.Info(p.now).Retransmits < 14; p.out() {
		p.wait()
	}
	if got := p.Info(p.now).SendMSS; got != 256 {
		t.Errorf("MSS = %d, want 256", got)
	}
}

// What looked like a black hole was an outage: the size that was in use is back as soon as
// data flows, whether the peer has SACK or not.
func TestOutage(t *testing.T) {
	for _, o := range []wire.OptionSet{wire.HasSACKPermitted, 0} {
		p := hole(t, 2000, o)
		p.run(func() bool { return p.Info(p.now).OctetsAcked > 50_000 })
		p.limit = 0
		p.send.Write(make([]byte, 100_000))
		for p.out(); p.Info(p.now).Retransmits < 6; p.out() {
			p.wait()
		}
		if got := p.Info(p.now).SendMSS; got != 536 {
			t.Errorf("MSS = %d in the outage, want 536", got)
		}
		p.limit = 2000
		acked := p.Info(p.now).OctetsAcked
		p.run(func() bool { return p.Info(p.now).SendMSS == 1460 })
		if got := p.Info(p.now).OctetsAcked - acked; got > 200_000 {
			t.Errorf("it took %d octets to find out", got)
		}
	}
}
