package transcript

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// anyTimeMax is how long a packet without a time is waited for.
const anyTimeMax = time.Hour

// expect takes the next packet that was sent, or waits for it, and compares it to a line.
// Several segments that follow each other make up one line.
func (p *player) expect(k *pktdrill.Packet, kind pktdrill.WhenKind, at, end time.Duration) error {
	if k.ICMP != nil {
		return fmt.Errorf("ICMP is not sent by this stack")
	}
	if p.under == nil || p.under.listening {
		return fmt.Errorf("there is no connection to send %s", p.wanted(k))
	}
	slack := p.slack(at)
	limit := end + slack
	if kind == pktdrill.AnyTime {
		limit = p.elapsed() + anyTimeMax
	}
	var first *sent
	size := 0
	for {
		s, err := p.nextSent(k, limit)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("expected %s until %v, nothing came (%d octets of it did)", p.wanted(k), limit, size)
		}
		if err := p.piece(k, s, first, size); err != nil {
			return err
		}
		if when := s.at.Sub(p.start); kind != pktdrill.AnyTime && (when < at-slack || when > limit) {
			return fmt.Errorf("expected %s from %v to %v, it came at %v", p.wanted(k), at, end, when)
		}
		if first == nil {
			first = s
		}
		size += len(s.seg.Payload)
		if size >= k.Len {
			return nil
		}
	}
}

// nextSent returns the next segment of the flow; nil if none is sent until limit. Those of
// other flows are not looked at.
func (p *player) nextSent(k *pktdrill.Packet, limit time.Duration) (*sent, error) {
	until := p.start.Add(limit)
	for {
		if err := p.settle(); err != nil {
			return nil, err
		}
		for len(p.port.sent) > 0 {
			s := p.port.sent[0]
			p.port.sent = p.port.sent[1:]
			if p.ours(&s, k) {
				return &s, nil
			}
		}
		if p.now >= until || p.next() > until {
			return nil, nil
		}
		if err := p.advanceOnce(until); err != nil {
			return nil, err
		}
	}
}

// ours says whether a segment belongs to the flow, and learns its sequence number.
func (p *player) ours(s *sent, k *pktdrill.Packet) bool {
	f := p.under
	if s.seg.DstPort != f.remote.Port() && k.DstPort == 0 {
		return false
	}
	if f.localPort == 0 && s.seg.Flags&wire.SYN != 0 {
		f.localPort = s.seg.SrcPort
	}
	if s.seg.SrcPort != f.localPort && k.SrcPort == 0 {
		return false
	}
	if !p.sawISS && s.seg.Flags&wire.SYN != 0 {
		p.sawISS, p.iss = true, s.seg.SEQ
	}
	if s.seg.Flags&wire.SYN != 0 {
		f.learn(s.seg.SEQ, k)
	}
	return true
}

// piece compares a segment to its part of a line, of which size octets have come before,
// beginning with first.
func (p *player) piece(k *pktdrill.Packet, s, first *sent, size int) error {
	f := p.under
	bad := func(what string) error {
		return fmt.Errorf("expected %s, got %s at %v: %s", p.wanted(k), p.got(s), s.at.Sub(p.start), what)
	}
	n := len(s.seg.Payload)
	last := size+n == k.Len
	if size+n > k.Len {
		return bad("more data")
	}
	if first != nil && !last && n != len(first.seg.Payload) || first != nil && n == 0 {
		return bad("the segments of one line differ in size")
	}
	const compared = wire.SYN | wire.RST | wire.ACK | wire.URG | wire.FIN | wire.ECE | wire.CWR | wire.AE
	want := wire.Flags(k.Flags) & compared
	if !last {
		want &^= wire.FIN
	}
	if first != nil {
		want &^= wire.CWR
	}
	if k.ACE >= 0 {
		want |= wire.Flags(k.ACE&1)*wire.ECE | wire.Flags(k.ACE>>1&1)*wire.CWR | wire.Flags(k.ACE>>2&1)*wire.AE
	}
	switch {
	case s.seg.Flags&compared != want:
		return bad("other flags")
	case f.localToScript(s.seg.SEQ) != k.Seq+uint32(size):
		return bad("another sequence number")
	case want&wire.ACK != 0 && uint32(s.seg.ACK-p.under.remoteOffset) != k.Ack:
		return bad("another ACK")
	case k.Win >= 0 && int(s.seg.WND) != k.Win:
		return bad("another window")
	case k.Flags&pktdrill.URG != 0 && int(s.seg.UP) != k.Urg:
		return bad("another urgent pointer")
	}
	if what := ecnDiffers(k.ECN, s.ip.ECN()); what != "" {
		return bad(what)
	}
	if n > 0 && f.known {
		if i := mismatch(s.seg.Payload, int(int32(k.Seq+uint32(size)))-int(f.scriptISN)-1); i >= 0 {
			return bad(fmt.Sprintf("octet %d of the data is not what was written", i))
		}
	}
	if what := p.optionsDiffer(k, s); what != "" {
		return bad(what)
	}
	return nil
}

func ecnDiffers(want pktdrill.ECN, got uint8) string {
	ok := true
	switch want {
	case pktdrill.ECNUnsaid:
	case pktdrill.ECNECT01:
		ok = got == wire.ECNECT0 || got == wire.ECNECT1
	case pktdrill.ECNNone, pktdrill.ECNECT0, pktdrill.ECNECT1, pktdrill.ECNCE:
		ok = got == ecnBits(want)
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("ECN bits %d", got)
}

// optionsDiffer compares the set of options and their values.
func (p *player) optionsDiffer(k *pktdrill.Packet, s *sent) string {
	var has wire.OptionSet
	o := &s.seg.Opt
	f := p.under
	for _, w := range k.Options {
		same := true
		switch w.Name {
		case "mss":
			has |= wire.HasMSS
			same = uint32(o.MSS) == w.Values[0]
		case "wscale":
			has |= wire.HasWScale
			same = uint32(o.WScale) == w.Values[0]
		case "sackOK":
			has |= wire.HasSACKPermitted
		case "ECN":
			has |= wire.HasAccECN
			same = sameReport(w, &o.AccECN)
		case "sack":
			has |= wire.HasSACK
			same = sameBlocks(w.Values, o, p.under.remoteOffset)
		case "TS":
			has |= wire.HasTimestamps
			if o.Has&wire.HasTimestamps != 0 {
				f.stamp(w.Values[0], o.TSVal)
				same = !p.o.Echo || o.TSEcr == w.Values[1]
			}
		}
		if !same {
			return "the option " + w.Name + " differs"
		}
	}
	if !k.AnyOptions && has != o.Has {
		return "other options"
	}
	return ""
}

// sameReport compares the fields of AccECN, whichever order they have.
func sameReport(w pktdrill.TCPOption, a *wire.AccECN) bool {
	got := map[string]uint32{}
	if a.HasE0B() {
		got["e0b"] = a.E0B
	}
	if a.HasCEB() {
		got["ceb"] = a.CEB
	}
	if a.HasE1B() {
		got["e1b"] = a.E1B
	}
	names := strings.Fields(w.Text)
	for i, name := range names {
		if v, ok := got[name]; !ok || v != w.Values[i] {
			return false
		}
	}
	return len(names) == len(got)
}

func sameBlocks(want []uint32, o *wire.Options, offset seq.Num) bool {
	if len(want) != 2*int(o.NSACK) {
		return false
	}
	for i := range int(o.NSACK) {
		if uint32(o.SACK[i].Start-offset) != want[2*i] || uint32(o.SACK[i].End-offset) != want[2*i+1] {
			return false
		}
	}
	return true
}

// wanted is a line in words, as it stands in the script.
func (p *player) wanted(k *pktdrill.Packet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d:%d(%d)", wire.Flags(k.Flags), k.Seq, k.End, k.Len)
	if k.Flags&pktdrill.ACK != 0 {
		fmt.Fprintf(&b, " ack %d", k.Ack)
	}
	if k.Win >= 0 {
		fmt.Fprintf(&b, " win %d", k.Win)
	}
	for i, o := range k.Options {
		b.WriteString(map[bool]string{true: " <", false: ","}[i == 0] + o.Name)
		for _, v := range o.Values {
			fmt.Fprintf(&b, " %d", v)
		}
	}
	if len(k.Options) > 0 {
		b.WriteString(">")
	}
	return b.String()
}

// got is a segment in words, in the numbers of the script.
func (p *player) got(s *sent) string {
	f := p.under
	isn := f.localISN - f.scriptISN
	return s.seg.Relative(isn, p.under.remoteOffset)
}
