package tcp

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// A point in the stream that nothing came of for more than 2^31 octets must not lie ahead: a
// mark of the network after 5 GiB without any is reacted to, and so is a DSACK.
func TestPointsBehindStayBehind(t *testing.T) {
	c := fuzzConn(&wire.Segment{SEQ: 1000, Flags: wire.SYN, WND: 65535})
	c.ecn.recover = c.snd.UNA
	c.rack.inRound, c.rack.round = true, c.snd.UNA.Add(1)
	for range 5 * 1024 {
		c.snd.UNA = c.snd.UNA.Add(1 << 20)
		c.snd.NXT = c.snd.UNA
		c.passMarks()
		if c.snd.UNA.Less(c.ecn.recover) {
			t.Fatalf("after %d octets the last reduction for ECN lies ahead", c.snd.UNA.Sub(seq.Num(0)))
		}
	}
	before := c.rack.mult
	c.rack.dsack(c.snd.UNA, c.snd.NXT)
	if c.rack.mult != before+1 {
		t.Error("a DSACK is taken for one of a round long past")
	}
}
