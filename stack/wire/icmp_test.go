package wire_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

var quotedTCP = []byte{0x30, 0x39, 0x01, 0xbb, 0xde, 0xad, 0xbe, 0xef}

// icmp4 is an ICMPv4 message that quotes an IPv4 packet, with its checksum right.
func icmp4(typ, code uint8, rest uint32, quote []byte) []byte {
	b := join([]byte{typ, code, 0, 0}, binary.BigEndian.AppendUint32(nil, rest), quote)
	binary.BigEndian.PutUint16(b[2:4], ^naiveFold(b))
	return b
}

// icmp6 is an IPv6 packet with an ICMPv6 message that quotes another, checksum right.
func icmp6(typ, code uint8, rest uint32, quote []byte) []byte {
	b := join([]byte{typ, code, 0, 0}, binary.BigEndian.AppendUint32(nil, rest), quote)
	sum := wire.Sum(b, wire.PseudoSum(versions[1].src, versions[1].dst, 58, len(b)))
	binary.BigEndian.PutUint16(b[2:4], sum.Checksum())
	return ipv6(58, b)
}

func wantQuote(t *testing.T, e *wire.ICMPError, v *family) {
	t.Helper()
	if e.Src != v.src || e.Dst != v.dst || e.SrcPort != 12345 || e.DstPort != 443 || e.SEQ != 0xdeadbeef {
		t.Errorf("%v quotes %v:%d > %v:%d seq %#x", e.Kind, e.Src, e.SrcPort, e.Dst, e.DstPort, e.SEQ)
	}
}

// icmpKind is a message by type and code, the rest of its header, and what is to be made of it;
// of kind 0, nothing.
type icmpKind struct {
	typ, code uint8
	rest      uint32
	kind      wire.ICMPKind
	mtu       int
}

// want checks what a message that quotes a segment of v's was parsed to.
func (k *icmpKind) want(t *testing.T, e *wire.ICMPError, err error, v *family) {
	t.Helper()
	if k.kind == 0 {
		if !errors.Is(err, wire.ErrICMPType) {
			t.Errorf("%d/%d: err = %v, want %v", k.typ, k.code, err, wire.ErrICMPType)
		}
		return
	}
	if err != nil || e.Kind != k.kind || e.MTU != k.mtu || e.Type != k.typ || e.Code != k.code {
		t.Errorf("%d/%d: got %+v, %v, want %v, MTU %d", k.typ, k.code, e, err, k.kind, k.mtu)
	}
	wantQuote(t, e, v)
}

func TestICMP4Kinds(t *testing.T) {
	for _, tt := range []icmpKind{
		{3, 0, 0, wire.NetUnreachable, 0},
		{3, 1, 0, wire.HostUnreachable, 0},
		{3, 2, 0, wire.ProtoUnreachable, 0},
		{3, 3, 1500, wire.PortUnreachable, 0},
		{3, 4, 1400, wire.PacketTooBig, 1400},
		{3, 4, 0, wire.PacketTooBig, 0},
		{3, 4, 0xabcd0000 | 576, wire.PacketTooBig, 576}, // RFC 1191: the upper half is unused
		{3, 5, 0, wire.SourceRouteFailed, 0},
		{3, 6, 0, wire.NetUnreachable, 0},
		{3, 7, 0, wire.HostUnreachable, 0},
		{3, 8, 0, wire.HostUnreachable, 0},
		{3, 9, 0, wire.AdminProhibited, 0},
		{3, 10, 0, wire.AdminProhibited, 0},
		{3, 11, 0, wire.NetUnreachable, 0},
		{3, 12, 0, wire.HostUnreachable, 0},
		{3, 13, 0, wire.AdminProhibited, 0},
		{3, 15, 0, wire.AdminProhibited, 0},
		{11, 0, 0, wire.TimeExceeded, 0},
		{12, 0, 0, wire.ParameterProblem, 0},
		{3, 16, 0, 0, 0},
		{4, 0, 0, 0, 0}, // source quench
		{5, 1, 0, 0, 0}, // redirect
		{0, 0, 0, 0, 0}, // echo reply
	} {
		e := wire.ICMPError{MTU: 9}
		b := icmp4(tt.typ, tt.code, tt.rest, ipv4(nil, quotedTCP, nil))
		err := wire.ParseICMP4(b, &e)
		tt.want(t, &e, err, &versions[0])
	}
}

func TestICMP6Kinds(t *testing.T) {
	for _, tt := range []icmpKind{
		{1, 0, 0, wire.NetUnreachable, 0},
		{1, 1, 0, wire.AdminProhibited, 0},
		{1, 2, 0, wire.NetUnreachable, 0},
		{1, 3, 0, wire.HostUnreachable, 0},
		{1, 4, 0, wire.PortUnreachable, 0},
		{1, 5, 0, wire.AdminProhibited, 0},
		{1, 6, 0, wire.AdminProhibited, 0},
		{1, 77, 0, wire.NetUnreachable, 0},
		{2, 0, 1280, wire.PacketTooBig, 1280},
		{2, 0, 0xffffffff, wire.PacketTooBig, 0x7fffffff},
		{3, 0, 0, wire.TimeExceeded, 0},
		{4, 1, 40, wire.ParameterProblem, 0},
		{128, 0, 0, 0, 0},
		{135, 0, 0, 0, 0},
	} {
		var p wire.Packet
		if err := wire.ParseIP(icmp6(tt.typ, tt.code, tt.rest, ipv6(6, quotedTCP)), &p); err != nil {
			t.Fatal(err)
		}
		var e, f wire.ICMPError
		err, errToo := wire.ParseICMP(&p, &e), wire.ParseICMP6(p.Src, p.Dst, p.Payload, &f)
		if !errors.Is(errToo, err) || (err == nil && e != f) {
			t.Errorf("%d/%d: ParseICMP = %+v, %v, ParseICMP6 = %+v, %v", tt.typ, tt.code, e, err, f, errToo)
		}
		tt.want(t, &e, err, &versions[1])
	}
}

func TestICMP4Quotes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		quote []byte
		want  error
	}{
		{"a header with options", ipv4(make([]byte, 8), quotedTCP, nil), nil},
		{"lengths in host order", ipv4(nil, quotedTCP, func(b []byte) { b[2], b[3] = 0xff, 0xff }), nil},
		{"first fragment", ipv4(nil, quotedTCP, func(b []byte) { b[6] = 0x20 }), nil},
		{"later fragment", ipv4(nil, quotedTCP, func(b []byte) { b[7] = 1 }), wire.ErrICMPQuote},
		{"UDP", ipv4(nil, quotedTCP, func(b []byte) { b[9] = 17 }), wire.ErrICMPQuote},
		{"seven octets of TCP", ipv4(nil, quotedTCP[:7], nil), wire.ErrICMPQuote},
		{"header length past the end", ipv4(nil, quotedTCP, func(b []byte) { b[0] = 0x4f }), wire.ErrICMPQuote},
		{"header length 16", ipv4(nil, quotedTCP, func(b []byte) { b[0] = 0x44 }), wire.ErrICMPQuote},
		{"IPv6", ipv6(6, quotedTCP), wire.ErrICMPQuote},
		{"cut off", ipv4(nil, nil, nil)[:19], wire.ErrICMPShort},
	} {
		var e wire.ICMPError
		b := icmp4(3, 3, 0, tt.quote)
		err := wire.ParseICMP4(b, &e)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: err = %v, want %v", tt.name, err, tt.want)
		}
		if err == nil {
			wantQuote(t, &e, &versions[0])
		}
		b[2] ^= 1
		if err := wire.ParseICMP4(b, &e); !errors.Is(err, wire.ErrICMPChecksum) && len(b) >= 28 {
			t.Errorf("%s, wrong checksum: err = %v, want %v", tt.name, err, wire.ErrICMPChecksum)
		}
	}
}

func TestICMP6Quotes(t *testing.T) {
	pad := []byte{6, 0, 1, 4, 0, 0, 0, 0}
	for _, tt := range []struct {
		name  string
		quote []byte
		want  error
	}{
		{"destination options", ipv6(60, pad, quotedTCP), nil},
		{"first fragment", ipv6(44, []byte{6, 0, 0, 1, 0, 0, 0, 0}, quotedTCP), nil},
		{"later fragment", ipv6(44, []byte{6, 0, 0, 9, 0, 0, 0, 0}, quotedTCP), wire.ErrICMPQuote},
		{"UDP", ipv6(17, quotedTCP), wire.ErrICMPQuote},
		{"seven octets of TCP", ipv6(6, quotedTCP[:7]), wire.ErrICMPQuote},
		{"extension cut off", ipv6(60, pad[:7]), wire.ErrICMPQuote},
		{"IPv4", ipv4(make([]byte, 20), quotedTCP, nil), wire.ErrICMPQuote},
		{"cut off", ipv6(6)[:39], wire.ErrICMPShort},
	} {
		var p wire.Packet
		if err := wire.ParseIP(icmp6(1, 4, 0, tt.quote), &p); err != nil {
			t.Fatal(err)
		}
		var e wire.ICMPError
		err := wire.ParseICMP(&p, &e)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: err = %v, want %v", tt.name, err, tt.want)
		}
		if err == nil {
			wantQuote(t, &e, &versions[1])
		}
		p.Payload[2] ^= 1
		if err := wire.ParseICMP(&p, &e); !errors.Is(err, wire.ErrICMPChecksum) && len(p.Payload) >= 48 {
			t.Errorf("%s, wrong checksum: err = %v, want %v", tt.name, err, wire.ErrICMPChecksum)
		}
	}
}

func TestICMPKindsHaveNames(t *testing.T) {
	seen := map[string]wire.ICMPKind{}
	for k := range wire.ParameterProblem + 2 {
		if old, ok := seen[k.String()]; ok && k <= wire.ParameterProblem {
			t.Errorf("kinds %d and %d are both %q", old, k, k)
		}
		seen[k.String()] = k
	}
}

func TestICMPOfTheOtherVersion(t *testing.T) {
	var p wire.Packet
	var e wire.ICMPError
	if err := wire.ParseIP(ipv6(wire.ProtoICMP, icmp4(3, 3, 0, ipv4(nil, quotedTCP, nil))), &p); err != nil {
		t.Fatal(err)
	}
	if err := wire.ParseICMP(&p, &e); !errors.Is(err, wire.ErrICMPType) {
		t.Errorf("ICMPv4 in IPv6: err = %v, want %v", err, wire.ErrICMPType)
	}
}

func TestParseICMPDoesNotAllocate(t *testing.T) {
	var p wire.Packet
	if err := wire.ParseIP(icmp6(1, 4, 0, ipv6(6, quotedTCP)), &p); err != nil {
		t.Fatal(err)
	}
	var e wire.ICMPError
	wantNoAlloc(t, "ParseICMP", func() {
		if err := wire.ParseICMP(&p, &e); err != nil {
			t.Error(err)
		}
	})
}
