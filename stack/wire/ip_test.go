package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// ipv4 is an IPv4 packet from 10.77.0.1 to 10.77.0.2 with the checksum right after edit.
func ipv4(options, payload []byte, edit func(b []byte)) []byte {
	hlen := 20 + len(options)
	b := make([]byte, hlen+len(payload))
	b[0] = 4<<4 | byte(hlen/4)
	b[1] = 0xb9
	binary.BigEndian.PutUint16(b[2:4], uint16(len(b)))
	b[8], b[9] = 61, wire.ProtoTCP
	copy(b[12:16], versions[0].src.AsSlice())
	copy(b[16:20], versions[0].dst.AsSlice())
	copy(b[20:], options)
	copy(b[hlen:], payload)
	if edit != nil {
		edit(b)
	}
	binary.BigEndian.PutUint16(b[10:12], ^naiveFold(b[:hlen]))
	return b
}

// ipv6 is an IPv6 packet from fd77::1 to fd77::2.
func ipv6(next uint8, body ...[]byte) []byte {
	payload := join(body...)
	b := make([]byte, 40+len(payload))
	b[0], b[1] = 0x6b, 0x9f // traffic class 0xb9, a flow label after it
	binary.BigEndian.PutUint16(b[4:6], uint16(len(payload)))
	b[6], b[7] = next, 61
	copy(b[8:24], versions[1].src.AsSlice())
	copy(b[24:40], versions[1].dst.AsSlice())
	copy(b[40:], payload)
	return b
}

func TestParseIPv4(t *testing.T) {
	payload := []byte("payload")
	for _, tt := range []struct {
		name     string
		b        []byte
		fragment bool
	}{
		{"plain", ipv4(nil, payload, nil), false},
		{"padding of the link is cut off", append(ipv4(nil, payload, nil), make([]byte, 19)...), false},
		{"options", ipv4([]byte{1, 1, 1, 0}, payload, nil), false},
		{"40 octets of options", ipv4(make([]byte, 40), payload, nil), false},
		{"don't fragment", ipv4(nil, payload, func(b []byte) { b[6] = 0x40 }), false},
		{"first fragment", ipv4(nil, payload, func(b []byte) { b[6] = 0x20 }), true},
		{"last fragment", ipv4(nil, payload, func(b []byte) { b[7] = 1 }), true},
	} {
		p := wire.Packet{Fragment: true, Proto: 99}
		if err := wire.ParseIP(tt.b, &p); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		wantPacket(t, tt.name, &p, &versions[0], "payload", tt.fragment)
		if p.Version != 4 {
			t.Errorf("%s: version = %d, want 4", tt.name, p.Version)
		}
	}
}

func wantPacket(t *testing.T, name string, p *wire.Packet, v *family, payload string, fragment bool) {
	t.Helper()
	if p.Src != v.src || p.Dst != v.dst || p.Proto != wire.ProtoTCP || p.TTL != 61 ||
		p.TOS != 0xb9 || p.ECN() != wire.ECNECT1 || p.Fragment != fragment || string(p.Payload) != payload {
		t.Errorf("%s: got %+v", name, p)
	}
	if got, want := p.Pseudo.Fold(), wire.PseudoSum(v.src, v.dst, p.Proto, len(p.Payload)).Fold(); got != want {
		t.Errorf("%s: Pseudo = %#x, want %#x", name, got, want)
	}
}

func TestParseIPRefuses(t *testing.T) {
	good := ipv4(nil, []byte("payload"), nil)
	badSum := bytes.Clone(good)
	badSum[10] ^= 1
	hop := []byte{6, 0, 1, 4, 0, 0, 0, 0}
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, wire.ErrIPShort},
		{"19 octets", good[:19], wire.ErrIPShort},
		{"version 5", ipv4(nil, nil, func(b []byte) { b[0] = 5<<4 | 5 }), wire.ErrIPVersion},
		{"header of 16", ipv4(nil, nil, func(b []byte) { b[0] = 4<<4 | 4 }), wire.ErrIPHeaderLen},
		{"header past the end", ipv4(nil, nil, func(b []byte) { b[0] = 4<<4 | 6 }), wire.ErrIPHeaderLen},
		{"total below the header", ipv4(nil, nil, func(b []byte) { b[3] = 19 }), wire.ErrIPLength},
		{"frame below the total", good[:len(good)-1], wire.ErrIPTruncated},
		{"checksum", badSum, wire.ErrIPChecksum},
		{"IPv6 of 39 octets", ipv6(6)[:39], wire.ErrIPShort},
		{"IPv6 cut off", ipv6(6, []byte("x"))[:40], wire.ErrIPTruncated},
		{"extension cut off", ipv6(0, hop[:7]), wire.ErrIPv6Extension},
		{"extension past the end", ipv6(60, []byte{6, 1, 1, 4, 0, 0, 0, 0}), wire.ErrIPv6Extension},
		{"hop-by-hop twice", ipv6(0, []byte{0, 0, 1, 4, 0, 0, 0, 0}, hop), wire.ErrIPv6Extension},
		{"option past its header", ipv6(60, []byte{6, 0, 5, 5, 0, 0, 0, 0}), wire.ErrIPv6Extension},
		{"option without length", ipv6(60, []byte{6, 0, 1, 3, 0, 0, 0, 5}), wire.ErrIPv6Extension},
		{"jumbo payload", ipv6(0, []byte{6, 0, 0xc2, 4, 0, 1, 0, 0}), wire.ErrIPv6Option},
		{"option that says drop", ipv6(60, []byte{6, 0, 0x7e, 4, 0, 0, 0, 0}), wire.ErrIPv6Option},
		{"segments left", ipv6(43, []byte{6, 0, 0, 1, 0, 0, 0, 0}), wire.ErrIPv6Routing},
		{"nine extensions", ipv6(60, bytes.Repeat([]byte{60, 0, 1, 4, 0, 0, 0, 0}, 8), hop, quotedTCP), wire.ErrIPv6Extension},
	} {
		var p wire.Packet
		if err := wire.ParseIP(tt.b, &p); !errors.Is(err, tt.want) {
			t.Errorf("%s: ParseIP = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestParseIPv6Extensions(t *testing.T) {
	payload := []byte("payload")
	pad := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	routing := []byte{60, 0, 4, 0, 0, 0, 0, 0}
	long := append([]byte{6, 1, 1, 12}, make([]byte, 12)...)
	for _, tt := range []struct {
		name     string
		b        []byte
		fragment bool
	}{
		{"none", ipv6(6, payload), false},
		{"padding of the link is cut off", append(ipv6(6, payload), 0, 0), false},
		{"hop-by-hop", ipv6(0, pad(6), payload), false},
		{"router alert", ipv6(0, []byte{6, 0, 5, 2, 0, 0, 0, 0}, payload), false},
		{"destination options of 16", ipv6(60, long, payload), false},
		{"all in order", ipv6(0, pad(60), pad(43), routing, pad(6), payload), false},
		{"eight", ipv6(60, bytes.Repeat(pad(60), 7), pad(6), payload), false},
		{"an atomic fragment", ipv6(44, []byte{6, 0, 0, 0, 1, 2, 3, 4}, payload), false},
		{"options behind an atomic fragment", ipv6(44, []byte{60, 0, 0, 0, 1, 2, 3, 4}, pad(6), payload), false},
		{"first fragment", ipv6(44, []byte{6, 0, 0, 1, 1, 2, 3, 4}, payload), true},
		{"last fragment", ipv6(44, []byte{6, 0, 0, 8, 1, 2, 3, 4}, payload), true},
	} {
		var p wire.Packet
		if err := wire.ParseIP(tt.b, &p); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		wantPacket(t, tt.name, &p, &versions[1], "payload", tt.fragment)
		if p.Version != 6 {
			t.Errorf("%s: version = %d, want 6", tt.name, p.Version)
		}
	}
}

func TestUnknownExtensionIsTheProtocol(t *testing.T) {
	for _, proto := range []uint8{50, 51, 58, 59, 135} {
		var p wire.Packet
		if err := wire.ParseIP(ipv6(proto, []byte("12345678")), &p); err != nil || p.Proto != proto || len(p.Payload) != 8 {
			t.Errorf("next header %d: got %+v, %v", proto, p, err)
		}
	}
}

func TestMappedAddressStaysIPv6(t *testing.T) {
	b := ipv6(6)
	mapped := netip.MustParseAddr("::ffff:10.77.0.1").As16()
	copy(b[8:24], mapped[:])
	var p wire.Packet
	if err := wire.ParseIP(b, &p); err != nil || !p.Src.Is4In6() {
		t.Errorf("got %v, %v, want an IPv4-mapped IPv6 address", p.Src, err)
	}
}

func TestParseIPDoesNotAllocate(t *testing.T) {
	var p wire.Packet
	for _, b := range [][]byte{ipv4(nil, []byte("x"), nil), ipv6(0, []byte{6, 0, 1, 4, 0, 0, 0, 0}, []byte("x"))} {
		wantNoAlloc(t, "ParseIP", func() {
			if err := wire.ParseIP(b, &p); err != nil {
				t.Error(err)
			}
		})
	}
}
