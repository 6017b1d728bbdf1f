package tcp

// prr is Proportional Rate Reduction: over a recovery the window comes down to ssthresh by
// sending in proportion to what is delivered. https://www.rfc-editor.org/rfc/rfc9937.html
type prr struct {
	delivered int // octets delivered since recovery began
	out       int // octets sent since then
	flight    int // RecoverFS
	window    int // cwnd in force
}

// start begins a recovery. RecoverFS is what was outstanding less what was reported before
// the ACK that began it.
func (p *prr) start(outstanding, sacked, deliveredNow int) {
	*p = prr{flight: max(1, outstanding-sacked+deliveredNow)}
}

// onAck sets the window after an ACK that delivered octets while pipe are on their way.
// safe says that SND.UNA moved and no further loss showed. Products are 64 bits wide.
func (p *prr) onAck(delivered, pipe, ssthresh, mss int, safe bool) {
	p.delivered += delivered
	var quota int
	if pipe > ssthresh {
		quota = int((int64(p.delivered)*int64(ssthresh)+int64(p.flight)-1)/int64(p.flight)) - p.out
	} else {
		quota = max(p.delivered-p.out, delivered)
		if safe {
			quota += mss
		}
		quota = min(quota, ssthresh-pipe)
	}
	if p.out == 0 {
		quota = max(quota, mss) // "force a fast retransmit upon entering recovery"
	}
	p.window = pipe + max(quota, 0)
}

// govern lets the recovery governor take an ACK that delivered octets.
func (c *Conn) govern(delivered int) {
	if !c.governed() {
		return
	}
	safe := c.ack.CumAcked > 0 && c.ack.NewlyLost == 0
	c.prr.onAck(delivered, c.pipe(), c.flow.Ssthresh(), c.flow.MSS, safe)
}
