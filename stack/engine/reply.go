package engine

import (
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// reply is a segment that no connection sends: an RST to a stranger, an ACK on behalf of one
// in TIME-WAIT, which go back where the packet came from without asking for a route, or what
// a half-open connection owes.
type reply struct {
	eth      wire.EthHeader
	src, dst netip.Addr
	seg      wire.Segment
}

// replies are those of the present step. One frame causes at most one.
type replies struct {
	buf [dataplane.BatchMax]reply
	n   int
}

// resetsPerSec bounds the RSTs to strangers: a port scan or forged sources get at most half
// a megabyte a second of answers out of us.
const resetsPerSec = 5000

// budget is a bucket of tokens that fills with time.
type budget struct {
	tokens int
	at     mono.Time
}

// take takes a token, if there is one, of a bucket that holds a second's worth.
func (b *budget) take(now mono.Time, perSec int) bool {
	since := time.Second // of the first; what has gathered in more than that is no more
	if b.at != 0 {
		since = min(since, now.Sub(b.at))
	}
	if fill := int(since * time.Duration(perSec) / time.Second); fill > 0 {
		b.tokens = min(b.tokens+fill, perSec)
		b.at = now
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// answer prepares a reply to in; nil if there are too many.
func (e *Engine) answer(in *inbound) *reply {
	r := &e.replies
	if r.n == len(r.buf) {
		e.stats.Drop.ReplyLimit++
		return nil
	}
	a := &r.buf[r.n]
	r.n++
	*a = reply{src: in.ip.Dst, dst: in.ip.Src}
	a.eth = wire.EthHeader{Dst: in.eth.Src, Src: in.eth.Dst, VLAN: in.eth.VLAN}
	a.seg.SrcPort, a.seg.DstPort = in.seg.DstPort, in.seg.SrcPort
	return a
}

// replyReset answers a segment for which there is no connection.
//
// "If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN>
// <CTL=RST,ACK>. If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST>."
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.7.1
func (e *Engine) replyReset(now mono.Time, in *inbound) {
	if !e.resets.take(now, resetsPerSec) {
		e.stats.Drop.ReplyLimit++
		return
	}
	a := e.answer(in)
	if a == nil {
		return
	}
	if in.seg.Flags&wire.ACK != 0 {
		a.seg.SEQ, a.seg.Flags = in.seg.ACK, wire.RST
	} else {
		a.seg.ACK, a.seg.Flags = in.seg.SEQ.Add(in.seg.LEN()), wire.RST|wire.ACK
	}
	e.stats.ResetsSent++
	e.stats.TCP.OutRsts++
}

// replyWith prepares the segment in b, a header without data, on behalf of a half-open
// connection. If there are too many replies it is lost: it will be repeated.
func (e *Engine) replyWith(k *flowKey, back wire.EthHeader, b []byte) {
	r := &e.replies
	if r.n == len(r.buf) {
		e.stats.Drop.ReplyLimit++
		return
	}
	a := &r.buf[r.n]
	*a = reply{eth: back, src: k.localAddr().Addr(), dst: k.remoteAddr().Addr()}
	if wire.ParseTCP(b, &a.seg) != nil {
		panic("BUG: engine: the core wrote a header that does not parse")
	}
	a.seg.Payload = nil
	r.n++
}

// sendReplies sends what was prepared. A reply for which there is no frame is dropped: the
// peer repeats what it answers.
func (e *Engine) sendReplies() bool {
	n := e.replies.n
	for i := range n {
		a := &e.replies.buf[i]
		f := e.frame()
		if f == nil {
			break
		}
		t, err := wire.NewTemplate(wire.TemplateConfig{Eth: a.eth, Src: a.src, Dst: a.dst})
		if err != nil {
			panic("BUG: engine: " + err.Error()) // both come from one packet
		}
		size := wire.PutTCP(f.Data[t.Len():], &a.seg)
		t.Put(f.Data, size, 0)
		f.Data = f.Data[:t.Len()+size]
		t.Finish(f.Data)
		e.stats.TXFrames++
		e.tx.next++
	}
	e.replies.n = 0
	return n > 0
}
