package tcp

import "github.com/millrace-tcp/millrace/stack/wire"

// markReport is the AccECN option, both ways: how many octets of payload arrived with each
// codepoint, and what the peer says of ours. The counter in the header's flags says how many
// packets were marked, modulo 8; the option says how much, and shows when that has wrapped.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.3
type markReport struct {
	e0b, ceb, e1b uint32 // modulo 2^24
	heardCEB      uint32 // the peer's counter of octets that arrived marked, as last heard
	news          uint8  // fields that have changed since they were told: their place in the option
	last          uint8  // codepoint of the last packet with data
	repeats       uint8  // segments in a row that had come before
	on            bool   // the peer has sent the option: it is sent one
	off           bool   // the path spoils the option, or drops what carries it
}

const (
	markMask = 1<<24 - 1
	// repeatsMax is how many segments in a row may come twice until the ACKs that carry the option
	// are taken for lost because of it: probes and time-outs repeat a few for other reasons.
	repeatsMax = 4
	// reportBlocks is how many SACK blocks the option leaves room for: what recovery needs most
	// are the newest.
	reportBlocks = 2
)

// start sets the counters: those of ECT begin with 1, so that a field which the path has zeroed
// shows. https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.1
func (r *markReport) start() { r.e0b, r.e1b, r.last = 1, 1, wire.ECNNotECT }

// count takes note of a packet with octets of payload. It says whether that is to be told at
// once: the codepoint is another than that of the packet before.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.3.3 (change-triggered ACKs)
func (r *markReport) count(mark uint8, octets int) (urgent bool) {
	n := uint32(octets)
	switch mark {
	case wire.ECNECT1:
		r.e1b = (r.e1b + n) & markMask
		r.news |= 1
	case wire.ECNCE:
		r.ceb = (r.ceb + n) & markMask
		r.news |= 2
	case wire.ECNECT0:
		r.e0b = (r.e0b + n) & markMask
		r.news |= 4
	}
	urgent = mark != r.last
	r.last = mark
	return urgent
}

// option is the option with its first fields, as many as n.
func (r *markReport) option(n int) wire.AccECN {
	a := wire.AccECN{Fields: uint8(n), E1B: r.e1b}
	if n > 1 {
		a.CEB = r.ceb
	}
	if n > 2 {
		a.E0B = r.e0b
	}
	return a
}

// needs is how many fields it takes to tell the news.
func (r *markReport) needs() int {
	n := 1
	for n < wire.AccECNFields && r.news>>n != 0 {
		n++
	}
	return n
}

// reportMarks puts the option into what is sent. ACKs without data carry it always; data only
// when there is news, for it would cost every segment 12 octets. It takes the place of SACK
// blocks, but for two. What does not fit is told later: the counters stand.
func (c *Conn) reportMarks(o *wire.Options, pure bool) {
	r := &c.ecn.report
	if c.ecn.kind != ecnAccurate || !r.on || r.off || !pure && r.news == 0 {
		return
	}
	o.Has |= wire.HasAccECN
	for n := wire.AccECNFields; n >= r.needs(); n-- {
		o.AccECN = r.option(n)
		if fit := o.SACKFit(); fit >= min(int(o.NSACK), reportBlocks) {
			o.NSACK = uint8(min(int(o.NSACK), fit))
			return
		}
	}
	o.Has &^= wire.HasAccECN
	o.AccECN = wire.AccECN{}
}

// told takes note of what a segment has told.
func (r *markReport) told(o *wire.Options) {
	if o.Has&wire.HasAccECN != 0 {
		r.news &^= 1<<o.AccECN.Fields - 1
	}
}

// hearReport takes the option that the peer has sent: the octets of ours that were marked since
// it was last heard. It says whether there is anything to go by.
//
// A counter that starts at 1 and is heard as 0 was zeroed on the way: then the option is not
// believed for the rest of the connection, nor sent.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.3.2.4
func (c *Conn) hearReport(seg *wire.Segment) (marked int, ok bool) {
	r, a := &c.ecn.report, &seg.Opt.AccECN
	if seg.Opt.Has&wire.HasAccECN == 0 || r.off || c.ecn.kind != ecnAccurate || c.cfg.NoECNOption {
		return 0, false
	}
	if !r.on && (a.HasE0B() && a.E0B == 0 || a.HasE1B() && a.E1B == 0) {
		c.p.Stats.TCPAccECNOptionBad++
		r.off = true
		return 0, false
	}
	c.p.Stats.TCPAccECNOptions++
	if !r.on {
		r.on, r.news = true, 1<<wire.AccECNFields-1 // the next segment shows that we have it too
	}
	if !a.HasCEB() {
		return 0, true // fields that have not changed may be left out
	}
	since := (a.CEB - r.heardCEB) & markMask
	if since > markMask/2 {
		return 0, true // overtaken by a later one
	}
	r.heardCEB = a.CEB
	return int(since), true
}

// ecnRepeated takes note of a segment all of which had come before: it counts as any other. When
// it happens again and again the answers do not arrive, and may do so without the option.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.3.2.2
func (c *Conn) ecnRepeated(seg *wire.Segment) {
	e := &c.ecn
	if e.kind != ecnAccurate {
		return
	}
	c.ecnCount(seg, seg.DataLen())
	r := &e.report
	if !r.on || r.off || seg.DataLen() <= 1 { // one octet may be a keepalive probe
		return
	}
	if r.repeats++; r.repeats >= repeatsMax {
		c.p.Stats.TCPAccECNOptionLost++
		r.off = true
	}
}

// marksOf is how many packets an ACK reports as marked: the counter's low bits are delta. With
// the option they are what octets amount to. Without, a counter that has moved may have gone
// round as well: to be safe, as many as delta allows of those newly acknowledged. One that has
// not moved is believed, or every ACK of eight packets would be a sign of congestion.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.2.5.2
func (c *Conn) marksOf(delta, octets int, known bool) int {
	mss := max(1, c.flow.MSS)
	if known {
		if short := octets - delta*mss; short > 0 {
			delta += (short + 8*mss - 1) / (8 * mss) * 8
		}
		return delta
	}
	packets := (c.ack.Acked + mss - 1) / mss
	if delta == 0 || packets < 8 {
		return delta
	}
	return packets - (packets-delta)&7
}
