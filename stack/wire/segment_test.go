package wire_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

func TestLENCountsSYNAndFIN(t *testing.T) {
	// "SEG.LEN = the number of octets occupied by the data in the segment (counting SYN
	// and FIN)". https://www.rfc-editor.org/rfc/rfc9293.html#section-3.4
	for _, tt := range []struct {
		flags   wire.Flags
		payload int
		want    int
	}{
		{wire.ACK, 0, 0},
		{wire.ACK | wire.PSH | wire.URG | wire.RST, 10, 10},
		{wire.SYN, 0, 1},
		{wire.FIN | wire.ACK, 10, 11},
		{wire.SYN | wire.FIN, 10, 12},
	} {
		s := wire.Segment{Flags: tt.flags, Payload: make([]byte, tt.payload)}
		if got := s.LEN(); got != tt.want {
			t.Errorf("LEN of %v = %d, want %d", &s, got, tt.want)
		}
	}
}

func TestFlagsString(t *testing.T) {
	for f, want := range map[wire.Flags]string{
		0:                                "-",
		wire.ACK:                         ".",
		wire.SYN | wire.ACK:              "S.",
		wire.FIN | wire.PSH | wire.ACK:   "FP.",
		wire.SYN | wire.ECE | wire.CWR:   "SEW",
		wire.RST | wire.URG | wire.AE:    "RUA",
		wire.SYN | wire.AE | wire.ACK<<9: "SA", // no such flag
	} {
		if got := f.String(); got != want {
			t.Errorf("Flags(%#x) = %q, want %q", uint16(f), got, want)
		}
	}
}
