package bpf_test

import (
	"encoding/binary"
	"net/netip"
)

// The builders below write headers octet by octet, so that they share nothing with the
// program they test. Checksums are zero: the program does not look at them.

var (
	local4  = netip.MustParseAddr("10.0.0.1")
	remote4 = netip.MustParseAddr("10.0.0.2")
	local6  = netip.MustParseAddr("fd00::1")
	remote6 = netip.MustParseAddr("fd00::2")
)

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func be16(v int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

// eth is an Ethernet header to a unicast address, with the tags given between.
func eth(ethertype int, tags ...[]byte) []byte {
	return join([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, join(tags...), be16(ethertype))
}

// tag is a VLAN tag as it stands before the type of what it carries.
func tag(tpid, vid int) []byte { return join(be16(tpid), be16(vid)) }

// ip4 is an IPv4 header; frag is the whole field, flags included, and opts are the options,
// a multiple of four octets.
func ip4(src, dst netip.Addr, proto, frag int, opts, payload []byte) []byte {
	h := []byte{byte(0x45 + len(opts)/4), 0}
	h = append(h, be16(20+len(opts)+len(payload))...)
	h = append(h, 0, 1)
	h = append(h, be16(frag)...)
	h = append(h, 64, byte(proto), 0, 0)
	return join(h, src.AsSlice(), dst.AsSlice(), opts, payload)
}

func ip6(src, dst netip.Addr, next int, payload []byte) []byte {
	h := join([]byte{0x60, 0, 0, 0}, be16(len(payload)), []byte{byte(next), 64})
	return join(h, src.AsSlice(), dst.AsSlice(), payload)
}

// ext is an IPv6 extension header of 8*(units+1) octets, padded.
func ext(next, units int, payload []byte) []byte {
	h := make([]byte, 8*(units+1))
	h[0], h[1] = byte(next), byte(units)
	return join(h, payload)
}

// frag6 is an IPv6 fragment header; offset is in units of eight octets.
func frag6(next, offset int, more bool, payload []byte) []byte {
	field := offset << 3
	if more {
		field |= 1
	}
	return join([]byte{byte(next), 0}, be16(field), []byte{0, 0, 0, 9}, payload)
}

func tcp(src, dst int) []byte {
	return join(be16(src), be16(dst), []byte{0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0})
}

func icmp(kind int, quoted []byte) []byte {
	return join([]byte{byte(kind), 0, 0, 0, 0, 0, 0, 0}, quoted)
}

// in4 and in6 are whole frames with one TCP segment, from the remote to the local address.
func in4(srcPort, dstPort int) []byte {
	return join(eth(0x0800), ip4(remote4, local4, 6, 0, nil, tcp(srcPort, dstPort)))
}

func in6(srcPort, dstPort int) []byte {
	return join(eth(0x86dd), ip6(remote6, local6, 6, tcp(srcPort, dstPort)))
}
