package engine

import (
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// peer is the other end of an engine's link, segment by segment.
type peer struct {
	*pair
	h    *host
	port dataplane.Port
	addr netip.Addr
	vlan uint16
}

func newPeer(t testing.TB, cfg Config) *peer {
	p := &pair{t: t}
	pa, pb := pipe.New(pipe.Config{})
	p.now = 1 << 50
	p.b = p.newHost(cfg, pb, "10.0.0.2", 2)
	p.b.router.hop.RemoteMAC = [6]byte{2, 0, 0, 0, 0, 1}
	return &peer{pair: p, h: p.b, port: pa, addr: netip.MustParseAddr("10.0.0.1")}
}

// frame sends the first octets of what fill writes.
func (p *peer) frame(fill func(b []byte) int) {
	p.t.Helper()
	var f [1]dataplane.Frame
	if p.port.Alloc(f[:]) != 1 {
		p.t.Fatal("the link has no frame")
	}
	f[0].Data = f[0].Data[:fill(f[0].Data)]
	p.port.Send(f[:])
	p.port.Flush()
}

func (p *peer) template() wire.Template {
	p.t.Helper()
	t, err := wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Src: [6]byte{2, 0, 0, 0, 0, 1}, Dst: [6]byte{2, 0, 0, 0, 0, 2}, VLAN: p.vlan},
		Src: p.addr, Dst: p.h.addr,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return t
}

// send sends a segment from port 1000 to port 80 and has the engine look at it.
func (p *peer) send(s wire.Segment) {
	p.t.Helper()
	p.put(s)
	p.settle()
}

// put sends a segment that the engine gets with what follows.
func (p *peer) put(s wire.Segment) {
	p.t.Helper()
	if s.SrcPort == 0 {
		s.SrcPort = 1000
	}
	if s.DstPort == 0 {
		s.DstPort = 80
	}
	if s.WND == 0 {
		s.WND = 65535
	}
	t := p.template()
	p.frame(func(b []byte) int {
		n := wire.PutTCP(b[t.Len():], &s)
		n += copy(b[t.Len()+n:], s.Payload)
		t.Put(b, n, 0)
		t.Finish(b[:t.Len()+n])
		return t.Len() + n
	})
}

// settle steps the engine until it has nothing to do.
func (p *peer) settle() {
	p.now += 1000
	for range 1000 {
		if !p.h.e.Step(p.now) {
			return
		}
	}
	p.t.Fatal("the engine never comes to rest")
}

// sleep lets time pass for the engine.
func (p *peer) sleep(d time.Duration) {
	end := p.now.Add(d)
	for p.settle(); p.h.e.Deadline() <= end; p.settle() {
		p.now = max(p.now, p.h.e.Deadline())
	}
	p.now = max(p.now, end)
}

// want receives one segment with the given flags.
func (p *peer) want(flags wire.Flags) wire.Segment {
	p.t.Helper()
	s, ok := p.recv()
	if !ok {
		p.t.Fatalf("nothing came, want %v", flags)
	}
	if s.Flags != flags {
		p.t.Fatalf("got %v, want %v", s.Flags, flags)
	}
	return s
}

func (p *peer) wantNothing() {
	p.t.Helper()
	if s, ok := p.recv(); ok {
		p.t.Fatalf("got %v, want nothing", s.Flags)
	}
}

func (p *peer) recv() (s wire.Segment, ok bool) {
	p.t.Helper()
	var f [1]dataplane.Frame
	if p.port.Recv(f[:]) == 0 {
		return s, false
	}
	defer p.port.Free(f[:])
	var eth wire.EthHeader
	if err := wire.ParseEthernet(f[0].Data, &eth); err != nil {
		p.t.Fatal(err)
	}
	if eth.VLAN != p.vlan {
		p.t.Errorf("got VLAN %d, want %d", eth.VLAN, p.vlan)
	}
	var ip wire.Packet
	if err := wire.ParseIP(f[0].Data[eth.Len:], &ip); err != nil {
		p.t.Fatal(err)
	}
	if !ip.TCPValid() {
		p.t.Error("wrong checksum")
	}
	if err := wire.ParseTCP(ip.Payload, &s); err != nil {
		p.t.Fatal(err)
	}
	s.Payload = append([]byte(nil), s.Payload...)
	return s, true
}

// open makes a connection from sequence number iss and returns what to send next, and to
// acknowledge.
func (p *peer) open(iss seq.Num) (nxt, ack seq.Num) {
	p.t.Helper()
	p.send(wire.Segment{SEQ: iss, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	p.send(wire.Segment{SEQ: iss + 1, ACK: s.SEQ + 1, Flags: wire.ACK})
	return iss + 1, s.SEQ + 1
}

// toTimeWait has the engine close first, and leaves its connection resting.
func (p *peer) toTimeWait(iss seq.Num) (nxt, ack seq.Num) {
	p.t.Helper()
	nxt, _ = p.open(iss)
	p.h.accepted[len(p.h.accepted)-1].PostClose()
	p.settle()
	fin := p.want(wire.FIN | wire.ACK)
	ack = fin.SEQ + 1
	p.send(wire.Segment{SEQ: nxt, ACK: ack, Flags: wire.FIN | wire.ACK})
	nxt++
	p.want(wire.ACK)
	if s := p.h.e.Stats(); s.TimeWaits != 1 || s.Conns != 0 {
		p.t.Fatalf("got %d in TIME-WAIT and %d connections, want 1 and 0", s.TimeWaits, s.Conns)
	}
	return nxt, ack
}

// TestStranger: "If the state is CLOSED then all data in the incoming segment is discarded.
// An incoming segment containing a RST is discarded. An incoming segment not containing a
// RST causes a RST to be sent in response." RFC 9293, section 3.10.7.1.
func TestStranger(t *testing.T) {
	p := newPeer(t, Config{})
	p.vlan = 7
	p.send(wire.Segment{SEQ: 100, Flags: wire.SYN})
	if s := p.want(wire.RST | wire.ACK); s.SEQ != 0 || s.ACK != 101 || s.SrcPort != 80 || s.DstPort != 1000 {
		t.Errorf("got %+v, want <SEQ=0><ACK=101>", s)
	}
	p.send(wire.Segment{SEQ: 100, ACK: 200, Flags: wire.ACK, Payload: []byte("data")})
	if s := p.want(wire.RST); s.SEQ != 200 {
		t.Errorf("got SEQ %d, want that of the ACK, 200", s.SEQ)
	}
	p.send(wire.Segment{SEQ: 100, ACK: 200, Flags: wire.RST | wire.ACK})
	p.send(wire.Segment{SEQ: 100, Flags: wire.RST})
	p.wantNothing()

	p.h.listen(80)
	p.send(wire.Segment{SEQ: 100, ACK: 200, Flags: wire.ACK})
	if s := p.want(wire.RST); s.SEQ != 200 {
		t.Errorf("a listener answers with SEQ %d, want 200", s.SEQ)
	}
	p.send(wire.Segment{SEQ: 100, Flags: wire.RST})
	p.send(wire.Segment{SEQ: 100, Flags: wire.SYN | wire.FIN})
	p.send(wire.Segment{SEQ: 100, Flags: wire.FIN})
	p.wantNothing()
	if got := p.h.e.Stats().Drop.NotSYN; got != 3 {
		t.Errorf("counted %d, want 3", got)
	}
}

// TestResetLimit: a flood to a closed port is answered a bounded number of times a second.
func TestResetLimit(t *testing.T) {
	p := newPeer(t, Config{})
	sent := 0
	for range resetsPerSec + 100 {
		p.send(wire.Segment{SEQ: 100, Flags: wire.SYN})
		if _, ok := p.recv(); ok {
			sent++
		}
	}
	if sent < resetsPerSec || sent > resetsPerSec+50 {
		t.Errorf("sent %d RSTs at once, want about %d", sent, resetsPerSec)
	}
	if p.h.e.Stats().Drop.ReplyLimit == 0 {
		t.Error("what was not sent was not counted")
	}
	p.sleep(time.Second)
	p.send(wire.Segment{SEQ: 100, Flags: wire.SYN})
	p.want(wire.RST | wire.ACK)
}

// TestTimeWait: a repeated FIN is acknowledged and starts the 2 MSL again; an RST does not
// end it (RFC 1337); a pure ACK is not answered.
func TestTimeWait(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.toTimeWait(5000)
	p.sleep(50 * time.Second)
	p.send(wire.Segment{SEQ: nxt - 1, ACK: ack, Flags: wire.FIN | wire.ACK})
	if s := p.want(wire.ACK); s.SEQ != ack || s.ACK != nxt {
		t.Errorf("got SEQ %d ACK %d, want %d and %d", s.SEQ, s.ACK, ack, nxt)
	}
	p.send(wire.Segment{SEQ: nxt, Flags: wire.RST})
	p.send(wire.Segment{SEQ: nxt, ACK: ack, Flags: wire.ACK})
	p.wantNothing()
	p.sleep(50 * time.Second)
	if p.h.e.Stats().TimeWaits != 1 {
		t.Error("the FIN did not start TIME-WAIT again")
	}
	p.sleep(11 * time.Second)
	if p.h.e.Stats().TimeWaits != 0 || p.h.claims != 0 {
		t.Error("TIME-WAIT does not end")
	}
}

// What PAWS or the window refuses is answered ten times a second at the most; the FIN each time,
// for its sender waits.
func TestTimeWaitAnswersAreBounded(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.toTimeWait(5000)
	for range 3 {
		p.sleep(time.Second)
		for range 20 {
			p.send(wire.Segment{SEQ: nxt - 100, ACK: ack, Flags: wire.ACK, Payload: make([]byte, 10)})
		}
		p.want(wire.ACK)
		p.wantNothing()
	}
	if got := p.h.e.Stats().TCP.TCPACKSkippedTimeWait; got != 57 {
		t.Errorf("TCPACKSkippedTimeWait = %d, want 57", got)
	}
	for range 5 {
		p.send(wire.Segment{SEQ: nxt - 1, ACK: ack, Flags: wire.FIN | wire.ACK})
		p.want(wire.ACK)
	}
}

// TestTimeWaitReuse: a new connection from the same port is taken if its SYN lies beyond the
// old one (RFC 6191), and starts beyond our old sequence numbers; else it is not.
func TestTimeWaitReuse(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.toTimeWait(5000)
	p.send(wire.Segment{SEQ: nxt - 100, Flags: wire.SYN})
	if s := p.want(wire.ACK); s.ACK != nxt {
		t.Errorf("an old SYN is answered with ACK %d, want %d", s.ACK, nxt)
	}
	p.send(wire.Segment{SEQ: nxt + 100, Flags: wire.SYN})
	if s := p.want(wire.SYN | wire.ACK); !ack.Less(s.SEQ) {
		t.Errorf("the new ISS %d is not beyond the old connection's %d", s.SEQ, ack)
	}
	if s := p.h.e.Stats(); s.TimeWaitReused != 1 || s.HalfOpen != 1 || s.TimeWaits != 0 {
		t.Errorf("got %+v", s)
	}
}

// The same, while the application has not closed the connection yet.
func TestTimeWaitReuseBeforeClose(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, _ := p.open(5000)
	p.h.accepted[0].PostCloseWrite()
	p.settle()
	ack := p.want(wire.FIN|wire.ACK).SEQ + 1
	p.send(wire.Segment{SEQ: nxt, ACK: ack, Flags: wire.FIN | wire.ACK})
	nxt++
	p.want(wire.ACK)
	if s := p.h.e.Stats(); s.TimeWaits != 0 || s.Conns != 1 {
		t.Fatalf("got %d at rest in TIME-WAIT and %d connections, want 0 and 1", s.TimeWaits, s.Conns)
	}
	p.send(wire.Segment{SEQ: nxt + 100, Flags: wire.SYN})
	if s := p.want(wire.SYN | wire.ACK); !ack.Less(s.SEQ) {
		t.Errorf("the new ISS %d is not beyond the old connection's %d", s.SEQ, ack)
	}
	if s := p.h.e.Stats(); s.TimeWaitReused != 1 || s.HalfOpen != 1 || s.Conns != 0 {
		t.Errorf("got %+v", s)
	}
}

// TestReuseAfterReset: a peer resets its connection and opens another one from the same port,
// and both segments come in one batch.
func TestReuseAfterReset(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, _ := p.open(5000)
	p.put(wire.Segment{SEQ: nxt, Flags: wire.RST})
	p.send(wire.Segment{SEQ: nxt + 1000, Flags: wire.SYN})
	if s := p.want(wire.SYN | wire.ACK); s.ACK != nxt+1001 {
		t.Errorf("got ACK %d, want %d", s.ACK, nxt+1001)
	}
	if got := p.h.accepted[0].Status().Cause(); got != tcp.Reset {
		t.Errorf("the first connection ended by %v, want %v", got, tcp.Reset)
	}
	if s := p.h.e.Stats(); s.HalfOpen != 1 || s.Conns != 0 || p.h.claims != 0 {
		t.Errorf("got %d half open, %d connections, %d claims, want 1, 0, 0", s.HalfOpen, s.Conns, p.h.claims)
	}
}

// TestTimeWaitMax: the oldest makes room.
func TestTimeWaitMax(t *testing.T) {
	p := newPeer(t, Config{TimeWaitMax: 1})
	p.h.listen(80)
	p.toTimeWait(5000)
	nxt, _ := p.open(90_000)
	if s := p.h.e.Stats(); s.TimeWaits != 0 || s.TimeWaitReused != 1 {
		t.Fatalf("got %+v", s)
	}
	first := &resting{key: flowKey{lport: 1}, until: p.now.Add(time.Hour)}
	p.h.e.timeWait.table.put(first)
	p.h.e.timeWait.pushBack(first)
	p.h.accepted[1].PostClose()
	p.settle()
	fin := p.want(wire.FIN | wire.ACK)
	p.send(wire.Segment{SEQ: nxt, ACK: fin.SEQ + 1, Flags: wire.FIN | wire.ACK})
	p.want(wire.ACK)
	if s := p.h.e.Stats(); s.TimeWaits != 1 || s.TimeWaitEvicted != 1 {
		t.Errorf("got %d in TIME-WAIT, %d evicted, want 1 and 1", s.TimeWaits, s.TimeWaitEvicted)
	}
}

// TestBacklog: SYNs beyond the backlog are dropped; half-open connections time out and leave
// nothing.
func TestBacklog(t *testing.T) {
	p := newPeer(t, Config{Cookies: CookiesNever})
	l, err := p.h.e.Listen(ListenConfig{
		Local: netip.AddrPortFrom(netip.Addr{}, 80), Acceptor: p.h, Backlog: 2, Options: Options{Claim: p.h},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		p.send(wire.Segment{SrcPort: uint16(2000 + i), SEQ: 1, Flags: wire.SYN})
	}
	if s := p.h.e.Stats(); s.HalfOpen != 2 || s.Drop.Backlog != 3 || s.TCPReqQFullDrop != 3 || s.ListenDrops != 3 {
		t.Errorf("got %d half open, %d dropped, want 2, 3", s.HalfOpen, s.Drop.Backlog)
	}
	for range 2 {
		p.want(wire.SYN | wire.ACK)
	}
	p.sleep(5 * time.Minute)
	if s := p.h.e.Stats(); s.HalfOpen != 0 || s.TCPReqTimeouts != 2 || len(p.h.e.halfTimers.heap) != 0 {
		t.Errorf("after 5 minutes %d are half open, %d timed out, want 0, 2", s.HalfOpen, s.TCPReqTimeouts)
	}
	repeated := 0
	for _, ok := p.recv(); ok; _, ok = p.recv() {
		repeated++
	}
	if repeated != 2*5 {
		t.Errorf("our SYN and ACK was repeated %d times, want %d", repeated, 2*5)
	}
	// Closing the listener aborts what is half open.
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN})
	p.want(wire.SYN | wire.ACK)
	l.Close(p.now)
	p.settle()
	p.want(wire.RST | wire.ACK)
	if s := p.h.e.Stats(); s.HalfOpen != 0 {
		t.Errorf("%d connections are left", s.Conns)
	}
}

// TestAcceptQueueFull: the last ACK of the handshake is dropped while there is no room, and
// the connection opens when our SYN and ACK is repeated and there is.
func TestAcceptQueueFull(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	p.send(wire.Segment{SEQ: 1, Flags: wire.SYN})
	s := p.want(wire.SYN | wire.ACK)
	p.h.full = true
	p.send(wire.Segment{SEQ: 2, ACK: s.SEQ + 1, Flags: wire.ACK})
	p.send(wire.Segment{SrcPort: 1001, SEQ: 1, Flags: wire.SYN})
	if got := p.h.e.Stats().Drop.AcceptQueue; got != 2 || len(p.h.accepted) != 0 {
		t.Errorf("dropped %d, accepted %d, want 2 and 0", got, len(p.h.accepted))
	}
	p.sleep(1100 * time.Millisecond)
	p.want(wire.SYN | wire.ACK)
	p.h.full = false
	p.send(wire.Segment{SEQ: 2, ACK: s.SEQ + 1, Flags: wire.ACK})
	if len(p.h.accepted) != 1 || p.h.accepted[0].Status().State() != tcp.StateEstablished {
		t.Error("the connection did not open")
	}
}

// A step takes as many frames as one sends, so that ACKs do not wait because much is sent, and
// leaves the rest to the next one; strangers that are owed a reply have it before more come.
func TestStepTakesWhatItSends(t *testing.T) {
	const come = stepFrames + dataplane.BatchMax
	for _, tt := range []struct {
		name string
		s    wire.Segment
		want []int // frames that each step takes
	}{
		{"nobody's", wire.Segment{Flags: wire.RST, DstPort: 81}, []int{stepFrames, come - stepFrames, 0}},
		{"bulk", wire.Segment{Flags: wire.RST, DstPort: 81, Payload: make([]byte, 1400)}, []int{
			dataplane.BatchMax, dataplane.BatchMax, dataplane.BatchMax, dataplane.BatchMax, come - stepFrames, 0}},
		{"strangers", wire.Segment{Flags: wire.SYN, DstPort: 81}, []int{
			dataplane.BatchMax, dataplane.BatchMax, dataplane.BatchMax, dataplane.BatchMax, come - stepFrames, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPeer(t, Config{})
			pa, pb := pipe.New(pipe.Config{Frames: come})
			p.b = p.newHost(Config{}, pb, "10.0.0.2", 2)
			p.b.router.hop.RemoteMAC = [6]byte{2, 0, 0, 0, 0, 1}
			p.h, p.port = p.b, pa
			for i := range come {
				tt.s.SrcPort = uint16(1000 + i)
				p.put(tt.s)
			}
			for i, want := range tt.want {
				p.h.e.Step(p.now)
				if got := p.h.e.Received(); got != want {
					t.Errorf("step %d took %d frames, want %d", i+1, got, want)
				}
			}
			if n := p.h.e.Stats().Drop.ReplyLimit; n != 0 {
				t.Errorf("%d replies found no room", n)
			}
		})
	}
}
