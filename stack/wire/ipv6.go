package wire

import (
	"encoding/binary"
	"net/netip"
)

// The extension headers that are walked (RFC 8200, section 4).
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extDestination = 60
)

// extensionsMax is how many extension headers a packet may have. A packet in order has at
// most five of the kinds walked here: one of each, and destination options twice (RFC
// 8200, section 4.1). RFC 8504, section 5.3, lets a host set such a limit.
const extensionsMax = 8

// parseIPv6 reads an IPv6 packet. A payload length of zero is a packet without payload:
// jumbograms are not supported.
func parseIPv6(b []byte, rest [][]byte, p *Packet) error {
	if len(b) < ipv6HeaderLen {
		return ErrIPShort
	}
	end := ipv6HeaderLen + int(binary.BigEndian.Uint16(b[4:6]))
	if end > len(b)+lenOf(rest) {
		return ErrIPTruncated
	}
	c, err := walkExtensions(b[6], b[ipv6HeaderLen:min(end, len(b))])
	if err != nil {
		return err
	}
	p.Src = netip.AddrFrom16([16]byte(b[8:24]))
	p.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	p.Version = 6
	p.Proto = c.proto
	p.TTL = b[7]
	p.TOS = b[0]<<4 | b[1]>>4
	p.Fragment = c.fragment
	length := end - ipv6HeaderLen - c.len
	p.Payload, p.Rest = cutPieces(b[ipv6HeaderLen+c.len:], rest, length)
	p.Pseudo = Sum(b[8:40], pseudoTail(p.Proto, length))
	return nil
}

// chain is what a walk over extension headers found.
type chain struct {
	proto    uint8 // of what follows them
	len      int   // of all of them together
	fragment bool
	offset   int // of the fragment, in octets
}

// walkExtensions steps over the extension headers at the start of b, the first of which is
// of the kind next. It stops at the first header that is none, or that it does not know.
func walkExtensions(next uint8, b []byte) (chain, error) {
	c := chain{proto: next}
	for range extensionsMax + 1 {
		switch c.proto {
		case extHopByHop, extRouting, extFragment, extDestination:
		default:
			return c, nil
		}
		n, err := c.step(b[c.len:])
		if err != nil {
			return c, err
		}
		c.len += n
		if c.fragment {
			return c, nil
		}
	}
	return c, ErrIPv6Extension
}

// step reads one extension header at the start of b and returns its length.
func (c *chain) step(b []byte) (int, error) {
	if len(b) < 8 {
		return 0, ErrIPv6Extension
	}
	n := 8
	if c.proto != extFragment {
		n += int(b[1]) * 8
	}
	if n > len(b) {
		return 0, ErrIPv6Extension
	}
	switch c.proto {
	case extHopByHop:
		// "[…] restricted to appear immediately after an IPv6 header only."
		// https://www.rfc-editor.org/rfc/rfc8200.html#section-4.1
		if c.len != 0 {
			return 0, ErrIPv6Extension
		}
		fallthrough
	case extDestination:
		if err := checkOptions(b[2:n]); err != nil {
			return 0, err
		}
	case extRouting:
		if b[3] != 0 {
			return 0, ErrIPv6Routing
		}
	case extFragment:
		// A fragment that is the whole packet is one (RFC 8200, section 4.5).
		const offsetAndMore = 0xfff9
		v := binary.BigEndian.Uint16(b[2:4])
		c.fragment = v&offsetAndMore != 0
		c.offset = int(v &^ 7)
	}
	c.proto = b[0]
	return n, nil
}

// checkOptions walks the options of a hop-by-hop or destination options header. The two
// high bits of an option's type say what a node does that does not know it: 00 is to skip
// over it, anything else to drop the packet (RFC 8200, section 4.2). The stack knows none
// but the two of padding.
func checkOptions(b []byte) error {
	const pad1 = 0
	for len(b) > 0 {
		if b[0] == pad1 {
			b = b[1:]
			continue
		}
		if len(b) < 2 || 2+int(b[1]) > len(b) {
			return ErrIPv6Extension
		}
		if b[0]>>6 != 0 {
			return ErrIPv6Option
		}
		b = b[2+int(b[1]):]
	}
	return nil
}
