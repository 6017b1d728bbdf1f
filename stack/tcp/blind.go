package tcp

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// waryAfter is how many segments with an ACK that cannot be make a connection wary. A peer
// sends none; who cannot see the connection sends thousands before one of his guesses fits.
const waryAfter = 3

// suspect takes note of an ACK that cannot be.
func (c *Conn) suspect() {
	if c.count.suspects < waryAfter {
		c.count.suspects++
	}
}

// oldestACK is how far before SND.UNA an ACK may lie: the largest window that the peer ever
// offered, as RFC 5961 has it, but not before the first octet, which leaves next to nothing
// to guess where we only receive. https://www.rfc-editor.org/rfc/rfc5961.html#section-5.2
func (c *Conn) oldestACK() int {
	return int(min(uint64(max(c.snd.wndMax, 0xffff)), c.count.acked+1))
}

// guessed says whether data may come from somebody who only guesses. A wary connection takes
// it if it echoes a timestamp that we have sent, which nobody else knows, for its clock begins
// anywhere; or without timestamps if its ACK is not old: the peer will send again what was
// overtaken.
func (c *Conn) guessed(now mono.Time, seg *wire.Segment) bool {
	if c.count.suspects < waryAfter || seg.LEN() == 0 {
		return false
	}
	if !c.rcv.tsOK {
		return seg.ACK.Less(c.snd.UNA)
	}
	if seg.Opt.Has&wire.HasTimestamps == 0 {
		return true
	}
	age := now.Sub(c.life.openedAt) + echoSlack
	if age > math.MaxInt32*time.Millisecond {
		return false // the clock has wrapped since
	}
	ago := time.Duration(int32(c.timestampClock(now)-seg.Opt.TSEcr)) * time.Millisecond
	return ago < 0 || ago > age
}

// echoSlack is how much older than the connection an echo may be: a cookie's timestamp lies up
// to 128 ms before it was sent, and its connection begins when it comes back, at most two
// ticks of its age later.
const echoSlack = 3 * time.Minute
