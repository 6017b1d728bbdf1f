package wire

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// Why ParseIP refused a packet. They are distinct so that each has its own counter, and
// are returned as they are, never wrapped.
var (
	// ErrIPShort: the packet ends within its fixed header.
	ErrIPShort = errors.New("wire: parse IP: shorter than a header")
	// ErrIPVersion: neither 4 nor 6.
	ErrIPVersion = errors.New("wire: parse IP: unknown version")
	// ErrIPHeaderLen: an IPv4 header length below 20, or past the end of the packet.
	ErrIPHeaderLen = errors.New("wire: parse IP: illegal header length")
	// ErrIPLength: an IPv4 total length below the header length.
	ErrIPLength = errors.New("wire: parse IP: illegal total length")
	// ErrIPTruncated: the frame holds less than the length in the header says.
	ErrIPTruncated = errors.New("wire: parse IP: truncated")
	// ErrIPChecksum: the checksum of the IPv4 header is wrong.
	ErrIPChecksum = errors.New("wire: parse IP: wrong header checksum")
	// ErrIPv6Extension: an extension header that is cut off or out of place, or too many.
	ErrIPv6Extension = errors.New("wire: parse IP: broken chain of IPv6 extension headers")
	// ErrIPv6Option: an option that must be recognized or the packet dropped.
	ErrIPv6Option = errors.New("wire: parse IP: IPv6 option that forbids to skip it")
	// ErrIPv6Routing: a routing header that asks to forward the packet.
	ErrIPv6Routing = errors.New("wire: parse IP: IPv6 routing header with segments left")
)

const (
	ipv4HeaderMin = 20
	ipv6HeaderLen = 40
)

// Packet is an IP packet of either version, as the engine reads it. Payload is a view of
// the frame it came in and lives no longer than that.
type Packet struct {
	Src, Dst netip.Addr
	Version  uint8 // 4 or 6
	Proto    uint8 // of Payload: for IPv6, what follows the extension headers
	TTL      uint8 // or hop limit
	TOS      uint8 // or traffic class: DSCP and, in the two low bits, ECN
	// Fragment says that Payload is only a part of what was sent, and maybe not the first.
	Fragment bool
	// Payload is cut to the length that the header gives; padding of the link is gone. Rest is
	// the pieces of it that lie in further frames, of a packet read by ParsePieces.
	Payload []byte
	Rest    [][]byte
	// Pseudo is the sum of the pseudo-header for Proto and the length of Payload and Rest.
	Pseudo Partial
}

// The values of the ECN bits (RFC 3168, section 5).
const (
	ECNNotECT = 0
	ECNECT1   = 1
	ECNECT0   = 2
	ECNCE     = 3
)

// ECN returns the ECN bits of the packet.
func (p *Packet) ECN() uint8 { return p.TOS & 3 }

// TCPValid says whether the TCP checksum of the payload is right.
func (p *Packet) TCPValid() bool {
	return len(p.Payload) >= tcpHeaderMin && p.sum().foldLE() == 0xffff
}

// TCPValidSum is TCPValid for a caller who has the sum of what follows the header of tcpHeaderLen
// octets, as ParseTCP has found it.
func (p *Packet) TCPValidSum(tcpHeaderLen int, payload Partial) bool {
	return sumWords(p.Payload[:tcpHeaderLen], p.Pseudo).Add(payload).foldLE() == 0xffff
}

// sum is the sum of the pseudo-header and all of the payload.
func (p *Packet) sum() Partial {
	s, n := Sum(p.Payload, p.Pseudo), len(p.Payload)
	for _, b := range p.Rest {
		s = Combine(s, n, Sum(b, 0))
		n += len(b)
	}
	return s
}

// ParseIP reads the IP packet b, all that follows the link's header, into p. Every field
// of p is set if it returns nil; if not, p is undefined. The version is that of the first
// four bits: a caller that cares compares p.Version to the EtherType.
func ParseIP(b []byte, p *Packet) error { return ParsePieces(b, nil, p) }

// ParsePieces is ParseIP for a packet that goes on in the pieces of rest. All headers of IP
// lie in b, or it is refused. p keeps rest, of which the last piece may be cut.
func ParsePieces(b []byte, rest [][]byte, p *Packet) error {
	if len(b) < ipv4HeaderMin {
		return ErrIPShort
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b, rest, p)
	case 6:
		return parseIPv6(b, rest, p)
	}
	return ErrIPVersion
}

// parseIPv4 reads an IPv4 packet. Options are stepped over: none of them is for TCP but
// the source route, which hosts no longer obey (RFC 7126, section 4.3).
func parseIPv4(b []byte, rest [][]byte, p *Packet) error {
	hlen := int(b[0]&0xf) * 4
	if hlen < ipv4HeaderMin || hlen > len(b) {
		return ErrIPHeaderLen
	}
	total := int(binary.BigEndian.Uint16(b[2:4]))
	if total < hlen {
		return ErrIPLength
	}
	if total > len(b)+lenOf(rest) {
		return ErrIPTruncated
	}
	if sumIPv4(b[:hlen]).foldLE() != 0xffff {
		return ErrIPChecksum
	}
	const moreFragmentsAndOffset = 0x3fff
	p.Src = netip.AddrFrom4([4]byte(b[12:16]))
	p.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	p.Version = 4
	p.Proto = b[9]
	p.TTL = b[8]
	p.TOS = b[1]
	p.Fragment = binary.BigEndian.Uint16(b[6:8])&moreFragmentsAndOffset != 0
	p.Payload, p.Rest = cutPieces(b[hlen:], rest, total-hlen)
	p.Pseudo = Partial(binary.LittleEndian.Uint64(b[12:20])).
		Add(pseudoTail(p.Proto, total-hlen))
	return nil
}

// sumIPv4 is the sum of an IPv4 header, which seldom has options.
func sumIPv4(b []byte) Partial {
	if len(b) != ipv4HeaderMin {
		return sumWords(b, 0)
	}
	return Partial(binary.LittleEndian.Uint64(b[0:8])).
		Add(Partial(binary.LittleEndian.Uint64(b[8:16]))).
		Add(Partial(binary.LittleEndian.Uint32(b[16:20])))
}

// lenOf is how many octets all pieces have.
func lenOf(pieces [][]byte) int {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	return n
}
