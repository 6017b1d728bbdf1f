package transcript

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// icmpNames are the types of a version, with the codes that have names.
type icmpNames struct {
	types map[string]byte
	codes map[string][]string // by type, in the order of the codes
}

func icmp4Names() icmpNames {
	return icmpNames{
		types: map[string]byte{
			"echo_reply": 0, "unreachable": 3, "source_quench": 4, "redirect": 5, "echo_request": 8,
			"time_exceeded": 11, "parameter_problem": 12, "timestamp_request": 13, "timestamp_reply": 14,
			"information_request": 15, "information_reply": 16, "address_mask_request": 17, "address_mask_reply": 18,
		},
		codes: map[string][]string{
			"unreachable": {
				"net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed",
				"source_route_failed", "net_unknown", "host_unknown", "source_host_isolated", "net_prohibited",
				"host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos", "packet_filtered",
				"precedence_violation", "precedence_cutoff",
			},
			"time_exceeded": {"exceeded_in_transit", "fragment_reassembly_time_exceeded"},
		},
	}
}

func icmp6Names() icmpNames {
	return icmpNames{
		types: map[string]byte{
			"unreachable": 1, "packet_too_big": 2, "time_exceeded": 3, "parameter_problem": 4,
			"echo_request": 128, "echo_reply": 129,
		},
		codes: map[string][]string{
			"unreachable": {
				"no_route", "admin_prohibited", "not_neighbour", "addr_unreachable", "port_unreachable",
			},
			"time_exceeded": {"exceeded_in_transit", "fragment_reassembly_time_exceeded"},
		},
	}
}

// of are the type and code of an ICMP line, by name or as type_N and code_N.
func (n *icmpNames) of(m *pktdrill.ICMP) (kind, code byte, err error) {
	kind, known := n.types[m.Type]
	if !known {
		if kind, known = numbered(m.Type, "type_"); !known {
			return 0, 0, fmt.Errorf("the ICMP type %q is not played", m.Type)
		}
	}
	if m.Code == "" {
		return kind, 0, nil
	}
	for i, name := range n.codes[m.Type] {
		if name == m.Code {
			return kind, byte(i), nil
		}
	}
	if code, known = numbered(m.Code, "code_"); !known {
		return 0, 0, fmt.Errorf("the ICMP code %q is not played", m.Code)
	}
	return kind, code, nil
}

func numbered(name, prefix string) (byte, bool) {
	digits, ok := strings.CutPrefix(name, prefix)
	n, err := strconv.ParseUint(digits, 10, 8)
	return byte(n), ok && err == nil
}

// icmp is the frame of an ICMP line: an error about a segment of ours.
func (p *player) icmp(k *pktdrill.Packet) ([]byte, error) {
	names, proto, etherType := icmp4Names(), byte(wire.ProtoICMP), uint16(wire.EtherTypeIPv4)
	if !p.local.Is4() {
		names, proto, etherType = icmp6Names(), wire.ProtoICMP6, wire.EtherTypeIPv6
	}
	kind, code, err := names.of(k.ICMP)
	if err != nil {
		return nil, err
	}
	m := make([]byte, 8, 96)
	m[0], m[1] = kind, code
	switch {
	case k.ICMP.MTU >= 0 && p.local.Is4():
		binary.BigEndian.PutUint16(m[6:], uint16(k.ICMP.MTU))
	case k.ICMP.MTU >= 0:
		binary.BigEndian.PutUint32(m[4:], uint32(k.ICMP.MTU))
	}
	m = append(m, p.packet(true, wire.ProtoTCP, p.quoted(k.ICMP), 20+k.ICMP.Len)...)
	if p.local.Is4() {
		binary.BigEndian.PutUint16(m[2:], wire.Sum(m, 0).Checksum())
	} else {
		pseudo := wire.PseudoSum6(p.remote.As16(), p.local.As16(), wire.ProtoICMP6, len(m))
		binary.BigEndian.PutUint16(m[2:], wire.Sum(m, pseudo).Checksum())
	}
	b := make([]byte, 14)
	wire.PutEthernet(b, &wire.EthHeader{Src: macRemote, Dst: macLocal, EtherType: etherType})
	return append(b, p.packet(false, proto, m, len(m))...), nil
}

// quoted is the TCP header of the segment that an ICMP line is about.
func (p *player) quoted(m *pktdrill.ICMP) []byte {
	tcp := make([]byte, 20)
	binary.BigEndian.PutUint16(tcp[0:], p.under.localPort)
	binary.BigEndian.PutUint16(tcp[2:], p.under.remote.Port())
	binary.BigEndian.PutUint32(tcp[4:], uint32(p.under.scriptToLocal(m.Seq)))
	tcp[12] = 5 << 4
	return tcp
}

// packet is an IP packet, ours or the peer's, whose header says that it carries octets of
// payload.
func (p *player) packet(ours bool, proto byte, payload []byte, octets int) []byte {
	src, dst := p.remote, p.local
	if ours {
		src, dst = dst, src
	}
	if !src.Is4() {
		h := make([]byte, 40, 40+len(payload))
		h[0], h[6], h[7] = 6<<4, proto, 64
		binary.BigEndian.PutUint16(h[4:], uint16(octets))
		copy(h[8:], src.AsSlice())
		copy(h[24:], dst.AsSlice())
		return append(h, payload...)
	}
	h := make([]byte, 20, 20+len(payload))
	h[0], h[8], h[9] = 4<<4|5, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+octets))
	copy(h[12:], src.AsSlice())
	copy(h[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(h[10:], wire.Sum(h, 0).Checksum())
	return append(h, payload...)
}
