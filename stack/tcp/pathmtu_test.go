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

// RFC 4821, section 7.7: segments of full size vanish, smaller ones pass, and no ICMP tells.
func TestBlackHole(t *testing.T) {
	s := server(t, tcp.Config{}, wire.Options{Has: wire.HasMSS | wire.HasSACKPermitted, MSS: 1460})
	s.out()
	s.in(wire.ACK, 1, 0, 1)
	p := &path{script: s, limit: 1100, have: make([]bool, 8<<20), next: 1}
	p.run(func() bool { return s.Info(s.now).OctetsAcked > 50_000 })
	if got := s.Info(s.now).SendMSS; got != 1024 {
		t.Errorf("MSS = %d, want 1024", got)
	}
	if s.stats.TCPMTUPFail == 0 {
		t.Error("the black hole was not counted")
	}
	// After ten minutes it searches, and finds the size to within 32 octets.
	s.now = s.now.Add(10 * time.Minute)
	p.limit = 1300
	p.run(func() bool { return s.Info(s.now).SendMSS > 1300-32 })
	before := s.Info(s.now).FastRecoveries
	p.run(func() bool { return s.Info(s.now).OctetsAcked > 5_000_000 })
	if got := s.Info(s.now); got.SendMSS > 1300 || got.FastRecoveries != before {
		t.Errorf("MSS %d, %d recoveries; want at most 1300 and none: a probe's loss is no congestion",
			got.SendMSS, got.FastRecoveries-before)
	}
}
