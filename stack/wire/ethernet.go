package wire

import (
	"encoding/binary"
	"errors"
)

// The EtherTypes that the stack knows.
const (
	EtherTypeIPv4 = 0x0800
	EtherTypeIPv6 = 0x86dd
	etherTypeVLAN = 0x8100
)

// The lengths of an Ethernet header without and with a VLAN tag.
const (
	EthernetLen     = 14
	EthernetVLANLen = 18
)

// ErrEthernetShort: a frame that ends within its Ethernet header.
var ErrEthernetShort = errors.New("wire: parse Ethernet: shorter than a header")

// EthHeader is an Ethernet header with at most one 802.1Q tag.
type EthHeader struct {
	Dst, Src [6]byte
	// VLAN is the VLAN ID. Zero is a frame without tag, or one whose tag gives only a
	// priority, which belongs to no VLAN and is answered without tag.
	VLAN      uint16
	EtherType uint16
	// Len is where the next header starts. PutEthernet does not read it.
	Len int
}

// ParseEthernet reads the header of the frame b into h. A second tag, or an 802.1ad one, is left
// as the EtherType for the caller not to know. Every field of h is set if it returns nil; if not,
// h is undefined.
func ParseEthernet(b []byte, h *EthHeader) error {
	if len(b) < EthernetLen {
		return ErrEthernetShort
	}
	h.Dst = [6]byte(b[0:6])
	h.Src = [6]byte(b[6:12])
	h.VLAN = 0
	h.EtherType = binary.BigEndian.Uint16(b[12:14])
	h.Len = EthernetLen
	if h.EtherType != etherTypeVLAN {
		return nil
	}
	if len(b) < EthernetVLANLen {
		return ErrEthernetShort
	}
	h.VLAN = binary.BigEndian.Uint16(b[14:16]) & 0x0fff
	h.EtherType = binary.BigEndian.Uint16(b[16:18])
	h.Len = EthernetVLANLen
	return nil
}

// PutEthernet writes h to the start of b, with a tag if h has a VLAN, and returns the
// length of the header, or 0 if b is too short.
func PutEthernet(b []byte, h *EthHeader) int {
	n := EthernetLen
	if h.VLAN != 0 {
		n = EthernetVLANLen
	}
	if len(b) < n {
		return 0
	}
	copy(b[0:6], h.Dst[:])
	copy(b[6:12], h.Src[:])
	if h.VLAN != 0 {
		binary.BigEndian.PutUint16(b[12:14], etherTypeVLAN)
		binary.BigEndian.PutUint16(b[14:16], h.VLAN&0x0fff)
	}
	binary.BigEndian.PutUint16(b[n-2:n], h.EtherType)
	return n
}
