package tcp

// LongWay has c take no short way through what an ACK may mean.
func (c *Conn) LongWay() { c.p.Scratch.long = true }
