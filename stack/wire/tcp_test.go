package wire_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// header is a TCP header without options: 1 > 2, SEQ 3, ACK 4.
func header(offset byte, flags wire.Flags) []byte {
	return []byte{
		0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4,
		offset<<4 | byte(flags>>8)&1, byte(flags), 0x12, 0x34, 0xff, 0xff, 0, 9,
	}
}

func TestParseTCPFields(t *testing.T) {
	all := wire.FIN | wire.SYN | wire.RST | wire.PSH | wire.ACK | wire.URG | wire.ECE | wire.CWR | wire.AE
	// "rsvd: […] must be zero in generated segments and must be ignored in received
	// segments": the three bits beside AE change nothing.
	b := append(header(5, all), "payload"...)
	b[12] |= 0x0e
	got := wire.Segment{Opt: wire.Options{Has: wire.HasSACK, NSACK: 1, MSS: 1}}
	if err := wire.ParseTCP(b, &got); err != nil {
		t.Fatal(err)
	}
	want := wire.Segment{
		SrcPort: 1, DstPort: 2, SEQ: 3, ACK: 4, Flags: all, WND: 0x1234, UP: 9, Payload: []byte("payload"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ParseTCP = %+v, want %+v", got, want)
	}
	if &got.Payload[0] != &b[20] {
		t.Error("the payload is a copy, want a view")
	}
}

func TestParseTCPRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, wire.ErrTCPShort},
		{"19 octets", header(5, 0)[:19], wire.ErrTCPShort},
		{"offset 0", header(0, 0), wire.ErrTCPOffset},
		{"offset 4", header(4, 0), wire.ErrTCPOffset},
		{"offset past the end", header(6, 0), wire.ErrTCPOffset},
		{"offset 15 of 59 octets", append(header(15, 0), make([]byte, 39)...), wire.ErrTCPOffset},
		{"the header alone", header(5, 0), nil},
		{"40 octets of options", append(header(15, 0), make([]byte, 40)...), nil},
	} {
		var s wire.Segment
		if err := wire.ParseTCP(tt.b, &s); !errors.Is(err, tt.want) {
			t.Errorf("%s: ParseTCP = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestParseTCPOptions(t *testing.T) {
	ts := wire.Options{Has: wire.HasTimestamps, TSVal: 1, TSEcr: 2}
	for _, tt := range []struct {
		name string
		syn  bool
		opts []byte
		want wire.Options
		err  error
	}{
		{"none but padding", false, []byte{0, 0, 0, 0}, wire.Options{}, nil},
		{"MSS", true, []byte{2, 4, 5, 0xb4}, wire.Options{Has: wire.HasMSS, MSS: 1460}, nil},
		{"MSS without SYN", false, []byte{2, 4, 5, 0xb4}, wire.Options{}, nil},
		{"MSS of length 3", true, []byte{2, 3, 5, 1}, wire.Options{}, nil},
		{"the later MSS counts", true, []byte{2, 4, 0, 1, 2, 4, 0, 2}, wire.Options{Has: wire.HasMSS, MSS: 2}, nil},
		{"window scale", true, []byte{1, 3, 3, 200}, wire.Options{Has: wire.HasWScale, WScale: 200}, nil},
		{"window scale without SYN", false, []byte{1, 3, 3, 7}, wire.Options{}, nil},
		{"SACK-permitted", true, []byte{4, 2, 1, 1}, wire.Options{Has: wire.HasSACKPermitted}, nil},
		{"SACK-permitted without SYN", false, []byte{4, 2, 1, 1}, wire.Options{}, nil},
		{"timestamps, the usual way", false, []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}, ts, nil},
		{"timestamps, padding behind", false, []byte{8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1}, ts, nil},
		{"timestamps, odd offset", false, []byte{1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0}, ts, nil},
		{"timestamps of length 9", false, []byte{8, 9, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1}, wire.Options{}, nil},
		{"nothing counts after the end of the list", true, []byte{0, 2, 4, 5, 0xb4, 3, 0, 0}, wire.Options{}, nil},
		{"unknown ones are stepped over", true, []byte{253, 4, 9, 9, 2, 4, 0, 7, 30, 2, 1, 1}, wire.Options{Has: wire.HasMSS, MSS: 7}, nil},
		{"length 0", true, []byte{2, 4, 0, 7, 99, 0, 3, 3}, wire.Options{Has: wire.HasMSS, MSS: 7}, wire.ErrTCPOptions},
		{"length 1", true, []byte{99, 1, 2, 4}, wire.Options{}, wire.ErrTCPOptions},
		{"length 1 before padding", true, []byte{99, 1, 1, 1}, wire.Options{}, wire.ErrTCPOptions},
		{"length runs out by one", true, []byte{1, 1, 99, 3}, wire.Options{}, wire.ErrTCPOptions},
		{"length runs out", true, []byte{1, 1, 2, 4}, wire.Options{}, wire.ErrTCPOptions},
		{"length is missing", true, []byte{1, 1, 1, 2}, wire.Options{}, wire.ErrTCPOptions},
		{"SACK without a block", false, []byte{1, 1, 5, 2}, wire.Options{}, nil},
		{"SACK of half a block", false, []byte{1, 1, 5, 6, 0, 0, 0, 1}, wire.Options{}, nil},
		{"SACK", false, []byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2}, wire.Options{
			Has: wire.HasSACK, NSACK: 1, SACK: [4]seq.Range{{Start: 1, End: 2}},
		}, nil},
	} {
		flags := wire.ACK
		if tt.syn {
			flags |= wire.SYN
		}
		b := append(header(byte(5+len(tt.opts)/4), flags), tt.opts...)
		s := wire.Segment{Opt: wire.Options{Has: 0xff, MSS: 9, TSVal: 9, NSACK: 4}}
		err := wire.ParseTCP(append(b, 'x'), &s)
		if !errors.Is(err, tt.err) || s.Opt != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v, %v", tt.name, s.Opt, err, tt.want, tt.err)
		}
		if string(s.Payload) != "x" {
			t.Errorf("%s: payload = %q, want x", tt.name, s.Payload)
		}
	}
}

func TestParseFourSACKBlocks(t *testing.T) {
	s := sackSegment(4)
	s.Opt.Has = wire.HasSACK
	s.Opt.TSVal, s.Opt.TSEcr = 0, 0
	wantRoundTrip(t, s)
}

// wantRoundTrip writes s, reads it back and compares.
func wantRoundTrip(t *testing.T, s *wire.Segment) {
	t.Helper()
	b := bytes.Repeat([]byte{0xee}, 61+len(s.Payload))
	n, sum := wire.PutTCPSum(b, s)
	if got, want := sum.Fold(), wire.Sum(b[:n], 0).Fold(); got != want {
		t.Fatalf("PutTCPSum(%v): the sum is %x, want %x", s, got, want)
	}
	if n != wire.HeaderLen(&s.Opt) || n%4 != 0 || n < 20 || n > 60 {
		t.Fatalf("PutTCP(%v) = %d, HeaderLen = %d", s, n, wire.HeaderLen(&s.Opt))
	}
	if b[n] != 0xee {
		t.Fatalf("PutTCP(%v) wrote past its header", s)
	}
	if b[16] != 0 || b[17] != 0 {
		t.Fatalf("PutTCP(%v) left a checksum of %x, want 0", s, b[16:18])
	}
	n += copy(b[n:], s.Payload)
	var got wire.Segment
	if err := wire.ParseTCP(b[:n], &got); err != nil {
		t.Fatalf("ParseTCP of %v: %v", s, err)
	}
	want := *s
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Fatalf("payload after a round trip = %x, want %x", got.Payload, want.Payload)
	}
	got.Payload, want.Payload = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("round trip = %+v, want %+v", got, want)
	}
}

func TestTCPDoesNotAllocate(t *testing.T) {
	for name, s := range map[string]*wire.Segment{
		"data": dataSegment(1448), "SYN": synSegment(), "SACK": sackSegment(3),
	} {
		b := make([]byte, 60)
		var got wire.Segment
		wantNoAlloc(t, name, func() {
			n := wire.PutTCP(b, s)
			if err := wire.ParseTCP(b[:n], &got); err != nil {
				t.Error(err)
			}
		})
		bad := append(header(6, wire.SYN), 2, 0, 0, 0)
		wantNoAlloc(t, "a refusal", func() {
			if err := wire.ParseTCP(bad, &got); err == nil {
				t.Error("ParseTCP took an option of length 0")
			}
		})
	}
}
