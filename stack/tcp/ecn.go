package tcp

import (
	"fmt"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// ECNMode is what a connection asks of explicit congestion notification.
type ECNMode uint8

// The modes. Every one but ECNOff grants a peer what it asks for.
const (
	ECNPassive  ECNMode = iota // asks for nothing, as Linux does unless told otherwise
	ECNOff                     // neither asks nor grants
	ECNClassic                 // asks for RFC 3168
	ECNAccurate                // asks for AccECN (RFC 9768), and takes RFC 3168 if that is what there is
)

// ecnModeNames are the modes' names, as command lines have them.
var ecnModeNames = [...]string{ECNPassive: "passive", ECNOff: "off", ECNClassic: "classic", ECNAccurate: "accurate"}

// String returns the name that ParseECNMode takes.
func (m ECNMode) String() string {
	if int(m) < len(ecnModeNames) {
		return ecnModeNames[m]
	}
	return "unknown"
}

// ParseECNMode returns the mode of a name: passive, off, classic or accurate.
func ParseECNMode(name string) (ECNMode, error) {
	for m, n := range ecnModeNames {
		if n == name {
			return ECNMode(m), nil
		}
	}
	return 0, fmt.Errorf("tcp: no ECN mode %q; there are %v", name, ecnModeNames)
}

// ecnKind is what was agreed.
type ecnKind uint8

const (
	ecnNone ecnKind = iota
	ecnClassic
	ecnAccurate
)

// String returns the kind as Info shows it.
func (k ecnKind) String() string {
	switch k {
	case ecnNone:
		return ""
	case ecnClassic:
		return "ecn"
	case ecnAccurate:
		return "accecn"
	}
	return "unknown"
}

// ecnFlags are the three bits of the header that ECN speaks by; with AccECN they are one
// number, ACE, with AE as its highest bit.
const ecnFlags = wire.AE | wire.CWR | wire.ECE

// aceStart is what the counters of CE marks start at, so that a field zeroed by the path
// shows (RFC 9768, section 3.2.1).
const aceStart = 5

// ecn is the connection's share in explicit congestion notification.
type ecn struct {
	asks    ECNMode // of who opens actively
	kind    ecnKind
	mute    bool  // the path zeroes ACE: send no ECT
	out     uint8 // codepoint of the segment that Output wrote last
	synMark uint8 // codepoint that the peer's SYN, or SYN and ACK, arrived with
	first   bool  // the next ACK reports synMark instead of the counter

	echo    bool    // RFC 3168: ECE on every segment until the peer says CWR; or as RFC 8257 has it
	reduced bool    // RFC 3168: CWR on the next new data
	recover seq.Num // one reduction until this is acknowledged
	peerCE  uint8   // the peer's counter of CE marks as last heard, modulo 8
	ourCE   uint8   // packets that arrived with CE, modulo 8

	report markReport
}

// ecnOpen decides what an active open asks for.
func (c *Conn) ecnOpen() {
	c.ecn.asks = c.cfg.ECN
	if c.cfg.ECN == ECNPassive && c.willReadMarks() {
		c.ecn.asks = ECNAccurate
	}
}

// ecnAsk returns the flags of a SYN. One that is repeated asks for nothing: what dropped the
// first may have been the flags. With AccECN it asks once more before that.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.4.1
func (c *Conn) ecnAsk() wire.Flags {
	switch c.ecn.asks {
	case ECNClassic:
		if c.count.synResent == 0 {
			return wire.ECE | wire.CWR
		}
	case ECNAccurate:
		if c.count.synResent <= 1 {
			return ecnFlags
		}
	case ECNPassive, ECNOff:
	}
	return 0
}

// ecnGrant takes the flags of the peer's SYN.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.1
func (c *Conn) ecnGrant(syn *wire.Segment) {
	e := &c.ecn
	switch flags := syn.Flags & ecnFlags; {
	case c.cfg.ECN == ECNOff || flags == 0:
		return
	case flags == wire.ECE|wire.CWR:
		e.kind = ecnClassic
	default:
		e.kind = ecnAccurate // combinations without a meaning as yet count as AccECN
	}
	c.ecnStart(syn)
}

func (c *Conn) ecnStart(seg *wire.Segment) {
	e := &c.ecn
	e.synMark = seg.ECN
	e.peerCE, e.ourCE = aceStart, aceStart
	e.recover = c.p.ISS
	e.report.start()
	if seg.ECN == wire.ECNCE {
		e.ourCE++
	}
}

// ecnAnswer returns the flags of a SYN and ACK. One that is repeated a second time grants
// nothing, as the peer may not get through with it.
func (c *Conn) ecnAnswer() wire.Flags {
	if c.count.synResent > 1 {
		c.ecn.kind = ecnNone
	}
	switch c.ecn.kind {
	case ecnClassic:
		return wire.ECE
	case ecnAccurate:
		return markFlags(c.ecn.synMark)
	case ecnNone:
	}
	return 0
}

// markFlags is how the handshake tells what codepoint a packet arrived with.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.1 (table 2)
func markFlags(mark uint8) wire.Flags {
	switch mark {
	case wire.ECNECT1:
		return wire.CWR | wire.ECE
	case wire.ECNECT0:
		return wire.AE
	case wire.ECNCE:
		return wire.AE | wire.CWR
	}
	return wire.CWR
}

// ecnGranted takes the flags of the peer's SYN and ACK.
func (c *Conn) ecnGranted(seg *wire.Segment) {
	asked := c.ecnAsk()
	flags := seg.Flags & ecnFlags
	e := &c.ecn
	switch {
	case asked == 0 || flags == 0 || flags == ecnFlags:
		return // all three set is a peer that mirrors what it does not know
	case flags == wire.ECE:
		e.kind = ecnClassic
	case asked == ecnFlags:
		// AE and ECE alone, too: "if a TCP Client ... receives a SYN/ACK with the currently reserved
		// combination (AE,CWR,ECE) = (1,0,1) but it does not have logic specific to such a
		// combination, the Client MUST enable AccECN mode".
		// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.3
		e.kind = ecnAccurate
		e.first = true
	default:
		return
	}
	c.ecnStart(seg)
}

// ecnAgain takes a SYN and ACK that came again, for our ACK of it was lost: the next one tells with
// which codepoint "the latest ... acceptable SYN/ACK" arrived, as the first did.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.1.5
func (c *Conn) ecnAgain(seg *wire.Segment) {
	both := seg.Flags&(wire.SYN|wire.ACK|wire.RST) == wire.SYN|wire.ACK
	if c.ecn.kind == ecnAccurate && both && seg.SEQ == c.rcv.IRS && seg.ACK == c.p.ISS.Add(1) && c.rcv.NXT == c.rcv.IRS.Add(1) {
		c.ecn.first, c.ecn.synMark = true, seg.ECN
	}
}

// ecnFirst takes the flags of the ACK that ends our handshake: what our SYN and ACK arrived
// with. A field of zero is a path that clears it.
// https://www.rfc-editor.org/rfc/rfc9768.html#section-3.2.2.1
func (c *Conn) ecnFirst(seg *wire.Segment) {
	e := &c.ecn
	if e.kind != ecnAccurate || seg.SEQ != c.rcv.IRS.Add(1) {
		return
	}
	switch seg.Flags & ecnFlags {
	case 0:
		e.mute = true
	case wire.AE | wire.CWR:
		e.peerCE = aceStart + 1
	}
	seg.Flags = seg.Flags&^ecnFlags | aceFlags(e.peerCE)
}

func aceFlags(counter uint8) wire.Flags {
	f := wire.Flags(0)
	if counter&4 != 0 {
		f |= wire.AE
	}
	if counter&2 != 0 {
		f |= wire.CWR
	}
	if counter&1 != 0 {
		f |= wire.ECE
	}
	return f
}

func aceOf(f wire.Flags) uint8 {
	n := uint8(0)
	if f&wire.AE != 0 {
		n |= 4
	}
	if f&wire.CWR != 0 {
		n |= 2
	}
	if f&wire.ECE != 0 {
		n |= 1
	}
	return n
}

// ecnReceive takes note of a mark that the network set on a segment in the window, which came
// with octets of payload.
func (c *Conn) ecnReceive(seg *wire.Segment, octets int) {
	e := &c.ecn
	switch e.kind {
	case ecnNone:
		return
	case ecnClassic:
		if c.plug != nil && c.plug.marks {
			c.ecnChange(seg)
			return
		}
		if seg.Flags.Has(wire.CWR) {
			e.echo = false
		}
		if seg.ECN == wire.ECNCE && seg.DataLen() > 0 {
			e.echo = true
			c.owe.ack = true
		}
	case ecnAccurate:
		c.ecnCount(seg, octets)
		if octets > 0 {
			e.report.repeats = 0
		}
	}
}

// ecnChange echoes whether the last segment with data was marked, and at once when that changes,
// so that the peer can tell how many octets were. What was delayed until then is told with the new
// value, too much one time and too little the next.
// https://www.rfc-editor.org/rfc/rfc8257.html#section-3.2
func (c *Conn) ecnChange(seg *wire.Segment) {
	if marked := seg.ECN == wire.ECNCE; seg.DataLen() > 0 && marked != c.ecn.echo {
		c.ecn.echo = marked
		c.owe.ack = true
	}
}

// ecnCount counts a packet by its codepoint.
func (c *Conn) ecnCount(seg *wire.Segment, octets int) {
	e := &c.ecn
	if seg.ECN == wire.ECNCE {
		e.ourCE++
	}
	if octets > 0 && (e.report.count(seg.ECN, octets) || seg.ECN == wire.ECNCE) {
		c.owe.ack = true
	}
}

// ecnFeedback takes what an ACK says of marks on our own packets. One that others have overtaken
// says what was true before: its counter is behind, and would seem to have run on by a lap. Without
// timestamps nothing shows that but progress.
func (c *Conn) ecnFeedback(now mono.Time, seg *wire.Segment) {
	e := &c.ecn
	a := &c.ack
	if c.outdated(now, seg) {
		return
	}
	switch e.kind {
	case ecnNone:
		return
	case ecnClassic:
		a.ECE = seg.Flags.Has(wire.ECE)
		if a.ECE {
			a.CEOctets = a.Acked
		}
	case ecnAccurate:
		octets, known := c.hearReport(seg)
		delta := 0
		if a.Acked > 0 || known || c.newerStamp(seg) {
			delta = int((aceOf(seg.Flags) - e.peerCE) & 7)
		}
		marks := c.marksOf(delta, octets, known)
		e.peerCE += uint8(marks)
		a.ECE = marks > 0
		if !known {
			octets = min(marks*c.flow.MSS, max(a.Acked, c.flow.MSS))
		}
		// Whatever the peer says, no more octets were marked than were sent.
		sent := c.count.acked + c.count.resentOctets + uint64(c.snd.NXT.Sub(c.snd.UNA))
		a.CEOctets = max(0, min(octets, int(sent-c.count.marked))) // a FIN counts until it is acknowledged
	}
	if a.ECE {
		// The window does not grow by an ACK that echoes a mark: as if it had room to spare.
		// https://www.rfc-editor.org/rfc/rfc3168.html#section-6.1.2
		a.CwndLimited = false
		c.p.Stats.TCPDeliveredCE++
		c.count.marked += uint64(a.CEOctets)
	}
}

// newerStamp says whether seg was sent after all that came before it.
func (c *Conn) newerStamp(seg *wire.Segment) bool {
	return c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0 && int32(seg.Opt.TSVal-c.rcv.tsRecent) > 0
}

// ecnReact has the window reduced, once a round trip.
// https://www.rfc-editor.org/rfc/rfc3168.html#section-6.1.2
func (c *Conn) ecnReact(now mono.Time) {
	e := &c.ecn
	if !c.ack.ECE || c.rec.mode != modeOpen || c.snd.UNA.Less(e.recover) {
		return
	}
	e.recover = c.snd.NXT
	c.congested(now, congestion.CauseECN, c.flightSize(c.ack.CumAcked))
}

// ecnStamp sets the flags of a segment after the handshake.
func (c *Conn) ecnStamp(seg *wire.Segment) {
	e := &c.ecn
	switch e.kind {
	case ecnNone:
	case ecnClassic:
		if e.echo {
			seg.Flags |= wire.ECE
		}
	case ecnAccurate:
		if e.first {
			e.first = false
			seg.Flags |= markFlags(e.synMark)
			return
		}
		seg.Flags |= aceFlags(e.ourCE)
	}
}

// ecnData marks a segment with data that is sent for the first time as capable of ECN. What
// is sent again, and what carries none, is not (RFC 3168, sections 6.1.4 and 6.1.5).
func (c *Conn) ecnData(seg *wire.Segment) {
	e := &c.ecn
	if e.kind == ecnNone || e.mute {
		return
	}
	e.out = wire.ECNECT0
	if e.kind == ecnClassic && e.reduced {
		e.reduced = false
		seg.Flags |= wire.CWR
	}
}

// OutputECN returns the ECN codepoint that belongs into the IP header of the segment that
// Output wrote last.
func (c *Conn) OutputECN() uint8 { return c.ecn.out }
