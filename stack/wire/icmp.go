package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"github.com/millrace-tcp/millrace/stack/seq"
)

// Why ParseICMP refused a message. They are distinct so that each has its own counter, and
// are returned as they are, never wrapped.
var (
	// ErrICMPShort: shorter than a header of 8 octets and the packet it quotes.
	ErrICMPShort = errors.New("wire: parse ICMP: shorter than a header")
	// ErrICMPChecksum: the checksum of the message is wrong.
	ErrICMPChecksum = errors.New("wire: parse ICMP: wrong checksum")
	// ErrICMPType: not a message about a packet that went wrong, or one that hosts ignore.
	ErrICMPType = errors.New("wire: parse ICMP: not an error message")
	// ErrICMPQuote: the packet quoted is not TCP, not the start of a segment, or cut off
	// before its sequence number.
	ErrICMPQuote = errors.New("wire: parse ICMP: quotes no TCP header")
)

// ICMPKind is what an ICMP error means to TCP, whichever version it came in.
type ICMPKind uint8

// The kinds of ICMP errors. RFC 1122, section 4.2.3.9, and RFC 5461 say which of them are
// soft.
const (
	NetUnreachable ICMPKind = iota + 1
	HostUnreachable
	ProtoUnreachable
	PortUnreachable
	PacketTooBig // "fragmentation needed" of IPv4; the MTU is set
	SourceRouteFailed
	AdminProhibited
	TimeExceeded
	ParameterProblem
)

// String returns the kind in words.
func (k ICMPKind) String() string {
	switch k {
	case NetUnreachable:
		return "network unreachable"
	case HostUnreachable:
		return "host unreachable"
	case ProtoUnreachable:
		return "protocol unreachable"
	case PortUnreachable:
		return "port unreachable"
	case PacketTooBig:
		return "packet too big"
	case SourceRouteFailed:
		return "source route failed"
	case AdminProhibited:
		return "administratively prohibited"
	case TimeExceeded:
		return "time exceeded"
	case ParameterProblem:
		return "parameter problem"
	}
	return "unknown ICMP error"
}

// ICMPError is an ICMP error about a TCP segment. Its last five fields are those of the
// segment quoted, so Src is the address of who sent that segment. The quote comes from
// the wire: whether SEQ is a sequence number in flight is for the connection to judge
// (RFC 5927, section 4).
type ICMPError struct {
	Kind       ICMPKind
	Type, Code uint8
	// MTU is the next hop's, in octets of IP packet, with PacketTooBig. Zero is a router
	// that does not say (RFC 1191, section 5).
	MTU              int
	Src, Dst         netip.Addr
	SrcPort, DstPort uint16
	SEQ              seq.Num
}

const icmpHeaderLen = 8

// ParseICMP reads the ICMP message in p, of the version that p.Proto says. The caller has
// seen to it that p is no fragment. Every field of e is set if it returns nil; if not, e
// is undefined.
func ParseICMP(p *Packet, e *ICMPError) error {
	switch {
	case p.Version == 4 && p.Proto == ProtoICMP:
		return ParseICMP4(p.Payload, e)
	case p.Version == 6 && p.Proto == ProtoICMP6:
		return parseICMP6(p.Payload, p.Pseudo, e)
	}
	return ErrICMPType
}

// ParseICMP4 reads the ICMPv4 message b (RFC 792, RFC 1122 section 3.2.2, RFC 1191).
func ParseICMP4(b []byte, e *ICMPError) error {
	if len(b) < icmpHeaderLen+ipv4HeaderMin {
		return ErrICMPShort
	}
	if Sum(b, 0).foldLE() != 0xffff {
		return ErrICMPChecksum
	}
	e.Type, e.Code = b[0], b[1]
	if e.Kind = kind4(e.Type, e.Code); e.Kind == 0 {
		return ErrICMPType
	}
	e.MTU = 0
	if e.Kind == PacketTooBig {
		e.MTU = int(binary.BigEndian.Uint16(b[6:8]))
	}
	return e.quote4(b[icmpHeaderLen:])
}

// ParseICMP6 reads the ICMPv6 message b from src to dst (RFC 4443).
func ParseICMP6(src, dst netip.Addr, b []byte, e *ICMPError) error {
	return parseICMP6(b, PseudoSum6(src.As16(), dst.As16(), ProtoICMP6, len(b)), e)
}

func parseICMP6(b []byte, pseudo Partial, e *ICMPError) error {
	if len(b) < icmpHeaderLen+ipv6HeaderLen {
		return ErrICMPShort
	}
	if Sum(b, pseudo).foldLE() != 0xffff {
		return ErrICMPChecksum
	}
	e.Type, e.Code = b[0], b[1]
	if e.Kind = kind6(e.Type, e.Code); e.Kind == 0 {
		return ErrICMPType
	}
	e.MTU = 0
	if e.Kind == PacketTooBig {
		e.MTU = int(min(binary.BigEndian.Uint32(b[4:8]), math.MaxInt32))
	}
	return e.quote6(b[icmpHeaderLen:])
}

// kind4 translates type and code of ICMPv4; 0 is none of ours. Source quench is none, for
// TCP must discard it without a word (RFC 6633, section 3).
func kind4(typ, code uint8) ICMPKind {
	const (
		destinationUnreachable = 3
		timeExceeded           = 11
		parameterProblem       = 12
	)
	switch typ {
	case timeExceeded:
		return TimeExceeded
	case parameterProblem:
		return ParameterProblem
	case destinationUnreachable:
	default:
		return 0
	}
	switch code {
	case 0, 6, 11: // network: unreachable, unknown, not for this type of service
		return NetUnreachable
	case 1, 7, 8, 12: // host: unreachable, unknown, isolated, not for this type of service
		return HostUnreachable
	case 2:
		return ProtoUnreachable
	case 3:
		return PortUnreachable
	case 4:
		return PacketTooBig
	case 5:
		return SourceRouteFailed
	case 9, 10, 13, 14, 15: // network, host, filter; precedence violated, cut off
		return AdminProhibited
	}
	return 0
}

// kind6 translates type and code of ICMPv6; 0 is none of ours. A code that is not known
// counts as code 0, as the type alone says that the packet did not arrive.
func kind6(typ, code uint8) ICMPKind {
	switch typ {
	case 1:
	case 2:
		return PacketTooBig
	case 3:
		return TimeExceeded
	case 4:
		return ParameterProblem
	default:
		return 0
	}
	switch code {
	case 1, 5, 6: // prohibited, source address failed policy, reject route
		return AdminProhibited
	case 3:
		return HostUnreachable
	case 4:
		return PortUnreachable
	}
	return NetUnreachable
}

// quote4 reads the IPv4 packet that an error quotes: its header and at least 8 octets more
// (RFC 792). Its lengths and checksum are not judged: some senders quote them in host
// order or after changing the TTL.
func (e *ICMPError) quote4(b []byte) error {
	const offset = 0x1fff
	hlen := int(b[0]&0xf) * 4
	if b[0]>>4 != 4 || hlen < ipv4HeaderMin || hlen > len(b) ||
		b[9] != ProtoTCP || binary.BigEndian.Uint16(b[6:8])&offset != 0 {
		return ErrICMPQuote
	}
	e.Src = netip.AddrFrom4([4]byte(b[12:16]))
	e.Dst = netip.AddrFrom4([4]byte(b[16:20]))
	return e.quoteTCP(b[hlen:])
}

// quote6 reads the IPv6 packet that an error quotes: as much of it as fits the minimum MTU
// (RFC 4443, section 2.4).
func (e *ICMPError) quote6(b []byte) error {
	if b[0]>>4 != 6 {
		return ErrICMPQuote
	}
	c, err := walkExtensions(b[6], b[ipv6HeaderLen:])
	if err != nil || c.proto != ProtoTCP || c.offset != 0 {
		return ErrICMPQuote
	}
	e.Src = netip.AddrFrom16([16]byte(b[8:24]))
	e.Dst = netip.AddrFrom16([16]byte(b[24:40]))
	return e.quoteTCP(b[ipv6HeaderLen+c.len:])
}

func (e *ICMPError) quoteTCP(b []byte) error {
	if len(b) < 8 {
		return ErrICMPQuote
	}
	e.SrcPort = binary.BigEndian.Uint16(b[0:2])
	e.DstPort = binary.BigEndian.Uint16(b[2:4])
	e.SEQ = seq.Num(binary.BigEndian.Uint32(b[4:8]))
	return nil
}
