package transcript

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// inject sends a packet of the script to the engine.
func (p *player) inject(k *pktdrill.Packet) error {
	if p.under == nil || p.under.listening {
		p.peerFlow()
	}
	var frame []byte
	var err error
	if k.ICMP != nil {
		frame, err = p.icmp(k)
	} else {
		frame, err = p.segment(k)
	}
	if err != nil {
		return err
	}
	p.port.in = append(p.port.in, frame)
	return p.settle()
}

// segment is the frame of a TCP line.
func (p *player) segment(k *pktdrill.Packet) ([]byte, error) {
	f := p.under
	s := wire.Segment{
		SrcPort: f.remote.Port(), DstPort: f.localPort,
		SEQ: seq.Num(k.Seq) + f.remoteOffset, Flags: wire.Flags(k.Flags), UP: uint16(k.Urg),
		WND: uint16(max(k.Win, 0)),
	}
	if k.SrcPort != 0 {
		s.SrcPort = uint16(k.SrcPort)
	}
	if k.DstPort != 0 {
		s.DstPort = uint16(k.DstPort)
	}
	if k.ACE >= 0 {
		s.Flags |= wire.Flags(k.ACE&1)*wire.ECE | wire.Flags(k.ACE>>1&1)*wire.CWR | wire.Flags(k.ACE>>2&1)*wire.AE
	}
	if s.Flags&wire.ACK != 0 {
		s.ACK = f.scriptToLocal(k.Ack)
	}
	options, err := p.injectedOptions(k)
	if err != nil {
		return nil, err
	}
	s.Payload = make([]byte, k.Len)
	at := int(int32(k.Seq)) - 1
	if s.Flags&wire.SYN != 0 {
		at++
	}
	fill(s.Payload, at)
	return p.frame(&s, options, ecnBits(k.ECN))
}

// frame puts headers around a segment. Its options are laid out as the script has them.
func (p *player) frame(s *wire.Segment, options []byte, tos uint8) ([]byte, error) {
	t, err := wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Src: macRemote, Dst: macLocal}, Src: p.remote, Dst: p.local,
	})
	if err != nil {
		return nil, err
	}
	b := make([]byte, t.Len()+60+len(s.Payload))
	tcp := b[t.Len():]
	n := wire.PutTCP(tcp, s)
	tcp[12] = tcp[12]&0xf | byte((n+len(options))/4)<<4
	n += copy(tcp[n:], options)
	n += copy(tcp[n:], s.Payload)
	t.PutTOS(b, n, 0, tos)
	b = b[:t.Len()+n]
	t.Finish(b)
	return b, nil
}

func ecnBits(e pktdrill.ECN) uint8 {
	switch e {
	case pktdrill.ECNECT0:
		return wire.ECNECT0
	case pktdrill.ECNECT1:
		return wire.ECNECT1
	case pktdrill.ECNCE:
		return wire.ECNCE
	case pktdrill.ECNUnsaid, pktdrill.ECNNone, pktdrill.ECNECT01:
	}
	return wire.ECNNotECT
}

// injectedOptions lays options out octet by octet, in the script's order.
func (p *player) injectedOptions(k *pktdrill.Packet) ([]byte, error) {
	var b []byte
	for _, o := range k.Options {
		switch o.Name {
		case "nop":
			b = append(b, 1)
		case "eol":
			b = append(b, 0)
		case "mss":
			b = binary.BigEndian.AppendUint16(append(b, 2, 4), uint16(o.Values[0]))
		case "wscale":
			b = append(b, 3, 3, byte(o.Values[0]))
		case "sackOK":
			b = append(b, 4, 2)
		case "sack":
			b = append(b, 5, byte(2+4*len(o.Values)))
			for _, v := range o.Values {
				b = binary.BigEndian.AppendUint32(b, uint32(p.under.scriptToLocal(v)))
			}
		case "TS":
			ecr := o.Values[1]
			if k.Flags&pktdrill.ACK != 0 {
				ecr = p.under.echo(ecr)
			}
			b = binary.BigEndian.AppendUint32(append(b, 8, 10), o.Values[0])
			b = binary.BigEndian.AppendUint32(b, ecr)
		case "ECN":
			kind := byte(172)
			if len(o.Text) > 2 && o.Text[:3] == "e1b" {
				kind = 174
			}
			b = append(b, kind, byte(2+3*len(o.Values)))
			for _, v := range o.Values {
				b = append(b, byte(v>>16), byte(v>>8), byte(v))
			}
		default:
			return nil, fmt.Errorf("the option %s is not played", o.Name)
		}
	}
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	if len(b) > 40 {
		return nil, fmt.Errorf("the options take %d octets, more than 40", len(b))
	}
	return b, nil
}

// unreachable are the codes of destination unreachable.
func unreachable(code string) (byte, bool) {
	codes := [...]string{
		"net_unreachable", "host_unreachable", "protocol_unreachable", "port_unreachable", "frag_needed",
		"source_route_failed", "net_unknown", "host_unknown", "source_host_isolated", "net_prohibited",
		"host_prohibited", "net_unreachable_for_tos", "host_unreachable_for_tos", "packet_filtered",
		"precedence_violation", "precedence_cutoff",
	}
	for i, name := range codes {
		if name == code {
			return byte(i), true
		}
	}
	return 0, false
}

// icmp is the frame of an ICMP line: an error about a segment of ours.
func (p *player) icmp(k *pktdrill.Packet) ([]byte, error) {
	m := make([]byte, 8, 64)
	switch k.ICMP.Type {
	case "unreachable":
		code, ok := unreachable(k.ICMP.Code)
		if !ok {
			return nil, fmt.Errorf("the ICMP code %q is not played", k.ICMP.Code)
		}
		m[0], m[1] = 3, code
	case "source_quench":
		m[0] = 4
	case "time_exceeded":
		m[0] = 11
	case "parameter_problem":
		m[0] = 12
	default:
		return nil, fmt.Errorf("the ICMP type %q is not played", k.ICMP.Type)
	}
	if !p.local.Is4() {
		return nil, fmt.Errorf("ICMPv6 is not played")
	}
	if k.ICMP.MTU >= 0 {
		binary.BigEndian.PutUint16(m[6:], uint16(k.ICMP.MTU))
	}
	quote := ip4(p.local.As4(), p.remote.As4(), wire.ProtoTCP, make([]byte, 20), 20+k.ICMP.Len)
	tcp := quote[20:]
	binary.BigEndian.PutUint16(tcp[0:], p.under.localPort)
	binary.BigEndian.PutUint16(tcp[2:], p.under.remote.Port())
	binary.BigEndian.PutUint32(tcp[4:], uint32(p.under.scriptToLocal(k.ICMP.Seq)))
	tcp[12] = 5 << 4
	m = append(m, quote...)
	binary.BigEndian.PutUint16(m[2:], wire.Sum(m, 0).Checksum())
	eth := wire.EthHeader{Src: macRemote, Dst: macLocal, EtherType: wire.EtherTypeIPv4}
	b := make([]byte, 14)
	wire.PutEthernet(b, &eth)
	return append(b, ip4(p.remote.As4(), p.local.As4(), wire.ProtoICMP, m, len(m))...), nil
}

// ip4 is an IPv4 packet whose header says that it carries octets of payload.
func ip4(src, dst [4]byte, proto byte, payload []byte, octets int) []byte {
	h := make([]byte, 20, 20+len(payload))
	h[0], h[8], h[9] = 4<<4|5, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+octets))
	copy(h[12:], src[:])
	copy(h[16:], dst[:])
	binary.BigEndian.PutUint16(h[10:], wire.Sum(h, 0).Checksum())
	return append(h, payload...)
}
