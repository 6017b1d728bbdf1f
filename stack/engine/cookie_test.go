package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// allOptions is a SYN's options as Linux sends them.
func allOptions(mss uint16, scale uint8, ts uint32) wire.Options {
	return wire.Options{
		Has: wire.HasMSS | wire.HasWScale | wire.HasSACKPermitted | wire.HasTimestamps,
		MSS: mss, WScale: scale, TSVal: ts,
	}
}

func stamp(val, ecr uint32) wire.Options {
	return wire.Options{Has: wire.HasTimestamps, TSVal: val, TSEcr: ecr}
}

// cookiePeer talks to a listener that keeps nothing of a SYN.
func cookiePeer(t *testing.T) *peer {
	p := newPeer(t, Config{Cookies: CookiesAlways})
	p.h.listen(80)
	return p
}

// TestCookieCarriesOptions: the connection that a cookie's ACK makes has the options of its
// SYN, and the data that came with the ACK.
func TestCookieCarriesOptions(t *testing.T) {
	for _, mss := range []uint16{100, 536, 1300, 1459, 1460, 9000} {
		p := cookiePeer(t)
		p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN, Opt: allOptions(mss, 9, 77)})
		s := p.want(wire.SYN | wire.ACK)
		if st := p.h.e.Stats(); st.HalfOpen != 0 || st.Conns != 0 || st.SyncookiesSent != 1 {
			t.Fatalf("something was kept: %d half open, %d connections, %d cookies", st.HalfOpen, st.Conns, st.SyncookiesSent)
		}
		p.sleep(30 * time.Second)
		p.send(wire.Segment{
			SEQ: 1001, ACK: s.SEQ + 1, WND: 100, Flags: wire.ACK | wire.PSH,
			Opt: stamp(78, s.Opt.TSVal), Payload: []byte("hello"),
		})
		a := p.want(wire.ACK)
		if len(p.h.accepted) != 1 {
			t.Fatal("the cookie was not accepted")
		}
		c := p.h.accepted[0]
		info := c.TCP().Info(p.now)
		if !info.Options.Timestamps || !info.Options.SACK || !info.Options.WindowScale || info.SendScale != 9 {
			t.Errorf("options %+v, scale %d, want all, and 9", info.Options, info.SendScale)
		}
		if info.SendWindow != 100<<9 {
			t.Errorf("send window %d, want %d", info.SendWindow, 100<<9)
		}
		if info.RTT != 0 || info.RTO != time.Second {
			t.Errorf("RTT %v and RTO %v were measured by an answer that nobody timed", info.RTT, info.RTO)
		}
		want := int(tcp.CookieMSS[tcp.CookieMSSIndex(&wire.Segment{Opt: allOptions(mss, 0, 0)})])
		if got := info.SendMSS + 12; got != min(want, 1460) || got > max(int(mss), tcp.MinMSS) {
			t.Errorf("MSS %d for a peer that offers %d, want %d", got, mss, want)
		}
		if c.Recv().Len() != 5 || a.ACK != 1006 || int32(a.Opt.TSVal-s.Opt.TSVal) < 0 {
			t.Errorf("%d octets arrived, ACK %d, our clock went from %d to %d", c.Recv().Len(), a.ACK, s.Opt.TSVal, a.Opt.TSVal)
		}
	}
}

// TestCookieWithoutTimestamps: there is room for the MSS alone, and nothing else is agreed to.
func TestCookieWithoutTimestamps(t *testing.T) {
	p := cookiePeer(t)
	o := allOptions(1460, 7, 0)
	o.Has &^= wire.HasTimestamps
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN | wire.ECE | wire.CWR, Opt: o})
	s := p.want(wire.SYN | wire.ACK)
	if s.Opt.Has != wire.HasMSS {
		t.Errorf("offered options %b, want MSS alone", s.Opt.Has)
	}
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK})
	if len(p.h.accepted) != 1 {
		t.Fatal("the cookie was not accepted")
	}
	info := p.h.accepted[0].TCP().Info(p.now)
	if info.Options.SACK || info.Options.WindowScale || info.SendMSS != 1460 {
		t.Errorf("got %+v, MSS %d", info.Options, info.SendMSS)
	}
}

// TestCookieECN: what RFC 3168 needs travels in the timestamp; a peer that asks for AccECN
// gets RFC 3168.
func TestCookieECN(t *testing.T) {
	for _, ask := range []wire.Flags{wire.ECE | wire.CWR, wire.AE | wire.ECE | wire.CWR} {
		p := cookiePeer(t)
		p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN | ask, Opt: allOptions(1460, 7, 5)})
		s := p.want(wire.SYN | wire.ACK | wire.ECE)
		p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK, Opt: stamp(6, s.Opt.TSVal)})
		if got := p.h.accepted[0].TCP().Info(p.now).Options.ECN; got != "ecn" {
			t.Errorf("asked by %v: ECN %q, want ecn", ask, got)
		}
	}
	p := cookiePeer(t)
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN, Opt: allOptions(1460, 7, 5)})
	s := p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK, Opt: stamp(6, s.Opt.TSVal)})
	if got := p.h.accepted[0].TCP().Info(p.now).Options.ECN; got != "" {
		t.Errorf("ECN %q for a peer that did not ask", got)
	}
}

// TestCookieExpires: a cookie is good for a minute, and not for more than two.
func TestCookieExpires(t *testing.T) {
	for _, age := range []time.Duration{time.Minute, 2*time.Minute + time.Second} {
		p := cookiePeer(t)
		p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN})
		s := p.want(wire.SYN | wire.ACK)
		p.sleep(age)
		// Others get cookies meanwhile: it is its age that counts.
		p.send(wire.Segment{SrcPort: 1001, SEQ: 1, Flags: wire.SYN})
		p.want(wire.SYN | wire.ACK)
		p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK})
		if good := len(p.h.accepted) == 1; good != (age < 2*time.Minute) {
			t.Errorf("a cookie of %v: accepted %v", age, good)
		}
		if age > 2*time.Minute {
			p.want(wire.RST)
		}
	}
}

// TestCookieForged: an ACK that acknowledges no cookie of ours is answered by RST, whatever is
// wrong with it, and nothing is looked at when there are no cookies out.
func TestCookieForged(t *testing.T) {
	p := cookiePeer(t)
	p.send(wire.Segment{SEQ: 1001, ACK: 5000, Flags: wire.ACK})
	p.want(wire.RST)
	if got := p.h.e.Stats().SyncookiesFailed; got != 0 {
		t.Errorf("looked at %d ACKs when no cookie was out", got)
	}
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	wrong := []wire.Segment{
		{SEQ: 1002, ACK: s.SEQ + 1},
		{SEQ: 1001, ACK: s.SEQ + 2},
		{SEQ: 1001, ACK: s.SEQ},
		{SEQ: 1001, ACK: s.SEQ + 1, SrcPort: 1001},
	}
	for bit := range 32 {
		wrong = append(wrong, wire.Segment{SEQ: 1001, ACK: s.SEQ ^ 1<<bit + 1})
	}
	for i := range wrong {
		wrong[i].Flags = wire.ACK
		p.send(wrong[i])
		p.want(wire.RST)
	}
	st := p.h.e.Stats()
	if len(p.h.accepted) != 0 || st.SyncookiesFailed != uint64(len(wrong)) || st.Conns != 0 {
		t.Errorf("accepted %d, refused %d of %d", len(p.h.accepted), st.SyncookiesFailed, len(wrong))
	}
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK})
	if len(p.h.accepted) != 1 {
		t.Error("the true one is refused")
	}
}

// TestCookieWhenFull: with the backlog full a SYN gets a cookie; a full accept queue is no
// reason to make a connection by one.
func TestCookieWhenFull(t *testing.T) {
	p := newPeer(t, Config{})
	if _, err := p.h.e.Listen(ListenConfig{
		Local: netip.AddrPortFrom(netip.Addr{}, 80), Acceptor: p.h, Backlog: 1, Options: Options{Claim: p.h},
	}); err != nil {
		t.Fatal(err)
	}
	p.send(wire.Segment{SrcPort: 5, SEQ: 1, Flags: wire.SYN})
	p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	p.h.full = true
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK})
	p.wantNothing()
	if st := p.h.e.Stats(); st.ListenOverflows != 1 || st.TCPReqQFullDoCookies != 1 {
		t.Errorf("got %d overflows, %d cookies, want 1, 1", st.ListenOverflows, st.TCPReqQFullDoCookies)
	}
	p.h.full = false
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK})
	if len(p.h.accepted) != 1 || p.h.claims != 1 {
		t.Errorf("accepted %d, %d claims, want 1, 1", len(p.h.accepted), p.h.claims)
	}
}

// TestCookieOnOtherQueue: the ACK may come to another engine than the SYN did.
func TestCookieOnOtherQueue(t *testing.T) {
	dir := NewDirectory()
	p := newPeer(t, Config{Directory: dir, Cookies: CookiesAlways})
	p.h.listen(80)
	_, pb := pipe.New(pipe.Config{})
	other := p.newHost(Config{Directory: dir, Cookies: CookiesAlways}, pb, "10.0.0.2", 2)
	other.listen(80)
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	other.e.in.frame, other.e.in.rest = p.build(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK}), nil
	other.e.frameIn(p.now, nil)
	if len(other.accepted) != 1 {
		t.Fatal("the cookie was not accepted")
	}
	// From now on the flow is the other engine's.
	p.send(wire.Segment{SEQ: 1001, ACK: s.SEQ + 1, Flags: wire.ACK, Payload: []byte("x")})
	other.e.Step(p.now)
	if got := other.accepted[0].Recv().Len(); got != 1 {
		t.Errorf("%d octets reached the connection, want 1", got)
	}
}

// build returns a frame from the peer.
func (p *peer) build(s wire.Segment) []byte {
	p.t.Helper()
	if s.SrcPort == 0 {
		s.SrcPort = 1000
	}
	s.DstPort = 80
	tmpl := p.template()
	b := make([]byte, 2048)
	n := wire.PutTCP(b[tmpl.Len():], &s)
	n += copy(b[tmpl.Len()+n:], s.Payload)
	tmpl.Put(b, n, 0)
	b = b[:tmpl.Len()+n]
	tmpl.Finish(b)
	return b
}

// TestPerSource: one address cannot fill the table of half-open connections.
func TestPerSource(t *testing.T) {
	p := newPeer(t, Config{Cookies: CookiesNever, HalfOpenPerSource: 3})
	p.h.listen(80)
	for i := range 10 {
		p.send(wire.Segment{SrcPort: uint16(2000 + i), SEQ: 1, Flags: wire.SYN})
	}
	p.addr = netip.MustParseAddr("10.0.0.3")
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN})
	if st := p.h.e.Stats(); st.HalfOpen != 4 || st.TCPReqQFullDrop != 7 {
		t.Errorf("got %d half open, %d dropped, want 4, 7", st.HalfOpen, st.TCPReqQFullDrop)
	}
	p.sleep(2 * time.Minute)
	if st := p.h.e.Stats(); st.HalfOpen != 0 || len(p.h.e.sources.n) != 0 {
		t.Errorf("%d addresses are still counted", len(p.h.e.sources.n))
	}
}

// TestHalfOpen: a repeated SYN is answered again, an RST ends the request, a wrong ACK is
// refused and changes nothing, and ICMP errors are not believed.
func TestHalfOpen(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN, Opt: allOptions(1460, 7, 5)})
	first := p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: 1000, Flags: wire.SYN, Opt: allOptions(1460, 7, 5)})
	if s := p.want(wire.SYN | wire.ACK); s.SEQ != first.SEQ || s.Opt.Has != first.Opt.Has {
		t.Errorf("the second answer is another: %+v, want %+v", s, first)
	}
	p.now = p.now.Add(restAnswerEvery)
	p.send(wire.Segment{SEQ: 1001, ACK: first.SEQ + 7, Flags: wire.ACK, Opt: stamp(6, first.Opt.TSVal)})
	if s := p.want(wire.RST); s.SEQ != first.SEQ+7 {
		t.Errorf("RST at %d, want %d", s.SEQ, first.SEQ+7)
	}
	for _, at := range []seq.Num{1000, 1001 + 70_000} {
		p.send(wire.Segment{SEQ: at, Flags: wire.RST})
		p.wantNothing()
	}
	if p.h.e.Stats().HalfOpen != 1 {
		t.Fatal("the request is gone")
	}
	p.send(wire.Segment{SEQ: 1001, Flags: wire.RST})
	p.wantNothing()
	if st := p.h.e.Stats(); st.HalfOpen != 0 || st.TCP.AttemptFails != 1 || st.TCP.PassiveOpens != 0 {
		t.Errorf("got %d half open, %d failed, want 0, 1", st.HalfOpen, st.TCP.AttemptFails)
	}
	// The ACK comes after two repetitions: its connection starts as RFC 6298 wants it.
	p.send(wire.Segment{SEQ: 5000, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	p.sleep(3100 * time.Millisecond)
	p.want(wire.SYN | wire.ACK)
	p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: 5001, ACK: s.SEQ + 1, Flags: wire.ACK})
	info := p.h.accepted[0].TCP().Info(p.now)
	if info.RTO != 3*time.Second || info.Cwnd != info.SendMSS || p.h.e.Stats().TCP.PassiveOpens != 1 {
		t.Errorf("RTO %v, cwnd %d, want 3 s and one segment", info.RTO, info.Cwnd)
	}
}
