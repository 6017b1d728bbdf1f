package tcp

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Output writes the next due segment, header and payload without checksum, into b and
// returns its length; 0 when nothing is due. It is the only emitter, and is called until it
// returns 0. b has room for a header of 60 octets and as much payload as the path carries.
func (c *Conn) Output(now mono.Time, b []byte) int {
	c.Settle()
	c.ecn.out = wire.ECNNotECT
	switch {
	case c.owe.rst:
		return c.putRST(now, b)
	case c.state == StateClosed || c.state == StateListen:
		return 0
	case c.owe.syn:
		return c.putSYN(now, b)
	case !c.state.Synchronized():
		return c.putUnopened(now, b)
	case c.owe.dups > 0:
		c.owe.dups--
		return c.putACK(now, b, c.rcv.NXT)
	}
	if n := c.putData(now, b); n > 0 {
		return n
	}
	switch {
	case c.owe.probe:
		c.owe.probe = false
		return c.putProbe(now, b)
	case c.owe.early.n > 0:
		if at := c.owe.early.take(); at != c.rcv.NXT {
			return c.putACK(now, b, at)
		}
		return c.putACK(now, b, c.rcv.NXT)
	case c.owe.ack || c.owe.soon:
		return c.putACK(now, b, c.rcv.NXT)
	case c.owe.update:
		c.owe.update = false
		if c.updateDue() {
			return c.putACK(now, b, c.rcv.NXT)
		}
	}
	return 0
}

// OutputPieces is Output for a segment that may be longer than b: what of it has no room there
// goes into the pieces of rest, in order.
func (c *Conn) OutputPieces(now mono.Time, b []byte, rest [][]byte) int {
	c.p.Scratch.rest = rest
	n := c.Output(now, b)
	c.p.Scratch.rest = nil
	return n
}

// roomOf is how long a segment in b and the further pieces can be.
func (c *Conn) roomOf(b []byte) int {
	n := len(b)
	for _, p := range c.p.Scratch.rest {
		n += len(p)
	}
	return n
}

// readOut copies n octets of the send queue, from off on, into b and the further pieces.
func (c *Conn) readOut(b []byte, n int, off uint64) int {
	done := c.copyOut(b[:min(n, len(b))], off, 0)
	for _, p := range c.p.Scratch.rest {
		if done == n {
			break
		}
		done += c.copyOut(p[:min(n-done, len(p))], off+uint64(done), done)
	}
	return done
}

// copyOut fills b, before which done octets of the segment's payload lie, from off on. They are
// passed over once for both, the copy and the sum.
func (c *Conn) copyOut(b []byte, off uint64, done int) int {
	x := c.p.Scratch
	if !x.Sums {
		return c.p.Send.ReadAt(b, off)
	}
	n := 0
	for n < len(b) {
		from := c.p.Send.View(off + uint64(n))
		if len(from) == 0 {
			break
		}
		from = from[:min(len(from), len(b)-n)]
		x.sum = wire.Combine(x.sum, done+n, wire.CopySum(b[n:], from))
		n += len(from)
	}
	return n
}

// OutputSum returns the sum of the segment that Output wrote last, with its payload if
// Scratch.Sums says so.
func (c *Conn) OutputSum() wire.Partial { return c.p.Scratch.sum }

// putRST is an abort, <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>, or the answer to an ACK that
// cannot be, <SEQ=SEG.ACK><CTL=RST>.
func (c *Conn) putRST(now mono.Time, b []byte) int {
	c.p.Stats.OutRsts++
	var seg wire.Segment
	c.segment(&seg, c.owe.rstSEQ, wire.RST|wire.ACK)
	if c.owe.rstBare {
		seg.Flags, seg.ACK = wire.RST, 0
	} else if c.rcv.tsOK {
		c.putTimestamps(now, &seg.Opt)
	}
	c.owe.rst, c.owe.rstBare = false, false
	return c.put(b, &seg)
}

// putSYN is SYN, or SYN and ACK, with the options. Its window is never scaled.
func (c *Conn) putSYN(now mono.Time, b []byte) int {
	c.owe.syn = false
	var seg wire.Segment
	c.segment(&seg, c.p.ISS, wire.SYN)
	o := &seg.Opt
	o.Has |= wire.HasMSS
	o.MSS = uint16(min(c.p.MSS, 0xffff))
	answer := c.state == StateSynReceived
	if c.rcv.scaleOK {
		o.Has |= wire.HasWScale
		o.WScale = c.rcv.shift
	}
	if c.rcv.sackOK {
		o.Has |= wire.HasSACKPermitted
	}
	if c.rcv.tsOK {
		c.putTimestamps(now, o)
	}
	window := c.windowOfSYN()
	if answer {
		seg.Flags |= wire.ACK | c.ecnAnswer()
		if c.ecn.kind == ecnAccurate && c.count.synResent == 0 && !c.cfg.NoECNOption {
			o.Has |= wire.HasAccECN
			o.AccECN = c.ecn.report.option(wire.AccECNFields)
		}
		seg.ACK = c.rcv.NXT
		c.rcv.edge = seq.Max(c.rcv.edge, c.rcv.NXT.Add(window))
	}
	if !answer {
		seg.Flags |= c.ecnAsk()
	}
	seg.WND = uint16(window)
	c.snd.NXT = c.p.ISS.Add(1)
	c.snd.sentAt = now
	c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	return c.put(b, &seg)
}

// putUnopened is what is owed besides SYN before the handshake is done: an answer to what is not
// acceptable, or is challenged.
func (c *Conn) putUnopened(now mono.Time, b []byte) int {
	if c.state != StateSynReceived || !c.owe.ack && c.owe.dups == 0 {
		return 0
	}
	c.owe.dups = 0
	return c.putACK(now, b, c.rcv.NXT)
}

// windowOfSYN is the window that a SYN offers.
func (c *Conn) windowOfSYN() int { return min(c.p.Recv.Limit(), 0xffff) }

// putProbe is a segment that the peer must answer because it lies before its window: the
// last octet acknowledged, without data. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.4
func (c *Conn) putProbe(now mono.Time, b []byte) int {
	var seg wire.Segment
	c.segment(&seg, c.snd.UNA.Add(-1), wire.ACK)
	c.stamp(now, &seg, true)
	return c.put(b, &seg)
}

// putACK is an ACK without data, of octet at.
func (c *Conn) putACK(now mono.Time, b []byte, at seq.Num) int {
	var seg wire.Segment
	c.segment(&seg, c.snd.NXT, wire.ACK)
	seg.ACK = at
	c.stamp(now, &seg, true)
	c.p.Stats.TCPPureAcks++
	return c.put(b, &seg)
}

// segment makes seg, which is zero, a segment of this connection without data. It does so in
// place: a processor that is to copy what it has just written field by field waits for that.
func (c *Conn) segment(seg *wire.Segment, at seq.Num, flags wire.Flags) {
	seg.SrcPort, seg.DstPort = c.p.LocalPort, c.p.RemotePort
	seg.SEQ, seg.ACK, seg.Flags = at, c.rcv.NXT, flags
}

// stamp adds what every segment after the handshake carries: the window, timestamps, and
// SACK blocks as long as there are holes, and what ECN has to tell. pure: it has no data. What
// it tells is no longer owed.
func (c *Conn) stamp(now mono.Time, seg *wire.Segment, pure bool) {
	if c.rcv.tsOK {
		c.putTimestamps(now, &seg.Opt)
	}
	if c.reports() {
		room := wire.SACKMax
		if c.rcv.tsOK {
			room--
		}
		c.rcv.holes.blocks(&seg.Opt, room)
		c.sackFIN(&seg.Opt, room)
	}
	c.ecnStamp(seg)
	c.reportMarks(&seg.Opt, pure)
	c.ecn.report.told(&seg.Opt)
	seg.WND = c.advertise(seg.ACK)
	c.rcv.lastACK = seg.ACK
	if seg.ACK != c.rcv.NXT {
		return
	}
	c.owe.ack, c.owe.soon, c.owe.held, c.owe.update = false, false, false, false
	c.owe.early.n = 0
	c.rcv.ackAhead = 0
	c.timers[timerDelayedACK] = mono.Never
}

func (c *Conn) putTimestamps(now mono.Time, o *wire.Options) {
	o.Has |= wire.HasTimestamps
	o.TSVal = c.timestampClock(now)
	o.TSEcr = c.rcv.tsRecent
}

// put writes the segment's header.
func (c *Conn) put(b []byte, seg *wire.Segment) int {
	c.count.segsOut++
	c.p.Stats.OutSegs++
	n, sum := wire.PutTCPSum(b, seg)
	c.p.Scratch.sum = sum
	return n
}

// advertise returns the window field of a segment that acknowledges at. The right edge moves
// only by steps worth a segment, only with what acknowledges all there is, and never back.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.2
func (c *Conn) advertise(at seq.Num) uint16 {
	r := &c.rcv
	octets := r.edge.Sub(at)
	unit := 1 << r.shift
	field := octets >> r.shift
	if at == r.NXT {
		limit := c.p.Recv.Bound()
		// A SYN and ACK that is repeated can offer no more than a window without scale.
		opening := c.state == StateSynReceived
		if opening {
			limit = min(limit, 0xffff)
		}
		room := c.recvRoom(limit)
		if c.worthOffering(room-octets, limit) {
			octets = room
		}
		// Rounded up to the scale, so that rounding takes nothing back. With segments smaller
		// than a unit that adds up, an octet for each octet that comes; before it is much, it
		// is rounded down, which takes back less than a unit (RFC 7323, section 2.4).
		field = (octets + unit - 1) >> r.shift
		if opening || field<<r.shift-room > max(unit, limit/roundingMax) {
			field = octets >> r.shift
		}
	}
	field = min(field, 0xffff)
	r.edge = seq.Max(r.edge, at.Add(field<<r.shift))
	c.p.Recv.Offer(r.off + uint64(max(0, r.edge.Sub(r.NXT))))
	return uint16(field)
}

// recvRoom is what the receive queue, which holds limit, takes from RCV.NXT on.
func (c *Conn) recvRoom(limit int) int {
	if c.life.readShut {
		return limit
	}
	return limit - int(c.rcv.off-c.p.Recv.Taken())
}

// worthOffering says whether the right edge may move by more octets: by half of the buffer, or by
// a segment. "Fr * RCV.BUFF" and "Eff.snd.MSS" in the address above.
func (c *Conn) worthOffering(more, limit int) bool {
	return more >= min(limit/2, max(c.rcv.segMax, c.snd.mss))
}

// roundingMax: rounding the window up may offer a sixteenth more than the buffer holds.
const roundingMax = 16
