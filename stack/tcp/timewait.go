package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// TimeWait is what a connection in TIME-WAIT still has to know when its application is done
// with it: enough to answer the peer's repeated FIN, to stay deaf to RST (RFC 1337) and to
// judge whether a new connection may take its place (RFC 6191). It is a plain value.
type TimeWait struct {
	sndNXT, rcvNXT     seq.Num
	tsRecent, tsOffset uint32
	tsOK               bool
}

// TimeWait returns what is left of c. It says false while c is not in TIME-WAIT, or still
// owes a segment.
func (c *Conn) TimeWait() (TimeWait, bool) {
	if c.state != StateTimeWait || c.owe.ack || c.owe.rst || c.owe.dups > 0 {
		return TimeWait{}, false
	}
	return TimeWait{
		sndNXT: c.snd.NXT, rcvNXT: c.rcv.NXT,
		tsRecent: c.rcv.tsRecent, tsOffset: c.p.TSOffset, tsOK: c.rcv.tsOK,
	}, true
}

// CanReuse says whether a connection begun by syn may take the place of t, by the rule of
// Conn.CanReuse.
func (t *TimeWait) CanReuse(syn *wire.Segment) bool {
	if syn.Flags&(wire.SYN|wire.ACK|wire.RST|wire.FIN) != wire.SYN {
		return false
	}
	if t.tsOK && syn.Opt.Has&wire.HasTimestamps != 0 && syn.Opt.TSVal != t.tsRecent {
		return int32(syn.Opt.TSVal-t.tsRecent) > 0
	}
	return t.rcvNXT.Less(syn.SEQ)
}

// NextISS is a sequence number that no octet of the old connection can be taken for.
func (t *TimeWait) NextISS() seq.Num { return t.sndNXT.Add(0xffff) }

// Input judges a segment that arrived for t: whether it is answered with an ACK, and whether
// the 2 MSL start again.
//
// "The only thing that can arrive in this state is a retransmission of the remote FIN.
// Acknowledge it, and restart the 2 MSL timeout." An RST is ignored, as section 4 of RFC
// 1337 proposes. What occupies no sequence number is not answered: two ends that both rest
// would answer each other for ever.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.10.7.4
func (t *TimeWait) Input(seg *wire.Segment) (ack, restart bool) {
	if seg.Flags&wire.RST != 0 || seg.LEN() == 0 {
		return false, false
	}
	if t.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && int32(seg.Opt.TSVal-t.tsRecent) < 0 {
		return true, false // an old duplicate (RFC 7323, section 5.3)
	}
	fin := seg.Flags&(wire.FIN|wire.SYN) == wire.FIN
	return true, fin && seg.SEQ.Add(seg.LEN()) == t.rcvNXT
}

// Answer writes the ACK that a segment is answered with. The ports are the caller's.
func (t *TimeWait) Answer(now mono.Time, s *wire.Segment) {
	s.SEQ, s.ACK, s.Flags = t.sndNXT, t.rcvNXT, wire.ACK
	if t.tsOK {
		s.Opt.Has |= wire.HasTimestamps
		s.Opt.TSVal = uint32(now/mono.Time(time.Millisecond)) + t.tsOffset
		s.Opt.TSEcr = t.tsRecent
	}
}
