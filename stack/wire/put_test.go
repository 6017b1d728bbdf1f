package wire_test

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

func TestPutTCPLayout(t *testing.T) {
	const all = wire.HasMSS | wire.HasWScale | wire.HasSACKPermitted | wire.HasTimestamps
	o := wire.Options{MSS: 1460, WScale: 7, TSVal: 0x0a0b0c0d, TSEcr: 0x01020304}
	stamp := []byte{8, 10, 0xa, 0xb, 0xc, 0xd, 1, 2, 3, 4}
	for _, tt := range []struct {
		name string
		has  wire.OptionSet
		want []byte
	}{
		{"none", 0, nil},
		{"MSS", wire.HasMSS, []byte{2, 4, 5, 0xb4}},
		{"a SYN of Linux", all, join([]byte{2, 4, 5, 0xb4, 4, 2}, stamp, []byte{1, 3, 3, 7})},
		{"a SYN of Linux without timestamps", all &^ wire.HasTimestamps, []byte{2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7}},
		{"timestamps", wire.HasTimestamps, join([]byte{1, 1}, stamp)},
		{"SACK but no block", wire.HasSACK, nil},
	} {
		s := wire.Segment{Flags: wire.SYN, Opt: o}
		s.Opt.Has = tt.has
		b := make([]byte, 60)
		n := wire.PutTCP(b, &s)
		if n != 20+len(tt.want) || !bytes.Equal(b[20:n], tt.want) || int(b[12]>>4)*4 != n {
			t.Errorf("%s: header of %d octets with options %x, want %x", tt.name, n, b[20:max(n, 20)], tt.want)
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestSACKBlocksAreClippedToTheRoom(t *testing.T) {
	for _, tt := range []struct {
		has          wire.OptionSet
		blocks, want int
	}{
		{wire.HasSACK, 1, 1},
		{wire.HasSACK, 4, 4},
		{wire.HasSACK, 200, 4}, // a count that no array holds
		{wire.HasSACK | wire.HasTimestamps, 3, 3},
		{wire.HasSACK | wire.HasTimestamps, 4, 3},
		{wire.HasSACK | wire.HasTimestamps | wire.HasMSS | wire.HasWScale | wire.HasSACKPermitted, 4, 2},
		{wire.HasTimestamps, 4, 0}, // a count without the option
	} {
		s := sackSegment(4)
		s.Flags |= wire.SYN
		s.Opt.Has, s.Opt.NSACK = tt.has, uint8(tt.blocks)
		b := make([]byte, 60)
		n := wire.PutTCP(b, s)
		var got wire.Segment
		if err := wire.ParseTCP(b[:n], &got); err != nil {
			t.Fatal(err)
		}
		if int(got.Opt.NSACK) != tt.want || n != wire.HeaderLen(&s.Opt) {
			t.Errorf("%08b, %d blocks: wrote %d in %d octets, want %d", tt.has, tt.blocks, got.Opt.NSACK, n, tt.want)
		}
		for i, r := range got.Opt.SACK[:tt.want] {
			if r != s.Opt.SACK[i] {
				t.Errorf("%08b: block %d = %v, want %v", tt.has, i, r, s.Opt.SACK[i])
			}
		}
	}
}

func TestPutTCPWithoutRoomWritesNothing(t *testing.T) {
	for _, s := range []*wire.Segment{{}, dataSegment(0), synSegment(), sackSegment(3)} {
		want := wire.HeaderLen(&s.Opt)
		for n := range want {
			b := make([]byte, n)
			if got := wire.PutTCP(b, s); got != 0 || !bytes.Equal(b, make([]byte, n)) {
				t.Errorf("PutTCP(%v) into %d octets = %d, %x, want 0 and nothing", s, n, got, b)
			}
		}
	}
}

func TestEveryOptionSetRoundTrips(t *testing.T) {
	for has := range wire.OptionSet(32) {
		for blocks := range uint8(5) {
			s := wire.Segment{Flags: wire.SYN | wire.ACK | wire.AE, SEQ: seq.Num(1) << 31, Opt: wire.Options{Has: has}}
			o := &s.Opt
			fill(o, blocks)
			if o.Has.Has(wire.HasSACK) && o.NSACK == 0 {
				continue // written as no option at all
			}
			wantRoundTrip(t, &s)
		}
	}
}

// fill gives a value to each option that is in o.Has, and as many SACK blocks as fit.
func fill(o *wire.Options, blocks uint8) {
	room := 40
	if o.Has.Has(wire.HasMSS) {
		o.MSS, room = 536, room-4
	}
	if o.Has.Has(wire.HasWScale) {
		o.WScale, room = 14, room-4
	}
	if o.Has.Has(wire.HasTimestamps) {
		o.TSVal, o.TSEcr, room = 5, 6, room-12
	} else if o.Has.Has(wire.HasSACKPermitted) {
		room -= 4
	}
	if o.Has.Has(wire.HasSACK) {
		o.NSACK = min(blocks, uint8((room-4)/8))
		for i := range o.NSACK {
			o.SACK[i] = seq.Range{Start: seq.Num(i), End: seq.Num(i) + 1}
		}
	}
}

func TestString(t *testing.T) {
	syn := synSegment()
	for _, tt := range []struct {
		got, want string
	}{
		{syn.String(), "S 0:0(0) win 65535 <mss 1460,sackOK,TS val 7 ecr 0,nop,wscale 8>"},
		{(&wire.Segment{Flags: wire.SYN | wire.ACK, ACK: 1, WND: 65535, Opt: wire.Options{Has: wire.HasMSS | wire.HasSACKPermitted, MSS: 1460}}).String(),
			"S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>"},
		{(&wire.Segment{Flags: wire.ACK | wire.PSH, SEQ: 1001, ACK: 501, WND: 9, Payload: make([]byte, 10)}).Relative(1000, 500),
			"P. 1:11(10) ack 1 win 9"},
		{(&wire.Segment{Flags: wire.RST, SEQ: 0xffffffff}).String(), "R 4294967295:4294967295(0) win 0"},
		{(&wire.Segment{Flags: wire.URG, UP: 3, Payload: []byte("abc")}).String(), "U 0:3(3) win 0 urg 3"},
		{(&wire.Segment{}).String(), "- 0:0(0) win 0"},
		{sackSegment(2).Relative(0xfffffff0, 0),
			"P. 0:0(0) ack 77 win 502 <nop,nop,TS val 16909060 ecr 84281096,nop,nop,sack 1000:1500 2000:2500>"},
	} {
		if tt.got != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
}
