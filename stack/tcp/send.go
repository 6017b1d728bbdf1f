package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// putData sends the next segment with data: what must be sent again before what is new. While
// the pacer holds the former back, the latter does not overtake it.
func (c *Conn) putData(now mono.Time, b []byte) int {
	if c.pace != nil {
		c.pace.held = false
	}
	if n := c.putResent(now, b); n > 0 || c.Paced() {
		return n
	}
	if n := c.putNew(now, b); n > 0 || c.Paced() {
		return n
	}
	if !c.owe.tailNew {
		return 0
	}
	// The probe's new data may not be sent after all: the last segment again.
	c.owe.tailNew = false
	c.tlp.resent, c.owe.tailOld = true, true
	return c.putResent(now, b)
}

// putResent sends the next segment that was given up, or that must be sent whatever the
// window.
func (c *Conn) putResent(now mono.Time, b []byte) int {
	forced, tail := c.owe.resend, c.owe.tailOld
	if c.board.len() == 0 {
		c.owe.resend, c.owe.tailOld = false, false
		return 0
	}
	i := c.board.nextLost()
	switch {
	case tail:
		forced, i = true, c.lastSent()
	case forced && (i < 0 || !c.bySACK()):
		i = 0
	case i < 0 || c.rec.holdResent:
		return 0
	}
	if room := c.payloadRoom(b); c.dataLen(c.board.at(i)) > room {
		c.board.split(i, room) // the path carries less than it did
	}
	if !forced && !c.fits(c.board.at(i).len(), c.cwnd()) {
		c.blockedByWindow(now)
		return 0
	}
	if !c.paced(now, c.board.at(i).len()) {
		return 0
	}
	c.owe.resend, c.owe.tailOld = false, false
	c.board.resent(i, now)
	s := c.board.at(i)
	prior := c.pipe() - s.len()
	c.rate.onSend(s, now, &c.flow, prior)
	c.undo.noteResent(c.timestampClock(now))
	c.noteSent(now, s, prior)
	c.p.Stats.RetransSegs++
	c.count.resent++
	c.count.resentOctets += uint64(s.len())
	if i == 0 && c.bySACK() && c.rec.mode == modeFast {
		// The timer waits for an answer to what was sent last of the segment that it guards.
		// With the one set when SND.UNA moved, a path that loses a twentieth times out where
		// RACK still finds each lost retransmission. Linux does the same.
		c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	}
	return c.putSegment(now, b, s, false)
}

// fits says whether the congestion window lets n octets go. PRR counts in whole segments: what
// is left of its quota carries one.
func (c *Conn) fits(n, window int) bool {
	pipe := c.pipe()
	if c.governed() {
		return pipe < window
	}
	return pipe == 0 || pipe+n <= window
}

// dataLen is how many octets of data s carries: a FIN is none.
func (c *Conn) dataLen(s *sent) int {
	if c.snd.fin && s.end == c.snd.NXT {
		return s.len() - 1
	}
	return s.len()
}

// payloadRoom is the most data in the next segment: what peer and path take, less options.
func (c *Conn) payloadRoom(b []byte) int {
	h := c.dataHeader()
	return max(1, min(c.snd.mss-(h-headerMin), c.roomOf(b)-h, c.halfWindow()))
}

// dataHeader is what the header of a segment with data may come to.
func (c *Conn) dataHeader() int {
	var o wire.Options
	h := headerMin
	if c.rcv.tsOK {
		o.Has |= wire.HasTimestamps
		h += timestampsLen
	}
	if c.ecn.kind != ecnAccurate && !c.reports() {
		return h
	}
	n := c.rcv.holes.marks
	if c.rcv.finAhead {
		n++
	}
	if c.rcv.sackOK && (n > 0 || c.rcv.holes.hasDuplicate) {
		o.Has |= wire.HasSACK
		o.NSACK = uint8(min(n+1, wire.SACKMax))
	}
	return c.longestHeader(o)
}

// reports says whether what is sent may have SACK blocks.
func (c *Conn) reports() bool {
	r := &c.rcv
	return r.sackOK && (r.holes.marks > 0 || r.holes.count() > 0 || r.holes.hasDuplicate || r.finAhead)
}

// halfWindow is the most data in a segment to a peer whose window was never larger than two:
// half of it, so that one segment can be on its way while the other is being read. "SHOULD use
// Fs = 1/2" has the rule for less than that: a peer with a small buffer offers what it has
// left, in units of the segments that it gets, and of one that took most of its window it may
// never again offer half: then each segment would wait for the override timer. Linux does the
// same, and like here not below the default MSS, which every window is to hold.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.1
func (c *Conn) halfWindow() int {
	if c.snd.wndHope <= DefaultMSS {
		return DefaultMSS
	}
	return int(c.snd.wndHope / 2)
}

// hopeLess is reached when the override timer sends: all before it is acknowledged, and the peer
// offers too little. "The receiver may at any time reduce the size of RCV.BUFF. To avoid a
// resulting deadlock, it is necessary to have a timeout to force transmission of data, overriding
// the SWS avoidance algorithm. In practice, this timeout should seldom occur." To have it so, no
// window is hoped for from then on that is more than half as large, until one is offered. Linux as
// a receiver needs no reduction: it offers whole segments as large as those it got, and of a
// buffer that two of them fill but for some octets always one.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.1
func (c *Conn) hopeLess() {
	c.snd.wndHope = max(int32(c.snd.WND), c.snd.wndHope/2)
}

// longestHeader is what a header with up to o.NSACK blocks may come to. With fewer blocks than
// there may be it can be longer, for then the AccECN option fits.
func (c *Conn) longestHeader(o wire.Options) int {
	for h := 0; ; o.NSACK-- {
		with := o
		if o.NSACK == 0 {
			with.Has &^= wire.HasSACK
		}
		c.reportMarks(&with, false)
		if h = max(h, wire.HeaderLen(&with)); o.NSACK == 0 {
			return h
		}
	}
}

const headerMin = 20

// putSegment writes the segment that s describes: header, then data out of the send queue.
func (c *Conn) putSegment(now mono.Time, b []byte, s *sent, fresh bool) int {
	var seg wire.Segment
	c.segment(&seg, s.start, wire.ACK)
	n := c.dataLen(s)
	if n < s.len() {
		seg.Flags |= wire.FIN
	}
	off := c.snd.off + uint64(s.start.Sub(c.snd.UNA))
	if n > 0 && (off+uint64(n) == c.p.Send.End() || seg.Flags.Has(wire.FIN)) {
		seg.Flags |= wire.PSH
	}
	c.stamp(now, &seg, false)
	if fresh && n > 0 {
		c.ecnData(&seg)
	}
	h := c.put(b, &seg)
	if n > 0 {
		n = c.readOut(b[h:], n, off)
	}
	c.snd.sentAt = now
	if c.timers[timerRetransmit] == mono.Never {
		c.timers[timerRetransmit] = now.Add(c.rtt.timeout())
	}
	return h + n
}

// putNew sends data that was not sent before, as far as the windows and the avoidance of
// small segments allow, and the FIN behind the last of it.
func (c *Conn) putNew(now mono.Time, b []byte) int {
	if !c.state.sends() || c.snd.fin {
		return 0
	}
	unsent := c.unsent()
	if unsent == 0 && !c.owe.fin {
		c.idle(now)
		return 0
	}
	room := c.payloadRoom(b)
	larger := c.searchSize(now, unsent)
	if larger > 0 {
		room = min(room+larger-c.snd.mss, c.roomOf(b)-headerMax)
	}
	usable := c.snd.UNA.Add(c.snd.WND).Sub(c.snd.NXT)
	n := min(unsent, room, max(usable, 0))
	fin := c.owe.fin && n == unsent && usable > n
	if c.board.crowded(c.snd.NXT.Sub(c.snd.UNA)) {
		c.blockedByPeer(now, false)
		return 0
	}
	if n == 0 && !fin || !c.worthSending(n, room, unsent) {
		c.blockedByPeer(now, usable < min(unsent, room))
		return 0
	}
	octets := n
	if fin {
		octets++
	}
	if c.count.segsOut > 0 && n > 0 {
		c.agePolicy(now)
	}
	if !c.owe.tailNew && !c.fits(n, c.sendWindow()) {
		c.blockedByWindow(now)
		return 0
	}
	if !c.paced(now, octets) {
		return 0
	}
	if c.owe.override && c.board.len() == 0 && n < min(unsent, room) {
		c.hopeLess()
	}
	c.owe.override, c.owe.tailNew = false, false
	if n > 0 && n < room {
		c.snd.small = c.snd.NXT.Add(n)
	}
	return c.putFresh(now, b, octets, fin, larger)
}

// putFresh sends the next octets of the stream, the last of which may be the FIN. larger is
// the size that is tried with it, or 0.
func (c *Conn) putFresh(now mono.Time, b []byte, octets int, fin bool, larger int) int {
	prior := c.pipe()
	if c.board.len() == 0 {
		c.life.stalledAt = now
		c.armUserTimeout(now)
	}
	s := c.board.extend()
	s.start, s.end, s.mark, s.at = c.snd.NXT, c.snd.NXT.Add(octets), 0, now
	c.rate.onSend(s, now, &c.flow, prior)
	c.snd.NXT = s.end
	if fin {
		c.snd.fin = true
		c.sentFIN()
	}
	if larger > 0 {
		c.tried(s, larger)
	}
	c.noteSent(now, s, prior)
	c.timers[timerProbe] = c.probeTimeout(now)
	return c.putSegment(now, b, s, true)
}

// noteSent tells the governor what was sent while prior octets were in flight, and who else
// wants to know.
func (c *Conn) noteSent(now mono.Time, s *sent, prior int) {
	if c.rec.mode == modeFast {
		c.prr.out += s.len()
	}
	if c.pace != nil {
		c.notePaced(now, s.len())
	}
	if c.plug != nil {
		c.tellSent(now, s, prior)
	}
}

// unsent is how many octets of data wait to be sent for the first time.
func (c *Conn) unsent() int {
	if c.snd.fin {
		return 0
	}
	return int(c.p.Send.End() - c.snd.off - uint64(c.snd.NXT.Sub(c.snd.UNA)))
}

// lastSent is the index of the last segment that the peer has not reported.
func (c *Conn) lastSent() int {
	i := c.board.len() - 1
	for i > 0 && c.board.at(i).mark&markSacked != 0 {
		i--
	}
	return i
}

// sentFIN goes on with the close that the application has asked for.
func (c *Conn) sentFIN() {
	switch c.state {
	case StateEstablished:
		c.setState(StateFinWait1)
	case StateCloseWait:
		c.setState(StateLastAck)
	case StateClosed, StateListen, StateSynSent, StateSynReceived, StateFinWait1,
		StateFinWait2, StateClosing, StateLastAck, StateTimeWait:
	}
}

// worthSending avoids the silly window syndrome and is Nagle's algorithm: a full segment; all
// there is, if nothing small is on its way or the application will not have it held back; half of
// the largest window the peer ever had; or what fits, when the timer said so.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6.2.1
//
// Nagle would hold a small segment behind full ones, too, and so the end of every write until the
// peer's delayed ACK. More than one small segment on its way is all that it is to prevent, and that the
// modification of the address below prevents as well.
// https://www.rfc-editor.org/rfc/rfc9293.html#appendix-A.3
func (c *Conn) worthSending(n, room, unsent int) bool {
	switch {
	case n == room, c.owe.override:
		return true
	case n == unsent:
		return !c.opt.cork && (c.opt.noDelay || c.snd.small.LessEq(c.snd.UNA)) || c.owe.fin
	}
	return n > 0 && 2*n >= int(c.snd.wndHope)
}

// blockedByWindow is reached when there is data and the congestion window does not take it.
func (c *Conn) blockedByWindow(now mono.Time) {
	c.rec.cwndLimited = true
	c.limitedBy(now, congestion.LimitCwnd)
}

// blockedByPeer is reached when there is data and the peer's window does not take it, or
// Nagle's algorithm holds it: the persist timer is for the former, when no ACK will come.
func (c *Conn) blockedByPeer(now mono.Time, window bool) {
	c.rec.cwndLimited = false
	if window {
		c.limitedBy(now, congestion.LimitReceiver)
	} else {
		c.limitedBy(now, congestion.LimitApplication)
	}
	if c.board.len() == 0 {
		c.armPersist(now)
	}
}

// idle is reached when all data is sent: the application limits the connection.
func (c *Conn) idle(now mono.Time) {
	c.limitedBy(now, congestion.LimitApplication)
	// A window that all there was to send has filled is no less full for that.
	c.rec.cwndLimited = c.pipe() >= c.cwnd()
	// "C.inflight < C.cwnd and C.lost_out <= C.retrans_out": else it is not the application.
	// https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-4.1.2.4
	if flight := c.pipe(); flight < c.cwnd() && c.board.lost == 0 {
		c.flow.Flight = flight
		c.flow.MarkAppLimited()
	}
}

// congestedIdle tells the algorithm that the connection was silent.
func (c *Conn) congestedIdle(now mono.Time) {
	c.congested(now, congestion.CauseIdle, 0)
}
