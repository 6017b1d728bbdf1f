package engine

import (
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// queues is the two queues of one host, of which the first dials, and its peer.
type queues struct {
	*peer
	first, second *host
	far           dataplane.Port // of the second queue
	conn          *Conn
	moves         []*Engine
	seg           wire.Segment // the answer to its SYN
}

// ConnEvent is an Observer's.
func (q *queues) ConnEvent(c *Conn, e tcp.Events) { q.first.ConnEvent(c, e) }

// ConnMoved is a Mover's.
func (q *queues) ConnMoved(_ *Conn, to *Engine) { q.moves = append(q.moves, to) }

// newQueues returns a host that has sent a SYN by its first queue.
func newQueues(t *testing.T) *queues {
	t.Helper()
	dir := NewDirectory()
	q := &queues{peer: newPeer(t, Config{Directory: dir})}
	pa, pb := pipe.New(pipe.Config{})
	q.first, q.far = q.h, pa
	q.second = q.newHost(Config{Directory: dir}, pb, "10.0.0.2", 2)
	q.second.router.hop.RemoteMAC = [6]byte{2, 0, 0, 0, 0, 1}
	var err error
	q.conn, err = q.first.e.Connect(q.now, ConnectConfig{
		Remote: netip.AddrPortFrom(q.addr, 1000), Options: Options{Observer: q, NoDelay: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	q.settle()
	syn := q.want(wire.SYN)
	q.seg = wire.Segment{
		SrcPort: 1000, DstPort: syn.SrcPort, SEQ: 7, ACK: syn.SEQ + 1, WND: 65535, Flags: wire.SYN | wire.ACK,
	}
	return q
}

// on has the answer arrive on a queue.
func (q *queues) on(e *Engine) {
	t := q.template()
	b := make([]byte, 100)
	n := wire.PutTCP(b[t.Len():], &q.seg)
	t.Put(b, n, 0)
	b = b[:t.Len()+n]
	t.Finish(b)
	e.in.frame, e.in.rest = b, nil
	e.frameIn(q.now, nil)
}

// wantAt checks which queue has the connection.
func (q *queues) wantAt(h, other *host) {
	q.t.Helper()
	if h.e.Held() != 1 || other.e.Held() != 0 || q.conn.Engine() != h.e || q.conn.moving {
		q.t.Errorf("the queue has %d connections and the other one %d, want 1 and 0", h.e.Held(), other.e.Held())
	}
}

// both steps both queues until they have nothing to do.
func (q *queues) both() {
	for range 100 {
		q.now += 1000
		if a, b := q.first.e.Step(q.now), q.second.e.Step(q.now); !a && !b {
			return
		}
	}
	q.t.Fatal("the queues never come to rest")
}

// The answer to our SYN comes on another queue: the connection goes there, with what the
// application has posted before, meanwhile and after.
func TestMove(t *testing.T) {
	q := newQueues(t)
	q.conn.PostRead()
	q.on(q.second.e)
	q.first.e.Step(q.now)
	q.conn.Send().Write([]byte("hello"))
	q.conn.PostWrite()
	q.on(q.second.e) // its twin overtakes the connection
	q.on(q.first.e)  // and one comes by the old way
	q.both()
	q.wantAt(q.second, q.first)
	if len(q.moves) != 1 || q.moves[0] != q.second.e {
		t.Errorf("the observer heard of %d moves, want one", len(q.moves))
	}
	if !q.conn.Status().Open() {
		t.Errorf("the connection is %v", q.conn.Status().State())
	}
	q.wantNothing() // by the old queue
	q.port = q.far
	var got string
	for s, ok := q.recv(); ok; s, ok = q.recv() {
		if s.Flags&wire.RST != 0 {
			t.Errorf("got %v", s.Flags)
		}
		got += string(s.Payload)
	}
	if got != "hello" {
		t.Errorf("got %q", got)
	}
	one, two := q.first.e.Stats(), q.second.e.Stats()
	if one.Moved != 1 || two.Moved != 0 || one.Conns != 0 || two.Conns != 1 {
		t.Errorf("moved %d and %d, there are %d and %d", one.Moved, two.Moved, one.Conns, two.Conns)
	}
	if one.ResetsSent+two.ResetsSent+one.Drop.NoListener+two.Drop.NoListener != 0 {
		t.Errorf("a segment met no connection: %+v %+v", one, two)
	}
	q.conn.PostAbort()
	q.both()
	if q.pool.InUse() != 0 || q.second.e.Held() != 0 {
		t.Errorf("%d octets and %d connections are left", q.pool.InUse(), q.second.e.Held())
	}
}

// The answer comes on the queue that has sent the SYN: nothing moves, and what comes on the other
// one later is forwarded.
func TestStay(t *testing.T) {
	q := newQueues(t)
	q.on(q.first.e)
	q.both()
	q.wantAt(q.first, q.second)
	q.on(q.second.e)
	q.both()
	q.wantAt(q.first, q.second)
	if got := q.second.e.Stats().Forwarded; got != 1 || len(q.moves) != 0 {
		t.Errorf("%d frames were forwarded and %d moves made, want 1 and 0", got, len(q.moves))
	}
}

// A connection that its application has given up ends where it is, and so does one whose new
// worker has ended.
func TestMoveRefused(t *testing.T) {
	q := newQueues(t)
	q.on(q.second.e)
	q.second.e.Close(q.now)
	q.first.e.Step(q.now)
	q.wantAt(q.first, q.second)
	if !q.conn.Status().Open() {
		t.Errorf("the connection is %v", q.conn.Status().State())
	}
	q = newQueues(t)
	q.conn.PostAbort()
	q.first.e.Step(q.now)
	q.on(q.second.e)
	q.both()
	if q.first.e.Held()+q.second.e.Held() != 0 || len(q.moves) != 0 {
		t.Errorf("%d and %d connections are left", q.first.e.Held(), q.second.e.Held())
	}
}

// An engine ends with a connection on its way to it: that is ended too.
func TestMoveBeforeClose(t *testing.T) {
	q := newQueues(t)
	q.on(q.second.e)
	q.first.e.Step(q.now)
	q.second.e.Close(q.now)
	if !q.conn.Status().Gone() || q.second.e.Held()+q.first.e.Held() != 0 || q.pool.InUse() != 0 {
		t.Errorf("the connection is %v", q.conn.Status().State())
	}
}
