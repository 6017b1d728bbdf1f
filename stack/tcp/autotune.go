package tcp

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// rightSizing grows the receive buffer with what the application takes in a round trip, so
// that the window never limits a sender that the path and the reader keep up with: dynamic
// right-sizing (Fisk and Feng, 2001), as Linux has it.
type rightSizing struct {
	rtt   time.Duration // as the receiver sees it; 0 before a sample
	at    mono.Time     // when the present round trip began
	taken uint64        // what the application had read then
	space int32         // the most that it has read in a round trip

	// RCV.NXT from which on it is seen what the window does that was halved last; 0: none was.
	halved seq.Num

	// Without timestamps a round trip is the time in which a window's worth arrives.
	edge   uint64
	edgeAt mono.Time
}

// noteRTT takes a sample of the receiver's round trip. It leans to the smaller ones: data
// that comes late because there was none says nothing of the path.
func (r *rightSizing) noteRTT(d time.Duration) {
	d = max(d, time.Millisecond)
	if r.rtt == 0 || d < r.rtt {
		r.rtt = d
		return
	}
	r.rtt += (d - r.rtt) / 8
}

// tuneReceive is called when data has come in order: it measures, and once a round trip
// grows the buffer if the application takes as much as the window lets in.
func (c *Conn) tuneReceive(now mono.Time, seg *wire.Segment) {
	if c.rcv.halving && !c.rcv.NXT.Less(c.sizing.halved) {
		c.rcv.halving = false
	}
	if c.p.Scratch.Crowded {
		c.halveReceive()
		c.sizing.at = 0 // what is read meanwhile is no measure
		return
	}
	limit := c.p.Recv.Limit()
	if c.p.RecvMax <= limit || !c.p.Recv.MayGrow() {
		return
	}
	r := &c.sizing
	c.sampleReceiveRTT(now, seg)
	if r.at == 0 {
		r.at, r.taken = now, c.p.Recv.Taken()
		return
	}
	if r.rtt == 0 || now.Sub(r.at) < r.rtt {
		return
	}
	taken := c.p.Recv.Taken()
	copied := int(min(taken-r.taken, math.MaxInt32/4))
	r.at, r.taken = now, taken
	if copied <= int(r.space) {
		return
	}
	r.space = int32(copied)
	// Twice what is read now, for the sender may double it in the next round trip.
	want := 2*copied + sizingSlack*max(c.rcv.segMax, c.snd.mss)
	if r.halved != 0 {
		want = min(want, limit+limit/4)
	}
	if want > limit {
		c.p.Recv.SetLimit(min(want, c.p.RecvMax))
	}
}

// crowdedLeast is what the buffer is not halved below: a window without scaling.
const crowdedLeast = 64 << 10

// halveReceive halves a buffer that grows by itself, where what comes is more than the worker
// keeps up with: the senders do not know of each other, and each fills its window. Not again before
// that has had its effect; and from then on the buffer grows by a quarter in a round trip. The
// window closes as the reader reads: no octet that was offered is refused.
func (c *Conn) halveReceive() {
	r := &c.sizing
	if c.p.RecvMax == 0 || c.rcv.halving {
		return
	}
	limit := c.p.Recv.Limit()
	least := max(crowdedLeast, 2*max(c.rcv.segMax, c.snd.mss))
	if limit <= least {
		return
	}
	limit = max(limit/2, least)
	c.p.Recv.SetLimit(limit)
	r.space = int32(limit / 2)
	r.halved, c.rcv.halving = c.rcv.edge, true
}

// sizingSlack is how many segments are added to what a round trip needs.
const sizingSlack = 16

// sampleReceiveRTT measures by the echoed timestamp, or by the time a window takes.
func (c *Conn) sampleReceiveRTT(now mono.Time, seg *wire.Segment) {
	r := &c.sizing
	if c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && seg.Opt.TSEcr != 0 {
		if ms := int32(c.timestampClock(now) - seg.Opt.TSEcr); ms >= 0 {
			r.noteRTT(time.Duration(ms) * time.Millisecond)
		}
		return
	}
	switch {
	case r.edgeAt == 0:
	case c.rcv.off < r.edge:
		return
	default:
		r.noteRTT(now.Sub(r.edgeAt))
	}
	r.edge, r.edgeAt = c.rcv.off+uint64(max(0, c.rcv.edge.Sub(c.rcv.NXT))), now
}

// tuneSend is called when data was acknowledged: the send buffer holds two windows, one on
// its way and one that is written meanwhile. What counts is how much was on its way: a window
// that is not used needs no buffer, which would only be more memory to go through.
func (c *Conn) tuneSend() {
	limit := c.p.Send.Limit()
	if c.p.SendMax <= limit || !c.p.Send.MayGrow() {
		return
	}
	if want := 2 * min(c.cwnd(), c.ack.PriorFlight); want > limit {
		c.p.Send.SetLimit(min(want, c.p.SendMax))
	}
}

// FixReceiveBuffer ends the growth of the receive queue's limit, and FixSendBuffer that of
// the send queue's: the application has set it.
func (c *Conn) FixReceiveBuffer() { c.p.RecvMax = 0 }

// FixSendBuffer ends the growth of the send queue's limit.
func (c *Conn) FixSendBuffer() { c.p.SendMax = 0 }
