package wire_test

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// cut cuts b into a first piece of first octets and others of size.
func cut(b []byte, first, size int) (head []byte, rest [][]byte) {
	b = bytes.Clone(b)
	head, b = b[:first], b[first:]
	for len(b) > 0 {
		n := min(size, len(b))
		rest = append(rest, b[:n:n])
		b = b[n:]
	}
	return head, rest
}

// A packet in pieces is the packet in one, wherever it is cut; padding of the link is gone.
func TestParsePieces(t *testing.T) {
	payload := make([]byte, 2001)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	for _, v := range versions {
		tm, err := wire.NewTemplate(wire.TemplateConfig{Src: v.src, Dst: v.dst})
		if err != nil {
			t.Fatal(err)
		}
		frame := make([]byte, tm.Len()+20+len(payload))
		wire.PutTCP(frame[tm.Len():], &wire.Segment{SEQ: 1, Flags: wire.ACK})
		copy(frame[tm.Len()+20:], payload)
		tm.Put(frame, 20+len(payload), 0)
		tm.Finish(frame)
		packet := append(frame[wire.EthernetLen:], make([]byte, 9)...)
		headers := tm.Len() - wire.EthernetLen + 20
		for _, first := range []int{headers, headers + 1, headers + 700, len(packet) - 9, len(packet) - 1} {
			for _, size := range []int{1, 2, 333, 1000, 5000} {
				head, rest := cut(packet, first, size)
				var p wire.Packet
				var s wire.Segment
				if err := wire.ParsePieces(head, rest, &p); err != nil || !p.TCPValid() {
					t.Fatalf("%s, cut at %d and every %d: %v, checksum %v", v.name, first, size, err, p.TCPValid())
				}
				if err := wire.ParseTCP(p.Payload, &s); err != nil {
					t.Fatal(err)
				}
				s.Rest = p.Rest
				if got := bytes.Join(append([][]byte{s.Payload}, s.Rest...), nil); !bytes.Equal(got, payload) || s.DataLen() != len(payload) {
					t.Fatalf("%s, cut at %d and every %d: %d octets, not as sent", v.name, first, size, len(got))
				}
			}
		}
		head, rest := cut(packet, headers, 100)
		var p wire.Packet
		if err := wire.ParsePieces(head, rest[:5], &p); err != wire.ErrIPTruncated {
			t.Errorf("%s, pieces missing: %v, want ErrIPTruncated", v.name, err)
		}
		if err := wire.ParsePieces(head[:19], rest, &p); err != wire.ErrIPShort {
			t.Errorf("%s, header cut: %v, want ErrIPShort", v.name, err)
		}
		rest[3][17] ^= 4
		if err := wire.ParsePieces(head, rest, &p); err != nil || p.TCPValid() || p.TCPPartial() {
			t.Errorf("%s: %v, and a flipped bit in a piece is not seen", v.name, err)
		}
	}
}

// CutBefore and CutTo do to pieces what slicing does to the whole.
func TestCutPieces(t *testing.T) {
	whole := []byte("0123456789abcdefghij")
	for first := range len(whole) + 1 {
		for size := 1; size < 9; size++ {
			for n := range len(whole) + 4 {
				head, rest := cut(whole, first, size)
				s := wire.Segment{Payload: head, Rest: rest}
				s.CutBefore(n)
				want := whole[min(n, len(whole)):]
				if got := bytes.Join(append([][]byte{s.Payload}, s.Rest...), nil); !bytes.Equal(got, want) || s.DataLen() != len(want) {
					t.Fatalf("CutBefore(%d) of pieces of %d and %d: got %q, want %q", n, first, size, got, want)
				}
				head, rest = cut(whole, first, size)
				s = wire.Segment{Payload: head, Rest: rest}
				s.CutTo(n)
				want = whole[:min(n, len(whole))]
				if got := bytes.Join(append([][]byte{s.Payload}, s.Rest...), nil); !bytes.Equal(got, want) || s.DataLen() != len(want) {
					t.Fatalf("CutTo(%d) of pieces of %d and %d: got %q, want %q", n, first, size, got, want)
				}
			}
		}
	}
}
