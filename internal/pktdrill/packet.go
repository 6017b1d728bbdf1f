package pktdrill

import (
	"math"
	"strconv"
)

// packet is a direction and what travels in it.
func (p *parser) packet() *Packet {
	k := &Packet{Outbound: p.take().text == ">", ACE: -1, Win: -1}
	var quote *ICMP
	switch {
	case p.is("[") && p.after().kind == tokInt: // FreeBSD's scripts have it before the message
		quote = new(ICMP)
		p.quote(quote)
	case p.is("["), p.is("("):
		k.ECN = p.mark()
	}
	if p.peek().kind == tokAddr || p.isWord("ipv4") || p.isWord("ipv6") || p.isWord("udp") || p.isWord("gre") || p.isWord("mpls") {
		p.fail("%q: only TCP and ICMP, without tunnels", p.peek().text)
		return k
	}
	if p.isWord("icmp") {
		p.icmp(k)
		if quote != nil {
			k.ICMP.Quotes, k.ICMP.Seq, k.ICMP.Len = true, quote.Seq, quote.Len
		}
		return k
	}
	if p.peek().kind == tokInt && p.after().text == ">" {
		k.SrcPort = int(p.integer(0, math.MaxUint16))
		p.want(">")
		k.DstPort = int(p.integer(0, math.MaxUint16))
	}
	p.flags(k)
	k.Seq, k.End, k.Len = p.sequence()
	if p.skipWord("ack") {
		k.Ack = uint32(p.integer(0, math.MaxUint32))
	}
	if p.skipWord("win") {
		k.Win = int(p.integer(0, math.MaxUint16))
	}
	if p.skipWord("urg") {
		k.Urg = int(p.integer(0, math.MaxUint16))
	}
	// The < of an inbound packet on the next line comes after a time, never here.
	if p.is("<") {
		p.options(k)
	}
	if k.AnyOptions && !k.Outbound {
		p.fail("<...> is for what is sent")
	}
	return k
}

// mark is an ECN mark, or a TTL or flow label, which are stepped over.
func (p *parser) mark() ECN {
	end := "]"
	if p.take().text == "(" {
		end = ")"
	}
	ecn := ECNUnsaid
	for !p.is(end) {
		t := p.take()
		switch t.text {
		case "noecn":
			ecn = ECNNone
		case "ect0":
			ecn = ECNECT0
		case "ect1":
			ecn = ECNECT1
		case "ce":
			ecn = ECNCE
		case "ect01":
			ecn = ECNECT01
		case "tos":
			ecn = ECN(1 + []ECN{0, 2, 1, 3}[p.integer(0, 255)&3])
		case "ttl", "flowlabel":
			p.integer(0, math.MaxUint32)
		case ",":
		default:
			p.fail("got %q, want an ECN mark", t.text)
			return ecn
		}
	}
	p.want(end)
	return ecn
}

// flags are the letters of the control bits; a dot is ACK, and a number after it the
// counter of AccECN.
func (p *parser) flags(k *Packet) {
	t := p.take()
	text := t.text
	switch {
	case t.kind == tokWord:
		if n := p.peek(); n.glued && (n.kind == tokFloat || n.text == ".") {
			text += p.take().text
		}
	case t.kind == tokFloat, t.text == ".", t.text == "-":
	default:
		p.fail("got %q, want the flags of a segment", t.text)
		return
	}
	letters := map[rune]Flags{
		'F': FIN, 'S': SYN, 'R': RST, 'P': PSH, '.': ACK, 'U': URG, 'E': ECE, 'C': CWR, 'W': CWR, 'A': AE, '-': 0,
	}
	letterPart, ace := "", "" // "P5." and "P.5" are the same
	for _, c := range text {
		if c >= '0' && c <= '9' {
			ace += string(c)
		} else {
			letterPart += string(c)
		}
	}
	for _, c := range letterPart {
		bit, ok := letters[c]
		if !ok {
			p.fail("no flag has the letter %q", c)
			return
		}
		k.Flags |= bit
	}
	if ace == "" {
		return
	}
	n, err := strconv.Atoi(ace)
	if err != nil || n > 7 {
		p.fail("the counter %s is not in [0, 7]", ace)
		return
	}
	k.ACE = n
}

// sequence is first:last(length).
func (p *parser) sequence() (from, to uint32, length int) {
	from = uint32(p.integer(0, math.MaxUint32))
	p.want(":")
	to = uint32(p.integer(0, math.MaxUint32))
	p.want("(")
	length = int(p.integer(0, math.MaxUint16))
	p.want(")")
	if to != from+uint32(length) {
		p.fail("%d:%d are not %d octets", from, to, length)
	}
	return from, to, length
}

// options are <...>, or a list.
func (p *parser) options(k *Packet) {
	p.want("<")
	if p.peek().kind == tokEllipsis {
		p.take()
		p.want(">")
		k.AnyOptions = true
		return
	}
	for {
		k.Options = append(k.Options, p.tcpOption())
		if len(k.Options) > 40 {
			p.fail("more options than a header has octets for")
			return
		}
		if !p.skip(",") {
			break
		}
	}
	p.want(">")
}

// tcpOption is one option.
func (p *parser) tcpOption() TCPOption {
	o := TCPOption{Name: p.peek().text}
	if p.peek().kind != tokWord {
		p.fail("got %q, want an option", o.Name)
		return o
	}
	p.take()
	number := func(high int64) { o.Values = append(o.Values, uint32(p.integer(0, high))) }
	switch o.Name {
	case "nop", "eol", "sackOK":
	case "mss":
		number(math.MaxUint16)
	case "wscale":
		number(math.MaxUint8)
	case "TS":
		if !p.skipWord("val") {
			p.fail("got %q, want val", p.peek().text)
		}
		number(math.MaxUint32)
		if !p.skipWord("ecr") {
			p.fail("got %q, want ecr", p.peek().text)
		}
		number(math.MaxUint32)
	case "sack":
		for p.peek().kind == tokInt && len(o.Values) < 8 {
			number(math.MaxUint32)
			p.want(":")
			number(math.MaxUint32)
		}
	case "ECN":
		for p.peek().kind == tokWord && len(o.Values) < 3 {
			o.Text += p.take().text + " "
			number(1<<24 - 1)
		}
	case "md5", "FO", "FOEXP":
		if k := p.peek().kind; k == tokWord || k == tokInt || k == tokHex {
			o.Text = p.take().text
		}
	default:
		p.fail("no option has the name %q", o.Name)
	}
	return o
}

// icmp is an ICMP message.
func (p *parser) icmp(k *Packet) {
	p.take()
	m := &ICMP{MTU: -1}
	k.ICMP = m
	if p.peek().kind != tokWord {
		p.fail("got %q, want a type of ICMP message", p.peek().text)
		return
	}
	m.Type = p.take().text
	if t := p.peek(); t.kind == tokWord && t.text != "mtu" && t.text != "id" {
		m.Code = p.take().text
	}
	if p.skipWord("mtu") {
		m.MTU = int(p.integer(0, math.MaxUint32))
	}
	if p.skipWord("id") {
		p.integer(0, math.MaxUint16)
	}
	if p.is("[") {
		p.quote(m)
	}
}

// quote is the segment that an ICMP message is about: [1:1461(1460)].
func (p *parser) quote(m *ICMP) {
	p.want("[")
	m.Quotes = true
	m.Seq, _, m.Len = p.sequence()
	p.want("]")
}
