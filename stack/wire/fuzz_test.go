package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

func FuzzParseTCP(f *testing.F) {
	for _, s := range []*wire.Segment{dataSegment(3), synSegment(), sackSegment(3), {}} {
		b := make([]byte, 60)
		f.Add(append(b[:wire.PutTCP(b, s)], s.Payload...))
	}
	f.Add(append(header(8, wire.ACK), 172, 11, 0, 0, 1, 0, 4, 0, 0, 0, 2, 1))
	f.Add(append(header(7, wire.SYN), 99, 0, 1, 1, 5, 2, 3, 3))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s wire.Segment
		err := wire.ParseTCP(b, &s)
		if errors.Is(err, wire.ErrTCPShort) || errors.Is(err, wire.ErrTCPOffset) {
			return
		}
		if len(s.Payload) > len(b)-20 || s.Opt.NSACK > wire.SACKMax || (s.Opt.NSACK > 0) != s.Opt.Has.Has(wire.HasSACK) {
			t.Fatalf("ParseTCP(%x) = %+v", b, s)
		}
		_ = s.Relative(s.SEQ, s.ACK)
		// Options may lie closer in b than PutTCP lays them, so that SACK blocks are lost.
		out := make([]byte, wire.HeaderLen(&s.Opt), 60+len(s.Payload))
		if n := wire.PutTCP(out, &s); n != len(out) {
			t.Fatalf("PutTCP = %d, want %d", n, len(out))
		}
		var again wire.Segment
		if err := wire.ParseTCP(append(out, s.Payload...), &again); err != nil {
			t.Fatalf("ParseTCP of what PutTCP wrote: %v", err)
		}
		k := again.Opt.NSACK
		if k > s.Opt.NSACK {
			t.Fatalf("%d SACK blocks became %d", s.Opt.NSACK, k)
		}
		clear(s.Opt.SACK[k:])
		if s.Opt.NSACK = k; k == 0 {
			s.Opt.Has &^= wire.HasSACK
		}
		if again.Opt != s.Opt || again.String() != s.String() || !bytes.Equal(again.Payload, s.Payload) ||
			again.SrcPort != s.SrcPort || again.DstPort != s.DstPort || again.UP != s.UP {
			t.Fatalf("round trip = %+v, want %+v", again, s)
		}
	})
}

func FuzzParseEthernet(f *testing.F) {
	f.Add(join(macB[:], macA[:], []byte{8, 0}))
	f.Add(join(macB[:], macA[:], []byte{0x81, 0, 0xe0, 100, 0x86, 0xdd}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again wire.EthHeader
		if wire.ParseEthernet(b, &h) != nil {
			return
		}
		if h.Len > len(b) || (h.Len != 14 && h.Len != 18) {
			t.Fatalf("ParseEthernet(%x) = %+v", b, h)
		}
		if h.VLAN == 0 && h.EtherType == 0x8100 {
			return // a tag within a priority tag: without the outer one it reads as a tag
		}
		out := make([]byte, wire.EthernetVLANLen)
		n := wire.PutEthernet(out, &h)
		err := wire.ParseEthernet(out[:n], &again)
		if h.Len = n; err != nil || again != h {
			t.Fatalf("round trip = %+v, %v, want %+v", again, err, h)
		}
	})
}

func FuzzParseIP(f *testing.F) {
	pad := []byte{60, 0, 1, 4, 0, 0, 0, 0}
	f.Add(ipv4(nil, []byte("payload"), nil), uint16(9))
	f.Add(ipv4([]byte{1, 1, 1, 0}, []byte("payload"), func(b []byte) { b[6] = 0x20 }), uint16(9))
	f.Add(ipv6(6, []byte("payload")), uint16(9))
	f.Add(ipv6(0, pad, []byte{44, 0, 0, 1, 0, 0, 0, 0}, []byte{43, 0, 0, 1, 1, 2, 3, 4}, []byte("payload")), uint16(9))
	f.Fuzz(func(t *testing.T, b []byte, sum uint16) {
		b = fixIPv4(b, sum)
		var p wire.Packet
		if wire.ParseIP(b, &p) != nil {
			return
		}
		if !p.Src.IsValid() || p.Src.Is4() != (p.Version == 4) || p.Dst.Is4() != p.Src.Is4() || len(p.Payload) > len(b)-20 {
			t.Fatalf("ParseIP(%x) = %+v", b, p)
		}
		if got, want := p.Pseudo.Fold(), wire.PseudoSum(p.Src, p.Dst, p.Proto, len(p.Payload)).Fold(); got != want {
			t.Fatalf("Pseudo = %#x, want %#x", got, want)
		}
		if p.TCPValid() != wire.TCPValid(p.Src, p.Dst, p.Payload) && p.Proto == wire.ProtoTCP {
			t.Fatal("Packet.TCPValid and TCPValid disagree")
		}
		// The same packet behind a template says the same.
		tm, err := wire.NewTemplate(wire.TemplateConfig{Src: p.Src, Dst: p.Dst, TTL: max(p.TTL, 1)})
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, tm.Len(), tm.Len()+len(p.Payload))
		if tm.PutTOS(out, len(p.Payload), sum, p.TOS) == 0 {
			t.Fatalf("PutTOS refused %d octets", len(p.Payload))
		}
		out = append(out, p.Payload...)
		tm.Finish(out)
		var again wire.Packet
		if err := wire.ParseIP(out[wire.EthernetLen:], &again); err != nil || again.Src != p.Src || again.Dst != p.Dst ||
			again.TOS != p.TOS || again.TTL != max(p.TTL, 1) || again.Fragment || len(again.Payload) != len(p.Payload) {
			t.Fatalf("round trip = %+v, %v, want %+v", again, err, p)
		}
		if len(p.Payload) >= 20 && !again.TCPValid() {
			t.Fatal("the checksum of Finish is wrong")
		}
	})
}

// fixIPv4 makes the header checksum right half of the time, or the fuzzer would not get
// past it. The argument stays as it is, for it is the fuzzer's.
func fixIPv4(b []byte, sum uint16) []byte {
	if len(b) < 20 || b[0]>>4 != 4 || sum&1 == 0 {
		return b
	}
	b = bytes.Clone(b)
	if n := int(b[0]&0xf) * 4; n >= 20 && n <= len(b) {
		b[10], b[11] = 0, 0
		binary.BigEndian.PutUint16(b[10:12], ^naiveFold(b[:n]))
	}
	return b
}

func FuzzParseICMP(f *testing.F) {
	f.Add(icmp4(3, 4, 1400, ipv4(nil, quotedTCP, nil)), false)
	f.Add(icmp4(11, 0, 0, ipv4(make([]byte, 8), quotedTCP, nil)), false)
	f.Add(icmp6(2, 0, 1280, ipv6(6, quotedTCP))[40:], true)
	f.Add(icmp6(1, 4, 0, ipv6(60, []byte{6, 0, 1, 4, 0, 0, 0, 0}, quotedTCP))[40:], true)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		if len(b) < 4 || len(b) > 0xffff {
			return
		}
		// The checksum is made right, or the fuzzer would never see what is behind it.
		b = bytes.Clone(b)
		p := wire.Packet{Version: 4, Proto: wire.ProtoICMP, Payload: b}
		if v6 {
			p.Version, p.Proto = 6, wire.ProtoICMP6
			p.Pseudo = wire.PseudoSum(versions[1].src, versions[1].dst, wire.ProtoICMP6, len(b))
		}
		b[2], b[3] = 0, 0
		binary.BigEndian.PutUint16(b[2:4], wire.Sum(b, p.Pseudo).Checksum())
		var e wire.ICMPError
		err := wire.ParseICMP(&p, &e)
		if errors.Is(err, wire.ErrICMPChecksum) {
			t.Fatalf("ParseICMP(%x): %v of a right checksum", b, err)
		}
		if err != nil {
			return
		}
		if e.Kind == 0 || e.Src.Is4() == v6 || e.Dst.Is4() == v6 || e.MTU < 0 || (e.MTU != 0 && e.Kind != wire.PacketTooBig) {
			t.Fatalf("ParseICMP(%x) = %+v", b, e)
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint(0))
	f.Add(pattern(200, 1), uint(77))
	f.Add(bytes.Repeat([]byte{0xff}, 300), uint(1))
	f.Fuzz(func(t *testing.T, b []byte, split uint) {
		want := naiveFold(b)
		dst := make([]byte, len(b))
		if got := wire.CopySum(dst, b).Fold(); got != want || !bytes.Equal(dst, b) {
			t.Fatalf("CopySum = %#x, want %#x and a copy", got, want)
		}
		i := int(split % uint(len(b)+1))
		if got := wire.Combine(wire.Sum(b[:i], 0), i, wire.Sum(b[i:], 0)).Fold(); got != want {
			t.Fatalf("Combine at %d = %#x, want %#x", i, got, want)
		}
	})
}
