package transcript

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

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
			if strings.HasPrefix(o.Text, "e1b") {
				kind = 174
			}
			b = append(b, kind, byte(2+3*len(o.Values)))
			for _, v := range o.Values {
				b = append(b, byte(v>>16), byte(v>>8), byte(v))
			}
		default:
			octets, err := carried(o)
			if err != nil {
				return nil, err
			}
			b = append(b, octets...)
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

// carried is an option that carries octets, which the notation has in hexadecimal.
func carried(o pktdrill.TCPOption) ([]byte, error) {
	head, known := map[string][]byte{
		"FO": {34, 0}, "FOEXP": {254, 0, 0xf9, 0x89}, "md5": {19, 0},
	}[o.Name]
	body, err := hex.DecodeString(strings.TrimPrefix(o.Text, "0x"))
	if !known || err != nil || len(head)+len(body) > 40 {
		return nil, fmt.Errorf("the option %s %s is not played", o.Name, o.Text)
	}
	if o.Name == "md5" && len(body) == 0 {
		body = make([]byte, 16)
	}
	head[1] = byte(len(head) + len(body))
	return append(head, body...), nil
}
