package tcp

// pruneAhead gives up what came out of order, when memory has run out: it is what can be had
// again. "The data receiver is permitted to discard data in its queue that has not been
// acknowledged to the data sender, even if the data has already been reported in a SACK
// option." https://www.rfc-editor.org/rfc/rfc2018.html#section-8
func (c *Conn) pruneAhead() {
	if c.rcv.holes.count() == 0 {
		return
	}
	c.p.Stats.OfoPruned++
	c.rcv.holes = reassembly{}
	c.Settle()
	c.p.Recv.Prune()
}
