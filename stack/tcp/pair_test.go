package tcp_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// end is one connection of a pair, with what its application would hold.
type end struct {
	tcp.Conn
	send  queue.Send
	recv  queue.Recv
	stats tcp.Stats
	wire  []flying // what the other end sent and is on its way here
	got   []byte
}

type flying struct {
	at   mono.Time
	b    []byte
	mark uint8 // ECN codepoint
}

// pair is two connections with a path of fixed delay between them, in virtual time.
type pair struct {
	t     testing.TB
	now   mono.Time
	delay time.Duration
	a, b  *end
	pool  queue.Pool
	// drop, if set, says whether the n-th segment of an end is lost.
	drop func(from *end, n int, seg *wire.Segment) bool
	// mark, if set, says whether the path marks the n-th segment of an end, if that allows it.
	mark func(from *end, n int, seg *wire.Segment) bool
	sent map[*end]int
	// onStep, if set, is called after each step.
	onStep func()
	buf    [2048]byte
}

func newPair(t testing.TB, ca, cb tcp.Config, buffer int) *pair {
	p := &pair{t: t, delay: 5 * time.Millisecond, sent: map[*end]int{}, now: mono.Time(time.Hour)}
	p.a, p.b = &end{}, &end{}
	for _, e := range []*end{p.a, p.b} {
		e.send.Init(&p.pool, buffer)
		e.recv.Init(&p.pool, buffer)
	}
	cfgA, cfgB := ca.WithDefaults(), cb.WithDefaults()
	p.a.Connect(p.now, &cfgA, tcp.Params{LocalPort: 1, RemotePort: 2, ISS: 0xfffff000, MSS: 1460,
		Send: &p.a.send, Recv: &p.a.recv, Stats: &p.a.stats})
	n := p.a.Output(p.now, p.buf[:])
	var syn wire.Segment
	if err := wire.ParseTCP(p.buf[:n], &syn); err != nil {
		t.Fatal(err)
	}
	p.now = p.now.Add(p.delay)
	p.b.Accept(p.now, &cfgB, tcp.Params{LocalPort: 2, RemotePort: 1, ISS: 0xffffff00, MSS: 1460,
		Send: &p.b.send, Recv: &p.b.recv, Stats: &p.b.stats}, &syn)
	return p
}

// flush moves what e has to send onto the path.
func (p *pair) flush(e, other *end) bool {
	moved := false
	for {
		n := e.Output(p.now, p.buf[:])
		if n == 0 {
			return moved
		}
		moved = true
		b := append([]byte(nil), p.buf[:n]...)
		p.sent[e]++
		var seg wire.Segment
		if err := wire.ParseTCP(b, &seg); err != nil {
			p.t.Fatalf("a segment that does not parse: %v", err)
		}
		if p.drop != nil && p.drop(e, p.sent[e], &seg) {
			continue
		}
		mark := e.OutputECN()
		if mark != wire.ECNNotECT && p.mark != nil && p.mark(e, p.sent[e], &seg) {
			mark = wire.ECNCE
		}
		other.wire = append(other.wire, flying{p.now.Add(p.delay), b, mark})
	}
}

// step moves to the next thing that happens. It says no when nothing will.
func (p *pair) step() bool {
	p.flush(p.a, p.b)
	p.flush(p.b, p.a)
	next := min(p.a.Deadline(), p.b.Deadline())
	for _, e := range []*end{p.a, p.b} {
		if len(e.wire) > 0 {
			next = min(next, e.wire[0].at)
		}
	}
	if next == mono.Never {
		return false
	}
	if next < p.now {
		p.t.Fatalf("time runs backwards: %d after %d", next, p.now)
	}
	p.now = next
	for _, e := range []*end{p.a, p.b} {
		for len(e.wire) > 0 && e.wire[0].at <= p.now {
			var seg wire.Segment
			if err := wire.ParseTCP(e.wire[0].b, &seg); err != nil {
				p.t.Fatal(err)
			}
			seg.ECN = e.wire[0].mark
			e.wire = e.wire[1:]
			e.Input(p.now, &seg)
		}
		e.Tick(p.now)
	}
	if p.onStep != nil {
		p.onStep()
	}
	return true
}

// read takes what the application can read.
func (p *pair) read(e *end) {
	buf := make([]byte, 4096)
	for {
		n := e.recv.Read(buf)
		if n == 0 {
			return
		}
		e.got = append(e.got, buf[:n]...)
		e.Consumed(p.now)
	}
}

// transfer sends data from x to y and steps until all of it is there and both are closed.
func (p *pair) transfer(x, y *end, data []byte) {
	p.t.Helper()
	rest, closed := data, false
	for range 2_000_000 {
		if x.State().Synchronized() {
			rest = rest[x.send.Write(rest):]
			if len(rest) == 0 && !closed {
				closed = true
				x.CloseWrite(p.now)
			}
		}
		p.read(y)
		if y.PeerFinished() && y.recv.Len() == 0 {
			y.CloseWrite(p.now)
		}
		if !p.step() {
			break
		}
	}
	p.read(y)
	if !bytes.Equal(y.got, data) {
		p.t.Fatalf("got %d octets, want %d, equal so far: %v", len(y.got), len(data), bytes.HasPrefix(data, y.got))
	}
	for _, e := range []*end{p.a, p.b} {
		if e.State() != tcp.StateClosed || e.Cause() != tcp.None {
			p.t.Errorf("an end is %v, cause %v; want CLOSED, none", e.State(), e.Cause())
		}
	}
	p.a.recv.Shut()
	p.b.recv.Shut()
	if n := p.pool.InUse(); n != 0 {
		p.t.Errorf("%d octets of buffers are still in use", n)
	}
}

// pattern returns the first n octets of a fixed stream. Do not change them.
func pattern(n int) []byte {
	for r := rand.New(rand.NewPCG(1, uint64(len(stream)))); len(stream) < n; {
		stream = append(stream, byte(r.Uint32()))
	}
	return stream[:n:n]
}

var stream []byte

func TestTransferWithoutLoss(t *testing.T) {
	for _, n := range []int{0, 1, 1460, 100_000, 3_000_000} {
		p := newPair(t, tcp.Config{}, tcp.Config{}, 1<<18)
		p.transfer(p.a, p.b, pattern(n))
		if got := p.a.stats.RetransSegs; got != 0 {
			t.Errorf("%d octets: %d retransmissions, want 0", n, got)
		}
	}
}

func TestTransferToTheConnectingSide(t *testing.T) {
	p := newPair(t, tcp.Config{}, tcp.Config{}, 1<<16)
	p.transfer(p.b, p.a, pattern(500_000))
}

func TestTransferWithLoss(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 7))
		cfg := tcp.Config{NoSACK: seed%2 == 0, NoTimestamps: seed%3 == 0, NoWindowScale: seed%5 == 0}
		p := newPair(t, cfg, tcp.Config{}, 1<<(12+seed%8))
		loss := 0.01 * float64(1+seed%20)
		p.drop = func(*end, int, *wire.Segment) bool { return r.Float64() < loss }
		p.transfer(p.a, p.b, pattern(200_000))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
