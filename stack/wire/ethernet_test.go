package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

func TestEthernet(t *testing.T) {
	macs := join(macB[:], macA[:])
	for _, tt := range []struct {
		name string
		b    []byte
		want wire.EthHeader
		err  error
	}{
		{"nothing", nil, wire.EthHeader{}, wire.ErrEthernetShort},
		{"13 octets", macs[:12:12], wire.EthHeader{}, wire.ErrEthernetShort},
		{"IPv4", join(macs, []byte{8, 0}), wire.EthHeader{EtherType: wire.EtherTypeIPv4, Len: 14}, nil},
		{"IPv6 in VLAN 100, priority 7", join(macs, []byte{0x81, 0, 0xe0, 100, 0x86, 0xdd}),
			wire.EthHeader{VLAN: 100, EtherType: wire.EtherTypeIPv6, Len: 18}, nil},
		{"a priority tag", join(macs, []byte{0x81, 0, 0xe0, 0, 8, 0}),
			wire.EthHeader{EtherType: wire.EtherTypeIPv4, Len: 18}, nil},
		{"a tag cut off", join(macs, []byte{0x81, 0, 0, 1, 8}), wire.EthHeader{}, wire.ErrEthernetShort},
		{"a second tag is left", join(macs, []byte{0x81, 0, 0, 1, 0x81, 0, 0, 2, 8, 0}),
			wire.EthHeader{VLAN: 1, EtherType: 0x8100, Len: 18}, nil},
	} {
		if tt.err == nil {
			tt.want.Dst, tt.want.Src = macB, macA
		}
		got := wire.EthHeader{VLAN: 7} // that of the frame before
		err := wire.ParseEthernet(tt.b, &got)
		if err == nil && got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

func TestPutEthernet(t *testing.T) {
	for _, vlan := range []uint16{0, 1, 4094} {
		h := wire.EthHeader{Dst: macB, Src: macA, VLAN: vlan, EtherType: wire.EtherTypeIPv6, Len: 14}
		if vlan != 0 {
			h.Len = 18
		}
		b := bytes.Repeat([]byte{0xee}, 19)
		n := wire.PutEthernet(b, &h)
		var got wire.EthHeader
		err := wire.ParseEthernet(b[:n], &got)
		if got != h || err != nil || n != h.Len || b[n] != 0xee {
			t.Errorf("VLAN %d: wrote %x, read back %+v, %v, want %+v", vlan, b[:n], got, err, h)
		}
		if n := wire.PutEthernet(b[:h.Len-1], &h); n != 0 {
			t.Errorf("VLAN %d: PutEthernet without room = %d, want 0", vlan, n)
		}
	}
}
