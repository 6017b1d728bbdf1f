package tcp

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 3522, section 3.2: an episode was spurious if an ACK echoes a timestamp from before
// the first retransmission. What an episode before has sent again, and is answered in this
// one, is a retransmission, too: its answer shows nothing.
func TestEifelKnowsRetransmissionsOfTheEpisodeBefore(t *testing.T) {
	const ms = mono.Time(time.Millisecond)
	for _, tt := range []struct {
		name   string
		before bool // the first segment was sent again at 30 ms, by the episode before
		echo   uint32
		want   bool
	}{
		{"answers an original", false, 10, true},
		{"answers the retransmission", false, 50, false},
		{"answers an original, one was sent again before", true, 10, true},
		{"answers the retransmission of before", true, 30, false},
		{"answers the retransmission of now", true, 50, false},
	} {
		var c Conn
		c.rcv.tsOK = true
		c.board.push(sent{start: 0, end: 1000, at: 10 * ms})
		c.board.push(sent{start: 1000, end: 2000, at: 11 * ms})
		if tt.before {
			c.board.markLost(0)
			c.board.resent(0, 30*ms)
		}
		c.remember()
		c.carryOver()
		c.undo.noteResent(c.timestampClock(50 * ms))
		c.ack.CumAcked = 1000
		seg := wire.Segment{Opt: wire.Options{Has: wire.HasTimestamps, TSEcr: tt.echo}}
		if got := c.eifel(&seg); got != tt.want {
			t.Errorf("%s: spurious = %v, want %v", tt.name, got, tt.want)
		}
	}
}
