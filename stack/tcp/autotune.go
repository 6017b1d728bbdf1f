package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// rightSizing grows the receive buffer with what the application takes in a round trip, so
// that the window never limits a sender that the path and the reader keep up with: dynamic
// right-sizing (Fisk and Feng, 2001), as Linux has it.
type rightSizing struct {
	rtt   time.Duration // as the receiver sees it; 0 before a sample
	at    mono.Time     // when the present round trip began
	taken uint64        // what the application had read then
	space int           // the most that it has read in a round trip

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
	copied := int(taken - r.taken)
	r.at, r.taken = now, taken
	if copied <= r.space {
		return
	}
	r.space = copied
	// Twice what is read now, for the sender may double it in the next round trip.
	if want := 2*copied + sizingSlack*max(c.rcv.segMax, c.snd.mss); want > limit {
		c.p.Recv.SetLimit(min(want, c.p.RecvMax))
	}
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
