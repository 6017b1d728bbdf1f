package engine

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// host is one end of a pair: an engine and what its application sees.
type host struct {
	t        testing.TB
	e        *Engine
	port     dataplane.Port
	addr     netip.Addr
	router   *fakeRouter
	accepted []*Conn
	full     bool
	events   map[*Conn]tcp.Events
	claims   int
}

func (h *host) Full() bool { return h.full }

func (h *host) Accept(c *Conn) {
	c.SetObserver(h)
	h.accepted = append(h.accepted, c)
}

func (h *host) ConnEvent(c *Conn, e tcp.Events) { h.events[c] |= e }

func (h *host) Acquire() { h.claims++ }
func (h *host) Release() { h.claims-- }

// fakeRouter answers what the test says.
type fakeRouter struct {
	hop        Hop
	status     RouteStatus
	generation uint64
	asked      int
}

func (r *fakeRouter) Route(src, dst netip.Addr) (Hop, RouteStatus) {
	r.asked++
	return r.hop, r.status
}

func (r *fakeRouter) Generation() uint64 { return r.generation }

// net is two hosts on a pipe, in virtual time.
type pair struct {
	t    testing.TB
	now  mono.Time
	a, b *host
	pool queue.Pool
}

func newPair(t testing.TB, cfg Config, link pipe.Config) *pair {
	p := &pair{t: t, now: mono.Time(time.Hour)}
	pa, pb := pipe.New(link)
	p.a = p.newHost(cfg, pa, "10.0.0.1", 1)
	p.b = p.newHost(cfg, pb, "10.0.0.2", 2)
	p.a.router.hop.RemoteMAC, p.b.router.hop.RemoteMAC = p.b.router.hop.LocalMAC, p.a.router.hop.LocalMAC
	return p
}

func (p *pair) newHost(cfg Config, port dataplane.Port, addr string, n byte) *host {
	h := &host{t: p.t, port: port, addr: netip.MustParseAddr(addr), events: make(map[*Conn]tcp.Events)}
	h.router = &fakeRouter{hop: Hop{LocalMAC: [6]byte{2, 0, 0, 0, 0, n}, MTU: 1500, Src: h.addr}, generation: 1}
	cfg.Addrs = NewAddrSet(h.addr)
	cfg.Pool = &p.pool
	cfg.Key[0] ^= n
	h.e = New(cfg, port, h.router)
	return h
}

func (h *host) listen(port uint16) *Listener {
	h.t.Helper()
	l, err := h.e.Listen(ListenConfig{
		Local: netip.AddrPortFrom(netip.Addr{}, port), Acceptor: h, Options: Options{Claim: h},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return l
}

func (p *pair) dial(port uint16) *Conn {
	p.t.Helper()
	c, err := p.a.e.Connect(p.now, ConnectConfig{
		Remote: netip.AddrPortFrom(p.b.addr, port), Options: Options{Observer: p.a, NoDelay: true},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// step lets both engines work until neither has anything to do at this moment.
func (p *pair) step() {
	p.t.Helper()
	for range 100_000 {
		p.now += 1000
		a, b := p.a.e.Step(p.now), p.b.e.Step(p.now)
		if !a && !b {
			return
		}
	}
	p.t.Fatal("the engines never come to rest")
}

// run lets time pass, from deadline to deadline.
func (p *pair) run(d time.Duration) {
	p.t.Helper()
	end := p.now.Add(d)
	for {
		p.step()
		next := min(p.a.e.Deadline(), p.b.e.Deadline())
		if next > end {
			p.now = max(p.now, end)
			return
		}
		p.now = max(p.now, next)
	}
}

// connect makes a connection between the two.
func (p *pair) connect(port uint16) (a, b *Conn) {
	p.t.Helper()
	n := len(p.b.accepted)
	a = p.dial(port)
	p.step()
	if len(p.b.accepted) != n+1 {
		p.t.Fatalf("accepted %d connections, want %d", len(p.b.accepted), n+1)
	}
	return a, p.b.accepted[n]
}

func (p *pair) wantState(c *Conn, want tcp.State) {
	p.t.Helper()
	if got := c.Status().State(); got != want {
		p.t.Errorf("state %v, want %v", got, want)
	}
}

// close ends both engines and looks for what was left behind.
func (p *pair) close() {
	p.t.Helper()
	p.a.e.Close(p.now)
	p.b.e.Close(p.now)
	for _, h := range []*host{p.a, p.b} {
		if err := h.port.Close(); err != nil {
			p.t.Error(err)
		}
		if s := h.e.Stats(); s.Conns != 0 || s.TimeWaits != 0 || s.Listeners != 0 || s.HalfOpen != 0 {
			p.t.Errorf("left behind: %+v", s)
		}
	}
	if p.b.claims != 0 {
		p.t.Errorf("%d claims are still held", p.b.claims)
	}
}

// TestTransfer sends data both ways and closes in good order: nothing is left but TIME-WAIT,
// and after two MSL not even that.
func TestTransfer(t *testing.T) {
	p := newPair(t, Config{}, pipe.Config{})
	l := p.b.listen(80)
	a, b := p.connect(80)
	p.wantState(a, tcp.StateEstablished)
	p.wantState(b, tcp.StateEstablished)

	data := make([]byte, 5<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var got []byte
	buf := make([]byte, 100_000)
	for sent := 0; len(got) < len(data); {
		sent += a.Send().Write(data[sent:])
		a.PostWrite()
		p.run(time.Millisecond)
		n := b.Recv().Read(buf)
		got = append(got, buf[:n]...)
		if b.Recv().UpdateDue() {
			b.PostRead()
		}
	}
	if !bytes.Equal(got, data) {
		t.Error("what arrived is not what was sent")
	}
	a.PostClose()
	p.run(time.Second)
	if !b.Status().PeerFinished() {
		t.Error("the peer's FIN was not seen")
	}
	b.PostClose()
	p.run(time.Second)
	if s := p.a.e.Stats(); s.Conns != 0 || s.TimeWaits != 1 {
		t.Errorf("got %d connections and %d in TIME-WAIT, want 0 and 1", s.Conns, s.TimeWaits)
	}
	if s := p.b.e.Stats(); s.Conns != 0 {
		t.Errorf("the passive side has %d connections, want 0", s.Conns)
	}
	p.run(61 * time.Second)
	if s := p.a.e.Stats(); s.TimeWaits != 0 {
		t.Errorf("after 2 MSL %d are in TIME-WAIT, want 0", s.TimeWaits)
	}
	if p.pool.InUse() != 0 {
		t.Errorf("%d octets of buffers in use, want 0", p.pool.InUse())
	}
	if p.b.claims != 0 {
		t.Errorf("%d claims are held, want 0", p.b.claims)
	}
	l.Close(p.now)
	p.close()
}
