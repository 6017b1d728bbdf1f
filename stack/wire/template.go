package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrTemplateFamily: the addresses of a template are missing or of two families.
var ErrTemplateFamily = errors.New("addresses are not both IPv4 or both IPv6")

// ttlDefault is the hop limit that IANA recommends, and that Linux gives.
const ttlDefault = 64

// TemplateConfig says what a Template writes. Src is the sender.
type TemplateConfig struct {
	Eth       EthHeader // EtherType and Len are not read
	Src, Dst  netip.Addr
	TTL       uint8  // 0 is 64
	FlowLabel uint32 // of IPv6, 20 bits (RFC 6437); 0 is none
}

// Template is the Ethernet and IP header of one connection, made once and written in front
// of each of its segments. It is a plain value; nothing changes it after NewTemplate, so
// any number of goroutines may use it. A new neighbour address means a new Template.
type Template struct {
	hdr    [EthernetVLANLen + ipv6HeaderLen]byte
	eth, n uint8   // where IP starts, and where it ends
	v6     bool    // the version of IP
	pseudo Partial // of the pseudo-header without the length
	ipSum  Partial // of the IPv4 header with length, ID and TOS zero
}

// NewTemplate makes the headers that c describes.
func NewTemplate(c TemplateConfig) (Template, error) {
	var t Template
	if !c.Src.IsValid() || !c.Dst.IsValid() || c.Src.Is4() != c.Dst.Is4() {
		return t, fmt.Errorf("wire: make template %v > %v: %w", c.Src, c.Dst, ErrTemplateFamily)
	}
	if c.TTL == 0 {
		c.TTL = ttlDefault
	}
	c.Eth.EtherType = EtherTypeIPv4
	if t.v6 = c.Src.Is6(); t.v6 {
		c.Eth.EtherType = EtherTypeIPv6
	}
	t.eth = uint8(PutEthernet(t.hdr[:], &c.Eth))
	t.pseudo = PseudoSum(c.Src, c.Dst, ProtoTCP, 0)
	if t.v6 {
		t.init6(&c)
	} else {
		t.init4(&c)
	}
	return t, nil
}

func (t *Template) init4(c *TemplateConfig) {
	const dontFragment = 0x40
	h := t.hdr[t.eth : t.eth+ipv4HeaderMin]
	src, dst := c.Src.As4(), c.Dst.As4()
	h[0] = 4<<4 | ipv4HeaderMin/4
	h[6] = dontFragment
	h[8] = c.TTL
	h[9] = ProtoTCP
	copy(h[12:16], src[:])
	copy(h[16:20], dst[:])
	t.ipSum = Sum(h, 0)
	t.n = t.eth + ipv4HeaderMin
}

func (t *Template) init6(c *TemplateConfig) {
	h := t.hdr[t.eth : t.eth+ipv6HeaderLen]
	src, dst := c.Src.As16(), c.Dst.As16()
	binary.BigEndian.PutUint32(h[0:4], 6<<28|c.FlowLabel&0xfffff)
	h[6] = ProtoTCP
	h[7] = c.TTL
	copy(h[8:24], src[:])
	copy(h[24:40], dst[:])
	t.n = t.eth + ipv6HeaderLen
}

// Len is how many octets Put writes: where the TCP header starts in a frame.
func (t *Template) Len() int { return int(t.n) }

// Put writes the headers to the start of b, for a segment of tcpLen octets, header and
// payload, and returns Len. id is the identification of IPv4, whose worth is nil with
// "don't fragment" set (RFC 6864, section 4.1). It returns 0 and has written nothing if
// b is too short for the headers, or the segment too long for IP.
func (t *Template) Put(b []byte, tcpLen int, id uint16) int { return t.PutTOS(b, tcpLen, id, 0) }

// PutTOS is Put with the octet that holds DSCP and ECN, as in Packet.TOS.
func (t *Template) PutTOS(b []byte, tcpLen int, id uint16, tos uint8) int {
	n := int(t.n)
	length := tcpLen
	if !t.v6 {
		length += ipv4HeaderMin
	}
	if n > len(b) || tcpLen < 0 || length > 0xffff {
		return 0
	}
	switch n {
	case EthernetLen + ipv4HeaderMin:
		*(*[EthernetLen + ipv4HeaderMin]byte)(b) = *(*[EthernetLen + ipv4HeaderMin]byte)(t.hdr[:])
	case EthernetLen + ipv6HeaderLen:
		*(*[EthernetLen + ipv6HeaderLen]byte)(b) = *(*[EthernetLen + ipv6HeaderLen]byte)(t.hdr[:])
	default:
		copy(b[:n], t.hdr[:n])
	}
	h := b[t.eth:n]
	if t.v6 {
		h = h[:ipv6HeaderLen]
		h[0] |= tos >> 4
		h[1] |= tos << 4
		binary.BigEndian.PutUint16(h[4:6], uint16(length))
		return n
	}
	h = h[:ipv4HeaderMin]
	h[1] = tos
	binary.BigEndian.PutUint16(h[2:4], uint16(length))
	binary.BigEndian.PutUint16(h[4:6], id)
	words := word16(uint16(length)) + word16(id) + Partial(tos)<<8
	t.ipSum.Add(words).putChecksum(h[10:12])
	return n
}

// Pseudo is the sum of the pseudo-header of a segment of tcpLen octets.
func (t *Template) Pseudo(tcpLen int) Partial {
	return t.pseudo.Add(pseudoTail(0, tcpLen))
}

// Finish writes the TCP checksum into the frame b, as it will be sent: the headers of Put,
// then the segment. A frame that is too short to hold a TCP header is left alone.
func (t *Template) Finish(b []byte) {
	if len(b) < int(t.n)+tcpHeaderMin {
		return
	}
	tcp := b[t.n:]
	tcp[16], tcp[17] = 0, 0
	Sum(tcp, t.Pseudo(len(tcp))).putChecksum(tcp[16:18])
}

// FinishSum is Finish for a caller who has the sum of the segment already, from PutTCPSum and
// CopySum. The frame goes on for more octets elsewhere, which sum covers too.
func (t *Template) FinishSum(b []byte, more int, sum Partial) {
	if len(b) < int(t.n)+tcpHeaderMin {
		return
	}
	tcp := b[t.n:]
	t.Pseudo(len(tcp) + more).Add(sum).putChecksum(tcp[16:18])
}

// FinishPartial writes a partial checksum, the pseudo-header alone, for a link that
// completes it or a peer that accepts it. The frame goes on for more octets elsewhere.
func (t *Template) FinishPartial(b []byte, more int) {
	if len(b) < int(t.n)+tcpHeaderMin {
		return
	}
	tcp := b[t.n:]
	binary.LittleEndian.PutUint16(tcp[16:18], t.Pseudo(len(tcp)+more).foldLE())
}
