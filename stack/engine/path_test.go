package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// icmp sends an ICMPv4 error about the segment with sequence number at that the engine sent.
func (p *peer) icmp(typ, code byte, mtu uint16, at seq.Num) {
	p.t.Helper()
	t := p.template()
	p.frame(func(b []byte) int {
		quote, err := wire.NewTemplate(wire.TemplateConfig{Src: p.h.addr, Dst: p.addr})
		if err != nil {
			p.t.Fatal(err)
		}
		var inner [100]byte
		n := quote.Put(inner[:], 1480, 1)
		n += wire.PutTCP(inner[n:], &wire.Segment{SrcPort: 80, DstPort: 1000, SEQ: at})
		msg := make([]byte, 8, 100)
		msg[0], msg[1] = typ, code
		binary.BigEndian.PutUint16(msg[6:], mtu)
		msg = append(msg, inner[wire.EthernetLen:wire.EthernetLen+28]...)
		binary.BigEndian.PutUint16(msg[2:], wire.Sum(msg, 0).Checksum())
		h := t.Put(b, len(msg), 0)
		ip := b[wire.EthernetLen:h]
		ip[9] = wire.ProtoICMP
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], wire.Sum(ip, 0).Checksum())
		return h + copy(b[h:], msg)
	})
	p.settle()
}

// TestPathMTU: "fragmentation needed" about what is in flight makes segments smaller; about
// anything else it does nothing (RFC 5927), and nobody gets segments below the floor.
func TestPathMTU(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN, Opt: wire.Options{Has: wire.HasMSS, MSS: 1460}})
	s := p.want(wire.SYN | wire.ACK)
	nxt := s.SEQ + 1
	p.send(wire.Segment{SEQ: 2, ACK: nxt, Flags: wire.ACK})
	c := p.h.accepted[0]
	c.Send().Write(make([]byte, 1460))
	c.PostWrite()
	p.settle()
	if s := p.want(wire.ACK | wire.PSH); len(s.Payload) != 1460 {
		t.Fatalf("got %d octets, want 1460", len(s.Payload))
	}
	p.icmp(3, 4, 1000, nxt+5000)
	p.icmp(3, 4, 1000, nxt-1)
	p.wantNothing()
	if got := p.h.e.Stats().Drop.ICMPSequence; got != 2 {
		t.Errorf("counted %d, want 2", got)
	}
	p.icmp(3, 4, 1000, nxt)
	if s, ok := p.recv(); !ok || s.SEQ != nxt || len(s.Payload) != 960 {
		t.Fatalf("got %d octets from %d, %v, want 960 again", len(s.Payload), s.SEQ, ok)
	}
	p.icmp(3, 4, 68, nxt)
	if info := c.TCP().Info(p.now); info.SendMSS != pathMin4-overhead4 {
		t.Errorf("MSS is %d, want the floor, %d", info.SendMSS, pathMin4-overhead4)
	}
	// Soft errors do not end what is open.
	p.icmp(3, 1, 0, nxt)
	p.icmp(3, 3, 0, nxt)
	p.wantState(c, tcp.StateEstablished)
}

// sendFull has c send one segment as large as it may, and returns it.
func (p *peer) sendFull(c *Conn) wire.Segment {
	p.t.Helper()
	p.drain()
	c.Send().Write(make([]byte, 1460))
	c.PostWrite()
	p.settle()
	s, ok := p.recv()
	p.drain()
	if !ok {
		p.t.Fatal("nothing came")
	}
	return s
}

// drain takes what was sent and not looked at.
func (p *peer) drain() {
	for _, more := p.recv(); more; _, more = p.recv() {
	}
}

// TestPathMTUByDestination: what one connection has learnt of the path serves those that are
// open and those to come, for ten minutes. What we announce stays: the way back is another.
func TestPathMTUByDestination(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	var acks []seq.Num
	open := func(port uint16) *Conn {
		t.Helper()
		p.send(wire.Segment{SrcPort: port, SEQ: 1, Flags: wire.SYN, Opt: wire.Options{Has: wire.HasMSS, MSS: 1460}})
		s := p.want(wire.SYN | wire.ACK)
		if s.Opt.MSS != 1460 {
			t.Errorf("announced %d, want 1460", s.Opt.MSS)
		}
		p.send(wire.Segment{SrcPort: port, SEQ: 2, ACK: s.SEQ + 1, Flags: wire.ACK})
		acks = append(acks, s.SEQ+1)
		return p.h.accepted[len(p.h.accepted)-1]
	}
	a, b := open(1000), open(1001)
	p.sendFull(a)
	p.icmp(3, 4, 1000, acks[0])
	if s, ok := p.recv(); !ok || len(s.Payload) != 960 {
		t.Fatalf("got %d octets, want 960 again", len(s.Payload))
	}
	if got := len(p.sendFull(b).Payload); got != 960 {
		t.Errorf("another connection sent %d octets, want 960", got)
	}
	if got := len(p.sendFull(open(1002)).Payload); got != 960 {
		t.Errorf("a new connection sent %d octets, want 960", got)
	}
	p.sleep(pathLasts)
	p.drain()
	if got := len(p.sendFull(open(1003)).Payload); got != 1460 {
		t.Errorf("after ten minutes a new connection sent %d octets, want 1460", got)
	}
}

// TestPathsBounded: there is room for so many paths; beyond, the oldest is forgotten.
func TestPathsBounded(t *testing.T) {
	var p paths
	addr := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }
	for i := range pathsMax {
		if p.learn(mono.Time(i), addr(i), 1000) {
			t.Fatalf("path %d had another forgotten", i)
		}
	}
	before := p.generation
	if p.learn(pathsMax, addr(3), 1200) || p.generation != before {
		t.Error("a larger MTU of a known path is to have nobody look")
	}
	if !p.learn(pathsMax, addr(pathsMax), 1000) || len(p.known) != pathsMax {
		t.Errorf("%d paths are known, want %d", len(p.known), pathsMax)
	}
	if p.lookup(pathsMax, addr(0)) != 0 || p.lookup(pathsMax, addr(3)) != 1200 {
		t.Error("the oldest is not the one that was forgotten")
	}
}

// TestUnreachable: an ICMP error ends an attempt to connect.
func TestUnreachable(t *testing.T) {
	p := newPeer(t, Config{})
	for code, want := range map[byte]tcp.Cause{3: tcp.Refused, 1: tcp.Unreachable} {
		c, err := p.h.e.Connect(p.now, ConnectConfig{
			Local:  netip.AddrPortFrom(p.h.addr, 80),
			Remote: netip.AddrPortFrom(p.addr, 1000),
		})
		if err != nil {
			t.Fatal(err)
		}
		p.settle()
		s := p.want(wire.SYN)
		p.icmp(3, code, 0, s.SEQ)
		if got := c.Status(); !got.Gone() || got.Cause() != want {
			t.Errorf("code %d: state %v, cause %v, want %v", code, got.State(), got.Cause(), want)
		}
	}
}

// TestNeighbour: output waits while the neighbour is unknown, and goes when it is; a passive
// open is answered where its SYN came from.
func TestNeighbour(t *testing.T) {
	p := newPeer(t, Config{})
	r := p.h.router
	r.status, r.hop.RemoteMAC = RouteUnresolved, [6]byte{}
	_, err := p.h.e.Connect(p.now, ConnectConfig{Remote: netip.AddrPortFrom(p.addr, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	p.sleep(20 * time.Millisecond)
	p.wantNothing()
	if asked := r.asked; asked < 4 || asked > 8 {
		t.Errorf("asked %d times in 20 ms, want about 5", asked)
	}
	p.h.listen(80)
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN})
	p.want(wire.SYN | wire.ACK)
	r.status, r.hop.RemoteMAC = RouteOK, [6]byte{2, 0, 0, 0, 0, 1}
	r.generation++
	p.sleep(20 * time.Millisecond)
	p.want(wire.SYN)

	// A smaller MTU of the route makes smaller segments.
	r.hop.MTU = 800
	r.generation++
	p.send(wire.Segment{SEQ: 2, ACK: 0, Flags: wire.RST})
	if _, err := p.h.e.Connect(p.now, ConnectConfig{Remote: netip.AddrPortFrom(p.addr, 1001)}); err != nil {
		t.Fatal(err)
	}
	p.settle()
	if s := p.want(wire.SYN); s.Opt.MSS != 760 {
		t.Errorf("offered MSS %d, want 760", s.Opt.MSS)
	}
	r.status = RouteImpossible
	r.generation++
	if _, err := p.h.e.Connect(p.now, ConnectConfig{Remote: netip.AddrPortFrom(p.addr, 1002)}); err != ErrUnreachable {
		t.Errorf("got %v, want %v", err, ErrUnreachable)
	}
}

// TestNeighbourIsNotThere: who connects to an address that nobody on the link has is told so, as
// Linux tells it after three questions.
func TestNeighbourIsNotThere(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.router.status = RouteUnresolved
	c, err := p.h.e.Connect(p.now, ConnectConfig{Remote: netip.AddrPortFrom(p.addr, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	p.sleep(2900 * time.Millisecond)
	if c.Status().Gone() {
		t.Error("gave up before three seconds")
	}
	p.sleep(time.Second)
	if got := c.Status(); !got.Gone() || got.Cause() != tcp.Unreachable {
		t.Errorf("after four seconds state %v, cause %v, want the end and %v", got.State(), got.Cause(), tcp.Unreachable)
	}
	p.wantNothing()
	if s := p.h.e.Stats(); s.Conns != 0 {
		t.Errorf("%d connections are left", s.Conns)
	}
}

// TestNoFrames: with no transmit frame free the engine does not spin, and goes on when there
// is one.
func TestNoFrames(t *testing.T) {
	p := newPair(t, Config{}, pipe.Config{Frames: 4})
	p.b.listen(80)
	a, b := p.connect(80)
	a.Send().Write(make([]byte, 200_000))
	a.PostWrite()
	for range 10 {
		p.now += 1000
		p.a.e.Step(p.now) // the peer takes nothing
	}
	if p.a.e.Stats().FramesExhausted == 0 {
		t.Fatal("there were always frames")
	}
	if p.a.e.Step(p.now) {
		t.Error("a step without frames says that it worked")
	}
	if d := p.a.e.Deadline(); d <= p.now || d > p.now.Add(time.Millisecond) {
		t.Errorf("the next try is %v from now", d.Sub(p.now))
	}
	for b.Recv().Len() < 200_000 {
		p.run(time.Millisecond)
	}
}

// TestFullStep: a lone connection fills a step, so that one flush moves all of it.
func TestFullStep(t *testing.T) {
	big := Config{TCP: tcp.Config{InitialWindow: 2 * stepFrames}, RecvBuffer: 4 << 20, SendBuffer: 4 << 20}
	p := newPair(t, big, pipe.Config{Frames: 4 * stepFrames})
	p.b.listen(80)
	a, _ := p.connect(80)
	a.Send().Write(make([]byte, 100_000)) // the answer has the whole window
	a.PostWrite()
	p.run(time.Second)
	a.Send().Write(make([]byte, 2<<20))
	a.PostWrite()
	before := p.a.e.Stats().TXFrames
	if !p.a.e.Step(p.now) || p.a.e.Stats().TXFrames-before != stepFrames {
		t.Errorf("a step sent %d frames, want %d", p.a.e.Stats().TXFrames-before, stepFrames)
	}
}

// TestDirectory: what arrives on the wrong queue reaches its connection all the same.
func TestDirectory(t *testing.T) {
	dir := NewDirectory()
	p := newPeer(t, Config{Directory: dir})
	p.h.listen(80)
	_, pb := pipe.New(pipe.Config{})
	other := p.newHost(Config{Directory: dir}, pb, "10.0.0.2", 2)
	other.listen(80)
	nxt, ack := p.open(1)
	if got := len(p.h.accepted); got != 1 {
		t.Fatalf("accepted %d, want 1", got)
	}
	// The same segment, by way of the other engine.
	tmpl := p.template()
	b := make([]byte, 100)
	n := wire.PutTCP(b[tmpl.Len():], &wire.Segment{
		SrcPort: 1000, DstPort: 80, SEQ: nxt, ACK: ack, WND: 65535, Flags: wire.ACK | wire.PSH,
	})
	n += copy(b[tmpl.Len()+n:], "hello")
	tmpl.Put(b, n, 0)
	b = b[:tmpl.Len()+n]
	tmpl.Finish(b)
	other.e.in.frame, other.e.in.rest = b, nil
	other.e.frameIn(p.now, nil)
	p.settle()
	if s := p.want(wire.ACK); s.ACK != nxt+5 {
		t.Errorf("got ACK %d, want %d", s.ACK, nxt+5)
	}
	if p.h.accepted[0].Recv().Len() != 5 || other.e.Stats().Forwarded != 1 || len(other.accepted) != 0 {
		t.Error("the segment did not reach its connection")
	}
	// Nobody takes them out: the mailbox is bounded.
	for range forwardMax + 10 {
		other.e.in.frame, other.e.in.rest = b, nil
		other.e.frameIn(p.now, nil)
	}
	if got := other.e.Stats().Drop.ForwardFull; got != 10 {
		t.Errorf("%d frames were dropped, want 10", got)
	}
	p.settle()
	p.h.e.Close(p.now)
	other.e.in.frame, other.e.in.rest = b, nil
	other.e.frameIn(p.now, nil)
	if got := other.e.Stats().Forwarded; got != 1+forwardMax {
		t.Errorf("%d frames were forwarded, want %d: the flow is gone", got, 1+forwardMax)
	}
}

// TestGarbage throws random octets and broken copies of real segments at an engine with a
// connection. Nothing panics, nothing is kept, and the connection lives.
func TestGarbage(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.open(1)
	rng := rand.New(rand.NewPCG(5, 6))
	tmpl := p.template()
	for i := range 20_000 {
		p.frame(func(b []byte) int {
			s := wire.Segment{
				SrcPort: 1000, DstPort: 80, SEQ: nxt + seq.Num(rng.IntN(100)-50), ACK: ack, WND: 1000, Flags: wire.ACK,
				Opt: wire.Options{Has: wire.OptionSet(rng.Uint32())},
			}
			n := wire.PutTCP(b[tmpl.Len():], &s)
			tmpl.Put(b, n, 0)
			b = b[:tmpl.Len()+n]
			tmpl.Finish(b)
			for range 1 + rng.IntN(4) {
				b[rng.IntN(len(b))] ^= byte(1 << rng.IntN(8))
			}
			if i%3 == 0 {
				for j := range b[14:] {
					b[14+j] = byte(rng.Uint32())
				}
			}
			return len(b) - rng.IntN(2)*rng.IntN(len(b))
		})
		if i%50 == 0 {
			p.settle()
			for _, ok := p.recv(); ok; _, ok = p.recv() {
			}
		}
	}
	p.settle()
	c := p.h.accepted[0]
	if c.Status().State() != tcp.StateEstablished || p.h.e.Stats().Conns != 1 {
		t.Errorf("state %v, %d connections: %+v", c.Status().State(), p.h.e.Stats().Conns, p.h.e.Stats().Drop)
	}
	if c.Recv().Len() != 0 {
		t.Errorf("%d octets of garbage were received", c.Recv().Len())
	}
}

// TestAllocs: in steady state nothing is allocated, whoever sends.
func TestAllocs(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	p := newPair(t, Config{}, pipe.Config{})
	p.b.listen(80)
	a, b := p.connect(80)
	data, buf := make([]byte, 16_000), make([]byte, 64_000)
	round := func() {
		for _, way := range [2][2]*Conn{{a, b}, {b, a}} {
			way[0].Send().Write(data)
			way[0].PostWrite()
			p.step()
			for way[1].Recv().Read(buf) > 0 {
			}
			if way[1].Recv().UpdateDue() {
				way[1].PostRead()
			}
		}
		p.now += 1_000_000
		p.step()
	}
	for range 200 {
		round()
	}
	segments := p.a.e.Stats().TXFrames
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations a round of about %d segments, want 0", n,
			(p.a.e.Stats().TXFrames-segments)/1000)
	}
}

// TestIdle: connections without traffic cost a step nothing.
func TestIdle(t *testing.T) {
	p := newPair(t, Config{}, pipe.Config{})
	p.b.listen(80)
	for range 2000 {
		p.connect(80)
	}
	p.run(10 * time.Second)
	if p.a.e.Deadline() != p.b.e.Deadline() || len(p.a.e.timers.heap) != 0 {
		t.Errorf("%d timers are armed", len(p.a.e.timers.heap))
	}
	if p.pool.InUse() != 0 {
		t.Errorf("idle connections hold %d octets", p.pool.InUse())
	}
	if n := testing.AllocsPerRun(100, func() { p.step() }); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}

var _ dataplane.Port = (*pipe.Port)(nil)
