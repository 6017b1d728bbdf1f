package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// checkTimestamp is PAWS: a segment whose timestamp is older than the last one is a
// duplicate from the past. https://www.rfc-editor.org/rfc/rfc7323.html#section-5.3
func (c *Conn) checkTimestamp(now mono.Time, seg *wire.Segment) bool {
	if !c.rcv.tsOK || seg.Opt.Has&wire.HasTimestamps == 0 || seg.Flags.Has(wire.RST) {
		return true
	}
	val := seg.Opt.TSVal
	if int32(val-c.rcv.tsRecent) < 0 && now.Sub(c.rcv.tsSet) < pawsIdle {
		c.p.Stats.PAWSEstab++
		if seg.DataLen() > 0 || seg.Flags&(wire.SYN|wire.FIN) != 0 {
			c.oweDuplicate(now)
		}
		return false
	}
	return true
}

// takeTimestamp is R3 of the same section: "If an arriving segment satisfies SEG.TSval >=
// TS.Recent and SEG.SEQ <= Last.ACK.sent, then record its timestamp". Not before window and ACK
// were found good: a forged one, recorded, would have PAWS refuse all that the peer sends. at
// is where the segment began.
func (c *Conn) takeTimestamp(now mono.Time, at seq.Num, seg *wire.Segment) {
	if c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && at.LessEq(c.rcv.lastACK) {
		c.rcv.tsRecent, c.rcv.tsSet = seg.Opt.TSVal, now
	}
}

// pawsIdle is how long a timestamp is worth: 24 days, half of what its clock wraps in.
const pawsIdle = 24 * 24 * time.Hour
