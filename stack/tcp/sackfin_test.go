package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 2018, section 3: blocks are of sequence space that was received, of which a FIN takes
// one. A sender whose tail was lost learns from it that the last segment has arrived.
func TestSACKCoversFIN(t *testing.T) {
	s := established(t, tcp.Config{}, sackOK)
	s.in(wire.FIN|wire.ACK, 1001, 1000, 1)
	s.want("the segment with FIN, behind a hole", ". 1:1(0) ack 1 win 65535 <nop,nop,sack 1001:2002>")
	s = established(t, tcp.Config{}, sackOK)
	s.in(wire.FIN|wire.ACK, 2001, 0, 1)
	s.want("a FIN alone, behind a hole", ". 1:1(0) ack 1 win 65535 <nop,nop,sack 2001:2002>")
	s.in(wire.ACK, 1001, 1000, 1)
	s.want("what comes before it", ". 1:1(0) ack 1 win 65535 <nop,nop,sack 1001:2002>")
}
