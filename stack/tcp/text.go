package tcp

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// inputText is the seventh and eighth step: take the data, then the FIN. The urgent pointer
// of the sixth step is not looked at: urgent data stays in line (RFC 6093, section 3.3).
func (c *Conn) inputText(now mono.Time, seg *wire.Segment) {
	if !c.state.receives() {
		if c.state == StateTimeWait && seg.LEN() > 0 {
			// "Ignore the segment text", but it is a peer that has not heard our ACK, or another.
			c.answer(now, &c.p.Stats.TCPACKSkippedTimeWait)
		}
		return
	}
	if seg.Flags.Has(wire.FIN) {
		c.noteFIN(now, seg)
	}
	if seg.DataLen() > 0 {
		if c.life.closed || c.life.readEnded && c.state != StateEstablished {
			c.lose(seg)
			return
		}
		c.takeData(now, seg)
		c.tuneReceive(now, seg)
	}
	if c.rcv.finAhead && c.rcv.finSEQ == c.rcv.NXT {
		c.takeFIN(now)
	}
}

// lose ends a connection on which data came that nobody will read: both sides are ended. What
// answers a segment with an ACK is <SEQ=SEG.ACK><CTL=RST> (RFC 9293, section 3.5.2). Who has not
// closed is told that it was reset, as on Linux.
func (c *Conn) lose(seg *wire.Segment) {
	c.p.Stats.TCPAbortOnData++
	c.refuse(seg.ACK)
	if c.life.closed {
		c.end(Aborted)
		return
	}
	c.end(Reset)
}

// noteFIN takes note of where the peer's stream ends, before the segment's data is taken. Where it
// said so first stands, and nothing lies behind: what is kept beyond is forgotten.
func (c *Conn) noteFIN(now mono.Time, seg *wire.Segment) {
	if !c.rcv.finAhead {
		c.rcv.finAhead, c.rcv.finSEQ = true, seg.SEQ.Add(seg.DataLen())
		c.rcv.holes.cut(c.rcv.finSEQ)
	}
	if seg.DataLen() == 0 && c.rcv.finSEQ != c.rcv.NXT {
		c.oweDuplicate(now)
	}
}

// takeData puts a segment's octets at their place in the receive queue.
func (c *Conn) takeData(now mono.Time, seg *wire.Segment) {
	at := seg.SEQ
	if c.rcv.finAhead && c.rcv.finSEQ.Less(at.Add(seg.DataLen())) {
		// Data behind the FIN is a mistake of the peer; its FIN stands.
		seg.CutTo(c.rcv.finSEQ.Sub(at))
	}
	n := seg.DataLen()
	if n == 0 {
		c.oweDuplicate(now)
		return
	}
	c.noteSize(n)
	if at.Sub(c.rcv.NXT) > 0 {
		c.takeAhead(now, seg)
		return
	}
	if c.p.Recv.Refuses(c.rcv.off, n) {
		// As if it had been lost on the way: the peer was offered more than there is now.
		c.p.Stats.TCPRcvQDrop++
		c.oweDuplicate(now)
		return
	}
	c.noteDuplicateAhead(seq.Range{Start: at, End: at.Add(n)})
	c.store(seg, c.rcv.off)
	filled := c.rcv.holes.count() > 0
	next := c.rcv.holes.advance(c.rcv.NXT.Add(n))
	c.rcv.off += uint64(next.Sub(c.rcv.NXT))
	c.count.received += uint64(next.Sub(c.rcv.NXT))
	c.rcv.NXT = next
	c.events |= Readable
	c.ackData(now, n, filled, seg.Flags.Has(wire.PSH) && n < c.fullSized())
}

// takeAhead keeps octets that came out of order. "A TCP receiver SHOULD send an immediate
// duplicate ACK when an out-of-order segment arrives" (RFC 5681, section 3.2).
func (c *Conn) takeAhead(now mono.Time, seg *wire.Segment) {
	r := seq.Range{Start: seg.SEQ, End: seg.SEQ.Add(seg.DataLen())}
	if c.p.Recv.RefusesAhead() {
		c.pruneAhead()
		c.p.Stats.TCPOFODrop++
		c.oweDuplicate(now)
		return
	}
	c.noteDuplicateAhead(r)
	if !c.rcv.holes.add(r, c.rangesRoom()) {
		// Too many holes: as if it had been lost on the way.
		c.p.Stats.TCPOFODrop++
		c.oweDuplicate(now)
		return
	}
	c.p.Stats.TCPOFOQueue++
	c.store(seg, c.rcv.off+uint64(r.Start.Sub(c.rcv.NXT)))
	c.oweDuplicate(now)
}

// noteSize takes note of how large the peer's segments are. One that is larger than what we
// offered is several, which a kernel on this machine has not cut, or has joined.
func (c *Conn) noteSize(n int) {
	c.rcv.segMax = max(c.rcv.segMax, min(n, c.fullSized()))
}

// fullSized is the most data in a segment of the peer, as we have offered.
func (c *Conn) fullSized() int {
	if c.rcv.tsOK {
		return c.p.MSS - timestampsLen
	}
	return c.p.MSS
}

// store writes into the receive queue, unless nobody will read.
func (c *Conn) store(seg *wire.Segment, off uint64) {
	if c.life.readShut {
		return
	}
	if seg.Placed {
		c.p.Recv.Written(off + uint64(seg.DataLen()))
		return
	}
	c.p.Recv.WriteAt(seg.Payload, off)
	off += uint64(len(seg.Payload))
	for _, p := range seg.Rest {
		c.p.Recv.WriteAt(p, off)
		off += uint64(len(p))
	}
}

// ackData owes an ACK for n octets that came in order: at once when they filled a hole or
// the peer is starting, for every second full-sized segment, and else after a while.
//
// "A TCP SHOULD send an ACK for at least every second full-sized segment or 2*RMSS bytes
// of new data", "the delay MUST be less than 0.5 seconds".
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.3
//
// Where the configuration says so, one ACK covers what came at once, up to AckFold: each ACK
// costs both ends a packet, and a sender of bulk data learns nothing by them. Not at the start,
// when they are what opens its window, and not on a path that loses: a sender whose one ACK of
// a whole window is lost waits for its timer. There, what comes after a silence is acknowledged
// at once, for it may well be that sender's probe.
//
// short says that the segment ends what the peer had to send for now: its ACK may wait for the
// answer, see HoldACK.
func (c *Conn) ackData(now mono.Time, n int, filled, short bool) {
	r := &c.rcv
	r.ackAhead += n
	fold := c.cfg.AckFold
	if r.lossy > 0 {
		r.lossy--
		fold = 0
		if now.Sub(r.dataAt) > max(c.rtt.srtt, probeTimeoutMin) {
			c.owe.ack = true
		}
	}
	r.dataAt = now
	if filled {
		c.owe.ack = true
	}
	if r.quick > 0 {
		r.quick--
		if short && r.lossy == 0 {
			c.owe.soon = true
		} else {
			c.owe.ack = true
		}
	}
	every := c.cfg.AckEvery * r.segMax
	if r.ackAhead >= every && r.quick == 0 && r.ackAhead < fold*r.segMax {
		c.owe.ack = true
	} else if r.ackAhead >= every {
		r.ackAhead = 0
		c.owe.early.add(r.NXT)
		return
	}
	if !c.owe.ack && c.timers[timerDelayedACK] == mono.Never {
		c.timers[timerDelayedACK] = now.Add(c.cfg.DelayedACK)
	}
}

// takeFIN is the eighth step: the peer has ended its side, and all its data is here.
func (c *Conn) takeFIN(now mono.Time) {
	c.rcv.NXT = c.rcv.NXT.Add(1)
	c.rcv.edge = seq.Max(c.rcv.edge, c.rcv.NXT)
	c.rcv.fin, c.rcv.finAhead = true, false
	c.rcv.holes.hasDuplicate = false // who has sent all has nothing to learn from it
	c.events |= Readable
	if c.state == StateEstablished {
		c.owe.soon = true
	} else {
		c.owe.ack = true
	}
	switch c.state {
	case StateEstablished:
		c.setState(StateCloseWait)
	case StateFinWait1:
		c.setState(StateClosing)
		c.closing(now)
	case StateFinWait2:
		c.timeWait(now)
	case StateClosed, StateListen, StateSynSent, StateSynReceived, StateCloseWait,
		StateClosing, StateLastAck, StateTimeWait:
	}
}

// lossyFor is how many segments in order a path counts as one that loses, after one that came out
// of order or twice: a loss rate of a tenth of a per cent keeps it so.
const lossyFor = 1000

// oweDuplicate owes one more immediate ACK: the peer counts them.
func (c *Conn) oweDuplicate(now mono.Time) {
	c.rcv.lossy = lossyFor
	if c.owe.dups < dupsMax {
		c.owe.dups++
	}
}

// dupsMax bounds the duplicate ACKs owed at once: one for each frame of a step, which takes four
// batches of 64.
const dupsMax = 256

// ackPoints are values of RCV.NXT that are to be acknowledged one by one.
type ackPoints struct {
	at [ackPointsMax]seq.Num
	n  int32
}

// ackPointsMax: a batch of 64 frames owes at most 32 ACKs, one for every second. More fold
// into the last.
const ackPointsMax = 32

func (a *ackPoints) add(n seq.Num) {
	if a.n < ackPointsMax {
		a.n++
	}
	a.at[a.n-1] = n
}

// take returns the first point.
func (a *ackPoints) take() seq.Num {
	first := a.at[0]
	copy(a.at[:], a.at[1:a.n])
	a.n--
	return first
}
