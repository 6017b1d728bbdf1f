package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// pawsIdle is how long a timestamp is worth: 24 days, half of what its clock wraps in.
const pawsIdle = 24 * 24 * time.Hour

// outdated says whether the segment's timestamp is older than TS.Recent.
func (c *Conn) outdated(now mono.Time, seg *wire.Segment) bool {
	return c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 &&
		int32(seg.Opt.TSVal-c.rcv.tsRecent) < 0 && now.Sub(c.rcv.tsSet) < pawsIdle
}

// checkTimestamp is PAWS: a segment whose timestamp is older than the last one is a
// duplicate from the past. https://www.rfc-editor.org/rfc/rfc7323.html#section-5.3
func (c *Conn) checkTimestamp(now mono.Time, seg *wire.Segment) bool {
	if seg.Flags.Has(wire.RST) || !c.outdated(now, seg) || c.disordered(seg) {
		return true
	}
	c.answerOutdated(now, seg)
	return false
}

// disordered says whether an outdated segment is an ACK that others have overtaken. They all
// have the same sequence number, so the timestamp of each is recorded, and what comes behind it
// by a millisecond fails the test. As with Linux, one that repeats the last acknowledgement and
// window passes, for the sake of its SACK blocks, if it is not older than a time-out, in which
// no sequence number can come again. The peer's clock is taken to tick once in a millisecond.
func (c *Conn) disordered(seg *wire.Segment) bool {
	return seg.LEN() == 0 && seg.Flags.Has(wire.ACK) && seg.SEQ == c.rcv.NXT && seg.ACK == c.snd.UNA &&
		int(seg.WND)<<c.snd.shift == c.snd.WND &&
		time.Duration(c.rcv.tsRecent-seg.Opt.TSVal)*time.Millisecond <= c.rtt.rto
}

// answerOutdated is R1: "Send an acknowledgement in reply as specified in [RFC0793] page 69, and
// drop the segment". What has come again is told as any other duplicate is. An ACK from the past
// is not answered, as with Linux: it was overtaken, and asks for nothing.
func (c *Conn) answerOutdated(now mono.Time, seg *wire.Segment) {
	if seg.LEN() == 0 && seg.SEQ.LessEq(c.rcv.NXT) {
		c.p.Stats.PAWSOldAck++
		return
	}
	c.p.Stats.PAWSEstab++
	switch {
	case seg.Flags.Has(wire.SYN):
		c.challenge(now, &c.p.Stats.TCPSYNChallenge)
	case c.repeats(seg):
		c.oweDuplicate(now)
		c.noteDuplicate(seg)
	default:
		c.answer(now, &c.p.Stats.TCPACKSkippedPAWS)
	}
}

// takeTimestamp is R3 of the same section: "If an arriving segment satisfies SEG.TSval >=
// TS.Recent and SEG.SEQ <= Last.ACK.sent, then record its timestamp". Not before window and ACK
// were found good: a forged one, recorded, would have PAWS refuse all that the peer sends. at
// is where the segment began.
func (c *Conn) takeTimestamp(now mono.Time, at seq.Num, seg *wire.Segment) {
	if c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && at.LessEq(c.rcv.lastACK) && !c.outdated(now, seg) {
		c.rcv.tsRecent, c.rcv.tsSet = seg.Opt.TSVal, now
	}
}
