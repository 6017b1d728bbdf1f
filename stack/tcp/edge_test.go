package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// "A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to the left
// (SHLD-14)." An ACK of less than all that arrived offers the same edge as the one before.
// https://www.rfc-editor.org/rfc/rfc9293.html#section-3.8.6
func TestEarlyACKKeepsTheRightEdge(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{})
	for i := range 4 {
		s.in(wire.ACK, 1+1000*i, 1000, 1)
	}
	s.want("the edge stays at 65536", ". 1:1(0) ack 2001 win 63535", ". 1:1(0) ack 4001 win 61535")
}
