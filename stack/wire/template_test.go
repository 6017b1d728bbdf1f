package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

func TestTemplateIsReadBack(t *testing.T) {
	for _, v := range versions {
		for _, vlan := range []uint16{0, 77} {
			tm := v.template(t, vlan)
			for _, n := range []int{0, 1, 1000, 1001} {
				s := dataSegment(n)
				frame := buildFrame(t, &tm, s)
				frame = append(frame, 0, 0, 0) // padding
				var eth wire.EthHeader
				if err := wire.ParseEthernet(frame, &eth); err != nil || eth.Dst != macB || eth.Src != macA || eth.VLAN != vlan {
					t.Fatalf("%s: Ethernet header = %+v, %v", v.name, eth, err)
				}
				var p wire.Packet
				if err := wire.ParseIP(frame[eth.Len:], &p); err != nil {
					t.Fatalf("%s: %v", v.name, err)
				}
				if p.Src != v.src || p.Dst != v.dst || p.Proto != wire.ProtoTCP || p.TTL != 64 ||
					p.TOS != 0 || p.Fragment || !p.TCPValid() {
					t.Errorf("%s: packet = %+v, TCPValid = %v", v.name, p, p.TCPValid())
				}
				var got wire.Segment
				if err := wire.ParseTCP(p.Payload, &got); err != nil || got.String() != s.String() || !bytes.Equal(got.Payload, s.Payload) {
					t.Errorf("%s: segment = %v, %v, want %v", v.name, &got, err, s)
				}
			}
		}
	}
}

func TestTemplateTOSAndID(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 0)
		b := make([]byte, tm.Len()+20)
		for tos := range 256 {
			id := uint16(tos * 257)
			if n := tm.PutTOS(b, 20, id, uint8(tos)); n != tm.Len() {
				t.Fatalf("%s: PutTOS = %d, want %d", v.name, n, tm.Len())
			}
			var p wire.Packet
			if err := wire.ParseIP(b[wire.EthernetLen:], &p); err != nil || p.TOS != uint8(tos) {
				t.Fatalf("%s: TOS = %#x, %v, want %#x", v.name, p.TOS, err, tos)
			}
			ip := b[wire.EthernetLen:]
			if v.src.Is4() && (binary.BigEndian.Uint16(ip[4:6]) != id || ip[6] != 0x40 || ip[7] != 0) {
				t.Fatalf("ID and flags = %x, want %04x and DF", ip[4:8], id)
			}
			if v.src.Is6() && binary.BigEndian.Uint32(ip[0:4])&0xfffff != 0x12345 {
				t.Fatalf("flow label = %x, want 12345", ip[0:4])
			}
		}
	}
}

func TestFinishSumIsFinish(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 3)
		for _, n := range []int{0, 1, 1447, 1448} {
			s := dataSegment(n)
			want := buildFrame(t, &tm, s)
			got := bytes.Clone(want)
			hlen, sum := wire.PutTCPSum(got[tm.Len():], s)
			sum = wire.Combine(sum, hlen, wire.CopySum(got[tm.Len()+hlen:], s.Payload))
			got[tm.Len()+16] ^= 0xff
			tm.FinishSum(got, 0, sum)
			if !bytes.Equal(got, want) {
				t.Errorf("%s, %d octets: FinishSum and Finish disagree", v.name, n)
			}
			if tm.Finish(got); !bytes.Equal(got, want) {
				t.Errorf("%s, %d octets: Finish counts the checksum that was there before", v.name, n)
			}
		}
	}
}

func TestTemplateLimits(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 0)
		top := 0xffff
		if v.src.Is4() {
			top -= 20
		}
		b := make([]byte, tm.Len())
		for _, tt := range []struct {
			name   string
			b      []byte
			tcpLen int
			want   int
		}{
			{"the longest", b, top, tm.Len()},
			{"too long", b, top + 1, 0},
			{"negative", b, -1, 0},
			{"no room", b[:len(b)-1], 20, 0},
		} {
			if got := tm.Put(tt.b, tt.tcpLen, 0); got != tt.want {
				t.Errorf("%s, %s: Put = %d, want %d", v.name, tt.name, got, tt.want)
			}
		}
		short := make([]byte, tm.Len()+19)
		tm.Finish(short)
		tm.FinishSum(short, 0, 0)
		tm.FinishPartial(short, 0)
		if !bytes.Equal(short, make([]byte, len(short))) {
			t.Errorf("%s: a frame without a TCP header was changed", v.name)
		}
	}
}

func TestNewTemplateRefusesMixedFamilies(t *testing.T) {
	for _, c := range []wire.TemplateConfig{
		{},
		{Src: versions[0].src},
		{Src: versions[0].src, Dst: versions[1].dst},
		{Src: versions[1].src, Dst: netip.Addr{}},
	} {
		if _, err := wire.NewTemplate(c); !errors.Is(err, wire.ErrTemplateFamily) {
			t.Errorf("NewTemplate(%v > %v) = %v, want %v", c.Src, c.Dst, err, wire.ErrTemplateFamily)
		}
	}
}

func TestTemplateDoesNotAllocate(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 0)
		s, b := dataSegment(1448), make([]byte, 1600)
		wantNoAlloc(t, v.name, func() {
			n := wire.PutTCP(b[tm.Len():], s)
			n += copy(b[tm.Len()+n:], s.Payload)
			tm.Finish(b[:tm.Put(b, n, 1)+n])
		})
	}
}
