package wire_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 9768, section 3.2.3: two orders, the last fields of which may be left out. Other lengths
// are of no option that is known, and no error.
func TestAccECNOption(t *testing.T) {
	for _, tt := range []struct {
		b    []byte
		want wire.AccECN
		ok   bool
		text string
	}{
		{[]byte{172, 11, 0, 0, 1, 0, 4, 0, 0, 0, 2, 1}, wire.AccECN{Fields: 3, ECT0First: true, E0B: 1, CEB: 1024, E1B: 2}, true, "ECN e0b 1 ceb 1024 e1b 2"},
		{[]byte{174, 11, 255, 255, 255, 0, 4, 0, 0, 0, 2, 1}, wire.AccECN{Fields: 3, E1B: 1<<24 - 1, CEB: 1024, E0B: 2}, true, "ECN e1b 16777215 ceb 1024 e0b 2"},
		{[]byte{172, 8, 0, 0, 1, 0, 0, 9}, wire.AccECN{Fields: 2, ECT0First: true, E0B: 1, CEB: 9}, true, "ECN e0b 1 ceb 9"},
		{[]byte{174, 5, 0, 1, 0, 1, 1, 1}, wire.AccECN{Fields: 1, E1B: 256}, true, "ECN e1b 256"},
		{[]byte{174, 2, 1, 1}, wire.AccECN{}, true, "ECN"},
		{[]byte{174, 4, 9, 9}, wire.AccECN{}, false, ""},
		{[]byte{172, 14, 0, 0, 1, 0, 4, 0, 0, 0, 2, 0, 0, 1, 1, 1}, wire.AccECN{}, false, ""},
	} {
		b := append(header(byte(5+len(tt.b)/4), wire.ACK), tt.b...)
		var s wire.Segment
		if err := wire.ParseTCP(b, &s); err != nil {
			t.Errorf("%v: %v", tt.b, err)
			continue
		}
		if s.Opt.AccECN != tt.want || s.Opt.Has.Has(wire.HasAccECN) != tt.ok {
			t.Errorf("%v: got %+v, want %+v, %v", tt.b, s.Opt, tt.want, tt.ok)
		}
		if want := ". 0:0(0) ack 0 win 4660 <" + tt.text + ">"; tt.ok && s.Relative(s.SEQ, s.ACK) != want {
			t.Errorf("%v: %q, want %q", tt.b, s.Relative(s.SEQ, s.ACK), want)
		}
		out := make([]byte, 60)
		n := wire.PutTCP(out, &s)
		if tt.ok && string(out[20:n]) != string(tt.b) {
			t.Errorf("PutTCP wrote %v, want %v", out[20:n], tt.b)
		}
	}
}

// What fits beside it: two SACK blocks with timestamps and two fields, one with three.
func TestAccECNBesideSACK(t *testing.T) {
	for _, tt := range []struct {
		has    wire.OptionSet
		fields uint8
		blocks int
	}{
		{wire.HasAccECN | wire.HasTimestamps, 3, 1}, {wire.HasAccECN | wire.HasTimestamps, 2, 2},
		{wire.HasAccECN, 3, 3}, {wire.HasTimestamps, 0, 3}, {0, 0, 4},
	} {
		o := wire.Options{Has: tt.has | wire.HasSACK, NSACK: 4, AccECN: wire.AccECN{Fields: tt.fields}}
		if got := o.SACKFit(); got != tt.blocks {
			t.Errorf("%v with %d fields: %d blocks fit, want %d", tt.has, tt.fields, got, tt.blocks)
		}
		if n := wire.HeaderLen(&o); n > 60 {
			t.Errorf("a header of %d octets", n)
		}
	}
}
