package tcp

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// A segment is cut to what is left beside the SACK blocks that it may get. It may get fewer, and
// then the AccECN option where it had no room before: no header is longer than was allowed for.
func TestLongestHeader(t *testing.T) {
	for news := range 1 << wire.AccECNFields {
		for most := range wire.SACKMax + 1 {
			for _, ts := range []wire.OptionSet{0, wire.HasTimestamps} {
				var c Conn
				c.ecn.kind = ecnAccurate
				c.ecn.report.on, c.ecn.report.news = true, uint8(news)
				o := wire.Options{Has: ts | wire.HasSACK, NSACK: uint8(most)}
				longest := c.longestHeader(o)
				for o.NSACK = 1; int(o.NSACK) <= most; o.NSACK++ {
					with := o
					c.reportMarks(&with, false)
					if h := wire.HeaderLen(&with); h > longest {
						t.Errorf("news %b, %d blocks of at most %d: header of %d octets, allowed for %d", news, o.NSACK, most, h, longest)
					}
				}
			}
		}
	}
}
