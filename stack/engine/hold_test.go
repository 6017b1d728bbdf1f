package engine

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// holder holds the ACK of what it is told of, as one who has woken the application does.
type holder struct{ told int }

func (h *holder) ConnEvent(c *Conn, e tcp.Events) {
	if e&Readable != 0 {
		h.told++
		c.HoldACK()
	}
}

// holding is a connection whose ACKs its observer holds, and which was asked something.
func holding(t *testing.T) (p *peer, c *Conn, ack seq.Num) {
	t.Helper()
	h := new(holder)
	p = newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.open(5000)
	c = p.h.accepted[0]
	c.SetObserver(h)
	c.SetHolds()
	p.send(wire.Segment{SEQ: nxt, ACK: ack, Flags: wire.ACK | wire.PSH, Payload: []byte("question")})
	p.wantNothing()
	if h.told != 1 || !c.Status().ACKHeld() {
		t.Fatalf("told %d times, held %v; want 1, true", h.told, c.Status().ACKHeld())
	}
	return p, c, ack
}

func TestAnswerCarriesACK(t *testing.T) {
	p, c, _ := holding(t)
	c.Send().Write([]byte("answer"))
	c.PostWrite()
	p.settle()
	if s := p.want(wire.PSH | wire.ACK); string(s.Payload) != "answer" || s.ACK != 5009 {
		t.Errorf("got %q with ACK %d, want the answer with 5009", s.Payload, s.ACK)
	}
	p.wantNothing()
	if c.Status().ACKHeld() {
		t.Error("the ACK is still held")
	}
}

func TestACKWithoutAnswer(t *testing.T) {
	p, c, _ := holding(t)
	c.PostACK()
	p.settle()
	if s := p.want(wire.ACK); s.ACK != 5009 {
		t.Errorf("got ACK %d, want 5009", s.ACK)
	}
	p.sleep(time.Second)
	p.wantNothing()
}

func TestHeldACKHasItsTime(t *testing.T) {
	p, c, _ := holding(t)
	p.sleep(time.Second)
	p.want(wire.ACK)
	if c.Status().ACKHeld() {
		t.Error("the ACK is still held")
	}
}

func TestCloseCarriesACKOfFIN(t *testing.T) {
	p, c, ack := holding(t)
	c.Recv().Read(make([]byte, 8))
	p.send(wire.Segment{SEQ: 5009, ACK: ack, Flags: wire.ACK | wire.FIN})
	p.wantNothing()
	c.PostClose()
	p.settle()
	if s := p.want(wire.FIN | wire.ACK); s.ACK != 5010 {
		t.Errorf("got ACK %d, want 5010", s.ACK)
	}
	p.wantNothing()
}
