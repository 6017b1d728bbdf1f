package engine

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// forge hands h a frame as if from the far end of c: what somebody sends who knows addresses
// and ports, and nothing else.
func (h *host) forge(p *pair, c *Conn, s wire.Segment) {
	h.t.Helper()
	tmpl, err := wire.NewTemplate(wire.TemplateConfig{
		Src: c.RemoteAddr().Addr(), Dst: c.LocalAddr().Addr(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	s.SrcPort, s.DstPort = c.RemoteAddr().Port(), c.LocalAddr().Port()
	var b [1600]byte
	n := wire.PutTCP(b[tmpl.Len():], &s)
	n += copy(b[tmpl.Len()+n:], s.Payload)
	tmpl.Put(b[:], n, 0)
	tmpl.Finish(b[:tmpl.Len()+n])
	h.e.in.frame, h.e.in.rest = b[:tmpl.Len()+n], nil
	h.e.frameIn(p.now, nil)
}

// TestBlindAttacks: 10,000 each of RST, SYN, FIN, data and timestamps from the future, at both
// ends of a transfer, with and without timestamps of its own. "An off-path attacker" knows the ports, and guesses
// sequence and acknowledgment numbers. https://www.rfc-editor.org/rfc/rfc5961.html
func TestBlindAttacks(t *testing.T) {
	guesses := 10_000
	if underRace {
		guesses = 500 // it looks at every access: this is about sequence numbers
	}
	for _, bare := range []bool{false, true} {
		p := newPair(t, Config{TCP: tcp.Config{NoTimestamps: bare}}, pipe.Config{})
		p.b.listen(80)
		a, b := p.connect(80)
		rng := rand.New(rand.NewPCG(1, 2))
		data := make([]byte, 8<<20)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		attack := func(h *host, c *Conn, i int) {
			info := c.TCP().Info(p.now)
			if info.RecvWindow < 2 {
				return
			}
			s := wire.Segment{SEQ: seq.Num(c.TCP().View().RcvNXT).Add(1 + rng.IntN(info.RecvWindow-1)), WND: 1000}
			switch i % 5 {
			case 0:
				s.Flags = wire.RST
			case 1:
				s.Flags = wire.SYN
			case 2:
				s.Flags, s.ACK = wire.ACK|wire.FIN, seq.Num(rng.Uint32())
			case 3:
				s.Flags, s.ACK = wire.ACK, seq.Num(rng.Uint32())
				s.Payload = []byte("injected")
			case 4: // a timestamp that would make all later ones old, outside of the window
				s.Flags, s.ACK = wire.ACK, seq.Num(rng.Uint32())
				s.SEQ = s.SEQ.Add(-rng.IntN(1 << 30))
			}
			if i%2 == 0 || i%5 == 4 {
				s.Opt = stamp(rng.Uint32(), rng.Uint32())
			}
			h.forge(p, c, s)
		}
		var got [2][]byte
		buf := make([]byte, 1<<16)
		sent := [2]int{}
		for i := 0; len(got[0]) < len(data) || len(got[1]) < len(data) || i < 5*guesses; i++ {
			for w, way := range [2][2]*Conn{{a, b}, {b, a}} {
				sent[w] += way[0].Send().Write(data[sent[w]:min(len(data), sent[w]+1000)])
				way[0].PostWrite()
				n := way[1].Recv().Read(buf)
				got[w] = append(got[w], buf[:n]...)
				if way[1].Recv().UpdateDue() {
					way[1].PostRead()
				}
			}
			if i < 5*guesses {
				attack(p.a, a, i)
				attack(p.b, b, i)
			}
			p.now += 20_000
			p.a.e.Step(p.now)
			p.b.e.Step(p.now)
			if a.Status().Gone() || b.Status().Gone() {
				t.Fatalf("after %d guesses: %v and %v", i, a.Status().Cause(), b.Status().Cause())
			}
		}
		if !bytes.Equal(got[0], data) || !bytes.Equal(got[1], data) {
			t.Error("what arrived is not what was sent")
		}
		s := p.b.e.Stats().TCP
		if s.TCPChallengeACK == 0 || s.TCPSYNChallenge == 0 || s.TCPAckTooNew+s.TCPAckTooOld == 0 {
			t.Errorf("the attack missed: %+v", s)
		}
		t.Logf("bare %v: challenged %d RST, %d SYN, %d ACKs; skipped %d; data not believed %d", bare,
			s.TCPChallengeACK, s.TCPSYNChallenge, s.TCPAckTooNew+s.TCPAckTooOld, s.TCPACKSkippedChallenge, s.TCPGuessedData)
	}
}

// TestSYNFlood: 200,000 SYNs from forged addresses in two seconds, and 100 true connections a
// second among them. All of these succeed, and memory is bounded.
func TestSYNFlood(t *testing.T) {
	const every = 1000
	spoofed := 200_000
	if underRace {
		spoofed = 20_000
	}
	p := newPair(t, Config{}, pipe.Config{})
	p.b.listen(80)
	rng := rand.New(rand.NewPCG(3, 4))
	var dialled []*Conn
	before := heapInUse()
	for i := range spoofed {
		src := netip.AddrFrom4([4]byte{10, byte(1 + rng.IntN(200)), byte(rng.Uint32()), byte(rng.Uint32())})
		flood := &Conn{key: keyOf(netip.AddrPortFrom(p.b.addr, 80), netip.AddrPortFrom(src, uint16(1+rng.IntN(65535))))}
		p.b.forge(p, flood, wire.Segment{SEQ: seq.Num(rng.Uint32()), Flags: wire.SYN, WND: 1000, Opt: allOptions(1460, 7, rng.Uint32())})
		p.now += 10_000
		if i%every == 0 {
			dialled = append(dialled, p.dial(80))
		}
		if i%16 == 0 {
			p.a.e.Step(p.now)
			p.b.e.Step(p.now)
		}
	}
	used := heapInUse() - before
	p.run(3 * time.Second)
	open := 0
	for _, c := range dialled {
		if c.Status().State() == tcp.StateEstablished {
			open++
		}
	}
	s := p.b.e.Stats()
	if 100*open < 99*len(dialled) || len(p.b.accepted) < open || s.SyncookiesRecv == 0 {
		t.Errorf("%d of %d true connections opened, want 99 %%", open, len(dialled))
	}
	if s.HalfOpen > BacklogDefault || used > 16<<20 {
		t.Errorf("%d half open, %d octets in use, want at most %d and 16 MiB", s.HalfOpen, used, BacklogDefault)
	}
	t.Logf("%d of %d opened; %d half open, %d cookies sent, %d came back, %d KiB in use",
		open, len(dialled), s.HalfOpen, s.SyncookiesSent, s.SyncookiesRecv, used>>10)
	p.run(3 * time.Minute)
	if s := p.b.e.Stats(); s.HalfOpen != 0 {
		t.Errorf("3 minutes later %d are still half open", s.HalfOpen)
	}
}

// heapInUse is what is reachable.
func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestChallengeLimitIsDrawn: how many challenge ACKs a worker sends in a second differs from
// second to second, so that it tells a third party nothing.
func TestChallengeLimitIsDrawn(t *testing.T) {
	p := newPair(t, Config{}, pipe.Config{})
	p.b.listen(80)
	var conns []*Conn
	for range 200 {
		_, b := p.connect(80)
		conns = append(conns, b)
	}
	seen := make(map[uint64]bool)
	for range 5 {
		p.run(2 * time.Second)
		before := p.b.e.Stats().TXFrames
		for i := range 4000 {
			c := conns[i%len(conns)]
			p.b.forge(p, c, wire.Segment{SEQ: seq.Num(c.TCP().View().RcvNXT).Add(7), Flags: wire.SYN})
			p.b.e.Step(p.now)
			p.a.e.Step(p.now)
		}
		sent := p.b.e.Stats().TXFrames - before
		if sent < 500 || sent > 1500 {
			t.Errorf("sent %d challenge ACKs in a second, want 500 to 1500", sent)
		}
		seen[sent] = true
		p.step()
	}
	if len(seen) < 3 {
		t.Errorf("the limit is always the same: %v", seen)
	}
}

// TestOrphansMax: beyond the limit the oldest of the closed connections is reset.
func TestOrphansMax(t *testing.T) {
	p := newPair(t, Config{OrphansMax: 3}, pipe.Config{})
	p.b.listen(80)
	var conns []*Conn
	for range 5 {
		a, _ := p.connect(80)
		conns = append(conns, a)
	}
	for i, c := range conns {
		c.PostClose() // the peer's application never closes: FIN-WAIT-2
		p.run(time.Millisecond)
		if got := p.a.e.Stats().Orphans; got != min(i+1, 3) {
			t.Errorf("%d orphans after %d were closed, want %d", got, i+1, min(i+1, 3))
		}
	}
	for i, c := range conns {
		if gone := c.Status().Gone(); gone != (i < 2) {
			t.Errorf("connection %d: gone %v", i, gone)
		}
	}
	if got := p.a.e.Stats().TCPAbortOnMemory; got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	p.run(2 * time.Minute)
	if s := p.a.e.Stats(); s.Orphans != 0 || s.Conns != 0 {
		t.Errorf("%d orphans are left, %d connections", s.Orphans, s.Conns)
	}
}

// TestClosedWindow: a peer that takes nothing from a connection that was closed, or a few
// octets, loses it; one whose application still has it open keeps it.
func TestClosedWindow(t *testing.T) {
	for _, closes := range []bool{true, false} {
		p := newPair(t, Config{RecvBuffer: 10_000, RecvMax: 10_000}, pipe.Config{})
		p.b.listen(80)
		a, b := p.connect(80)
		a.Send().Write(make([]byte, 100_000))
		a.PostWrite()
		p.run(time.Second)
		if closes {
			a.PostClose()
		}
		p.run(5 * time.Minute)
		if a.Status().Gone() {
			t.Fatalf("closed %v: gone after 5 minutes", closes)
		}
		p.run(10 * time.Minute)
		if got := a.Status().Gone(); got != closes {
			t.Errorf("closed %v: gone %v", closes, got)
		}
		if closes && (a.Status().Cause() != tcp.TimedOut || p.a.e.Stats().Conns != 0 || b.Status().Cause() != tcp.Reset) {
			t.Errorf("cause %v, %d connections are left, the peer sees %v", a.Status().Cause(), p.a.e.Stats().Conns, b.Status().Cause())
		}
	}
}

// TestICMPForOtherQueue: an error about a flow of another queue is handed across.
func TestICMPForOtherQueue(t *testing.T) {
	dir := NewDirectory()
	p := newPeer(t, Config{Directory: dir})
	p.h.listen(80)
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN, Opt: wire.Options{Has: wire.HasMSS, MSS: 1460}})
	s := p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: 2, ACK: s.SEQ + 1, Flags: wire.ACK})
	owner := p.h
	c := owner.accepted[0]
	c.Send().Write(make([]byte, 1460))
	c.PostWrite()
	p.settle()
	p.want(wire.ACK | wire.PSH)
	// The link now leads to another engine of the same NIC.
	pa, pb := pipe.New(pipe.Config{})
	other := p.newHost(Config{Directory: dir}, pb, "10.0.0.2", 2)
	p.port, p.h = pa, other
	p.icmp(3, 4, 1000, s.SEQ+1)
	if st := other.e.Stats(); st.Forwarded != 1 {
		t.Fatalf("%d were forwarded, %d dropped", st.Forwarded, st.Drop.ICMP)
	}
	owner.e.Step(p.now)
	if got := c.TCP().Info(p.now).SendMSS; got != 960 {
		t.Errorf("MSS is %d, want 960; dropped %+v", got, owner.e.Stats().Drop)
	}
}
