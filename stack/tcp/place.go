package tcp

import "github.com/millrace-tcp/millrace/stack/wire"

// Place puts the payload of seg where it is to lie in the receive queue, and returns its sum, if
// seg is what was expected next: whoever has not looked at the checksum yet passes over the octets
// once for both. Nothing can be seen of it. If the checksum is right, Input is called with seg at
// once, and does not copy again what it accepts; if not, seg is dropped as if it had not come, and
// what comes next lies in the same place.
func (c *Conn) Place(seg *wire.Segment) (payload wire.Partial, ok bool) {
	if !c.expects(seg) {
		return 0, false
	}
	off, done := c.rcv.off, 0
	for i := -1; i < len(seg.Rest); i++ {
		p := seg.Payload
		if i >= 0 {
			p = seg.Rest[i]
		}
		for len(p) > 0 {
			room := c.p.Recv.Room(off)
			if room == nil {
				return 0, false
			}
			n := min(len(p), len(room))
			payload = wire.Combine(payload, done, wire.CopySum(room[:n], p[:n]))
			p = p[n:]
			off += uint64(n)
			done += n
		}
	}
	seg.Placed = true
	return payload, true
}

// expects says whether seg, if it is what it seems to be, is data that Input takes as a whole, in
// order, and copies: then its place holds nothing yet that was received.
func (c *Conn) expects(seg *wire.Segment) bool {
	const control = wire.SYN | wire.FIN | wire.RST | wire.ACK
	n := seg.DataLen()
	inOrder := n > 0 && seg.SEQ == c.rcv.NXT && n <= c.rcv.edge.Sub(c.rcv.NXT)
	dataOnly := seg.Flags&control == wire.ACK
	noHoles := c.rcv.holes.count() == 0 && !c.rcv.finAhead
	reads := c.state.receives() && !c.life.readShut && !c.life.closed
	return inOrder && dataOnly && noHoles && reads && c.p.Recv.Copies(c.rcv.off, n)
}
