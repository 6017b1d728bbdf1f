package engine

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// post sends a segment, of which the last octet is flipped if it is spoilt, and does not have the
// engine look at it yet.
func (p *peer) post(s wire.Segment, spoilt bool) {
	p.t.Helper()
	s.WND = 65535
	f := p.build(s)
	if spoilt {
		f[len(f)-1] ^= 1
	}
	p.frame(func(b []byte) int { return copy(b, f) })
}

// The segments of a batch are mostly of one connection, whose payload is put in its place while it
// is summed. What does not belong to it, or does not add up, is none of its business.
func TestBatchOfOneFlow(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.open(1000)
	data := bytes.Repeat([]byte("abcdefghijklmnopqrstuvwxyz"), 1000)
	at := func(from, to int) wire.Segment {
		return wire.Segment{SEQ: nxt.Add(from), ACK: ack, Flags: wire.ACK, Payload: data[from:to]}
	}
	p.post(at(0, 1400), false)
	p.post(at(1400, 2800), true)
	p.post(at(1400, 2800), false)
	stranger := at(2800, 4000)
	stranger.SrcPort = 1001
	p.post(stranger, false)
	p.post(at(2800, 4000), true)
	p.post(at(4000, 5400), false) // behind a hole
	p.post(at(2800, 4000), true)
	p.post(at(2800, 4000), false)
	for n := 5400; n < len(data); n += 1400 {
		p.post(at(n, min(n+1400, len(data))), false)
	}
	p.settle()
	got := make([]byte, len(data)+1)
	if got = got[:p.h.accepted[0].Recv().Read(got)]; !bytes.Equal(got, data) {
		t.Errorf("read %d octets, not the %d that were sent", len(got), len(data))
	}
	if d := p.h.e.Stats().Drop; d.TCPChecksum != 3 || d.NoListener != 0 {
		t.Errorf("got %+v, want three TCPChecksum", d)
	}
	resets := 0
	for s, ok := p.recv(); ok; s, ok = p.recv() {
		if s.Flags&wire.RST != 0 {
			resets++
		}
	}
	if resets != 1 {
		t.Errorf("%d resets, want one for the stranger", resets)
	}
}

// A connection that ends within a batch is not found any more by what follows in it.
func TestFlowEndsWithinABatch(t *testing.T) {
	p := newPeer(t, Config{})
	p.h.listen(80)
	nxt, ack := p.open(1000)
	data := wire.Segment{SEQ: nxt, ACK: ack, Flags: wire.ACK, Payload: []byte("data")}
	p.post(data, false)
	reset := data
	reset.SEQ, reset.Flags, reset.Payload = nxt.Add(4), wire.RST|wire.ACK, nil
	p.post(reset, false)
	late := data
	late.SEQ = nxt.Add(4)
	p.post(late, false)
	other := wire.Segment{SEQ: seq.Num(77), Flags: wire.SYN}
	p.settle()
	p.wantNothing() // CLOSED, and served at the end of the batch: it does not answer
	p.post(other, false)
	p.settle()
	p.want(wire.SYN | wire.ACK)
	if got := p.h.e.Stats(); got.Conns != 0 || got.HalfOpen != 1 {
		t.Errorf("%d connections and %d half open, want the new one half open alone", got.Conns, got.HalfOpen)
	}
}
