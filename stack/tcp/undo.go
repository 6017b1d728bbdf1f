package tcp

import (
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// undo is what is remembered of an episode in case it proves spurious: what the window was,
// and what was sent again.
type undo struct {
	cwnd     int
	ssthresh int
	resent   int     // retransmissions that no DSACK has reported as needless
	marker   seq.Num // SND.UNA when the episode began
	stamp    uint32  // timestamp of the first retransmission
	active   bool
	stamped  bool
	timeout  bool // the episode is of a time-out
}

// remember takes the snapshot before the algorithm hears of an episode.
func (c *Conn) remember() {
	c.undo = undo{active: true, marker: c.snd.UNA, cwnd: c.flow.Cwnd(), ssthresh: c.flow.Ssthresh()}
}

// carryOver adds what episodes before have sent again and is still unacknowledged: what answers
// that is older than this episode's first retransmission, and shows nothing of it.
func (c *Conn) carryOver() {
	u := &c.undo
	first := mono.Never
	for i := range c.board.len() {
		if s := c.board.at(i); s.mark&markTwice != 0 {
			u.resent++
			first = min(first, s.at)
		}
	}
	if u.resent > 0 {
		u.stamp, u.stamped = c.timestampClock(first), true
	}
}

// noteResent is called for each retransmission of an episode.
func (u *undo) noteResent(stamp uint32) {
	u.resent++
	if !u.stamped {
		u.stamp, u.stamped = stamp, true
	}
}

// eifel says whether the ACK answers an original rather than its retransmission: it echoes a
// timestamp from before. https://www.rfc-editor.org/rfc/rfc3522.html#section-3.2
func (c *Conn) eifel(seg *wire.Segment) bool {
	u := &c.undo
	return u.active && u.stamped && c.ack.CumAcked > 0 && c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 &&
		seg.Opt.TSEcr != 0 && int32(seg.Opt.TSEcr-u.stamp) < 0
}

// dsacked takes a report that octets arrived twice. When every retransmission of the episode
// was needless, so was the episode (RFC 3708, section 2; RFC 8985, section 6.2).
func (c *Conn) dsacked(now mono.Time, r seq.Range) {
	segments := 1
	if r.Len() <= int(c.snd.wndMax) { // a receiver may tell of several in one block
		segments = (r.Len() + c.flow.MSS - 1) / c.flow.MSS
	}
	c.count.dsacks += uint64(segments)
	c.rack.dsack(c.snd.UNA, c.snd.NXT)
	u := &c.undo
	if !u.active || r.Start.Less(u.marker) || c.rec.recover.Less(r.End) || u.resent == 0 {
		return
	}
	// What was given up because others overtook it, and came twice, was reordered. As long as no
	// reordering has shown, the window for it is 0, nothing that is overtaken comes before it is
	// given up, and without timestamps it shows in no other way.
	c.rack.reordering = c.rack.reordering || !u.timeout
	u.resent = max(0, u.resent-segments)
	if u.resent == 0 {
		c.p.Stats.TCPDSACKUndo++
		c.revert(now)
	}
}

// judge looks whether the ACK at hand shows the episode to be spurious, by timestamps or,
// after a time-out, because octets were delivered that were never sent again (F-RTO).
func (c *Conn) judge(now mono.Time, seg *wire.Segment) {
	if c.rec.mode == modeOpen {
		return
	}
	if c.eifel(seg) {
		if c.rec.mode == modeLoss {
			c.p.Stats.TCPSpuriousRTOs++
		} else {
			c.p.Stats.TCPFullUndo++
		}
		c.revert(now)
		return
	}
	if c.rec.mode == modeLoss && c.rec.frto {
		c.judgeRTO(now)
	}
}

// judgeRTO is F-RTO: after the first retransmission, new data is sent instead of more
// retransmissions; what the next ACK reports tells whether the time-out was real. What SACK alone
// reports does not: it came after a hole, which may well be a loss.
// https://www.rfc-editor.org/rfc/rfc5682.html#section-3.1
func (c *Conn) judgeRTO(now mono.Time) {
	a := &c.ack
	switch {
	case c.rec.original > 0 && a.CumAcked > 0:
		c.p.Stats.TCPSpuriousRTOs++
		c.revert(now)
	case c.rec.recover.Less(c.snd.NXT):
		if a.CumAcked == 0 {
			c.rec.frto, c.rec.holdResent = false, false // 3.a: the loss was real
		}
	case a.CumAcked > 0:
		// 2.b, unless there is nothing new or the peer does not take it.
		c.rec.holdResent = c.unsent() > 0 && c.snd.NXT.Less(c.snd.UNA.Add(c.snd.WND))
		c.rec.frto = c.rec.holdResent
	}
}

// revert takes an episode back: the window is what it was, and what was given up is on its
// way again (RFC 4015, section 3.2, without its burst: cwnd grows back by what is acknowledged
// at most a window beyond the flight).
func (c *Conn) revert(now mono.Time) {
	u := &c.undo
	if !u.active {
		return
	}
	u.active = false
	c.count.undone++
	c.rec.mode = modeOpen
	if c.bySACK() {
		c.rec.recover = c.snd.UNA // what else of the flight is found lost was not answered yet
	}
	c.rec.inflation, c.rec.dupAcks = 0, 0
	c.rec.frto, c.rec.holdResent = false, false
	c.board.forgive()
	c.rec.lossWindow = 0
	c.tellUndo(now)
	c.rack.recovered()
}
