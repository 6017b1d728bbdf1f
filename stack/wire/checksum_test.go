package wire_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// naiveFold is RFC 1071, section 4.1, as it stands there: 16-bit words, one after another.
func naiveFold(b []byte) uint16 {
	var sum uint64
	for ; len(b) > 1; b = b[2:] {
		sum += uint64(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

func TestSumOfRFC1071(t *testing.T) {
	// RFC 1071, section 3: the octets 00 01 f2 03 f4 f5 f6 f7 sum to ddf2.
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := wire.Sum(b, 0).Fold(); got != 0xddf2 {
		t.Errorf("Fold = %#x, want 0xddf2", got)
	}
	if got := wire.Sum(b, 0).Checksum(); got != 0x220d {
		t.Errorf("Checksum = %#x, want 0x220d", got)
	}
}

func TestSumAtEveryAlignmentAndLength(t *testing.T) {
	for name, buf := range map[string][]byte{
		"random": pattern(700, 1),
		"ones":   bytes.Repeat([]byte{0xff}, 700),
		"zeros":  make([]byte, 700),
	} {
		dst := make([]byte, 700)
		for off := range 16 {
			for n := range 600 {
				b := buf[off : off+n]
				want := naiveFold(b)
				if got := wire.Sum(b, 0).Fold(); got != want {
					t.Fatalf("%s: Sum of %d octets at %d = %#x, want %#x", name, n, off, got, want)
				}
				d := dst[16-off : 16-off+n]
				if got := wire.CopySum(d, b).Fold(); got != want || !bytes.Equal(d, b) {
					t.Fatalf("%s: CopySum of %d octets at %d = %#x, want %#x and a copy", name, n, off, got, want)
				}
			}
		}
	}
}

func TestCopySumOfMoreThanAChunk(t *testing.T) {
	src := pattern(3*4096+2, 2)
	for _, n := range []int{4095, 4096, 4097, 8191, 8192, 8193, 3*4096 + 1} {
		dst := make([]byte, len(src))
		if got, want := wire.CopySum(dst, src[:n]).Fold(), naiveFold(src[:n]); got != want {
			t.Errorf("CopySum of %d octets = %#x, want %#x", n, got, want)
		}
		if !bytes.Equal(dst[:n], src[:n]) || dst[n] != 0 {
			t.Errorf("CopySum of %d octets copied wrongly", n)
		}
		// The shorter of the two decides.
		short := make([]byte, n)
		if got, want := wire.CopySum(short, src).Fold(), naiveFold(src[:n]); got != want || !bytes.Equal(short, src[:n]) {
			t.Errorf("CopySum into %d octets = %#x, want %#x and a copy", n, got, want)
		}
	}
}

func TestCombineAtEverySplit(t *testing.T) {
	b := pattern(99, 4)
	want := naiveFold(b)
	for i := range len(b) + 1 {
		p, q := wire.Sum(b[:i], 0), wire.Sum(b[i:], 0)
		if got := wire.Combine(p, i, q).Fold(); got != want {
			t.Errorf("Combine at %d = %#x, want %#x", i, got, want)
		}
		if i%2 == 0 {
			if got := wire.Sum(b[i:], p).Fold(); got != want {
				t.Errorf("Sum from the sum of %d octets = %#x, want %#x", i, got, want)
			}
		}
	}
}

func TestPseudoSum(t *testing.T) {
	for _, v := range versions {
		var hdr []byte
		hdr = append(hdr, v.src.AsSlice()...)
		hdr = append(hdr, v.dst.AsSlice()...)
		if v.src.Is4() {
			hdr = append(hdr, 0, 6, 0xab, 0xcd)
		} else {
			hdr = append(hdr, 0, 0, 0xab, 0xcd, 0, 0, 0, 6)
		}
		if got, want := wire.PseudoSum(v.src, v.dst, 6, 0xabcd).Fold(), naiveFold(hdr); got != want {
			t.Errorf("%s: PseudoSum = %#x, want %#x", v.name, got, want)
		}
	}
}

func TestTCPValidity(t *testing.T) {
	for _, v := range versions {
		tm := v.template(t, 0)
		for _, n := range []int{0, 1, 2, 1447, 1448} {
			frame := buildFrame(t, &tm, dataSegment(n))
			tcp := frame[tm.Len():]
			pseudo := wire.PseudoSum(v.src, v.dst, wire.ProtoTCP, len(tcp))
			want := func(name string, b []byte, valid, partial bool) {
				t.Helper()
				if got := wire.TCPValid(v.src, v.dst, b); got != valid {
					t.Errorf("%s, %d octets, %s: TCPValid = %v, want %v", v.name, n, name, got, valid)
				}
				p := &wire.Packet{Payload: b, Pseudo: pseudo}
				if got := p.TCPPartial(); got != partial {
					t.Errorf("%s, %d octets, %s: TCPPartial = %v, want %v", v.name, n, name, got, partial)
				}
				var s wire.Segment
				if wire.ParseTCP(b, &s) != nil {
					return
				}
				dst := make([]byte, n)
				sum := wire.CopySum(dst, s.Payload)
				if got := p.TCPValidSum(len(b)-len(s.Payload), sum); got != valid {
					t.Errorf("%s, %d octets, %s: TCPValidSum = %v, want %v", v.name, n, name, got, valid)
				}
			}
			want("untouched", tcp, true, false)
			want("shorter than a header", tcp[:19], false, false)
			for i := range tcp {
				tcp[i] ^= 0x10
				want("one bit flipped", tcp, false, false)
				tcp[i] ^= 0x10
			}
			tm.FinishPartial(frame, 0)
			want("partial", tcp, false, true)
			tcp[16], tcp[17] = 0, 0
			binary.BigEndian.PutUint16(tcp[16:18], wire.TCPChecksum(pseudo, tcp))
			want("TCPChecksum", tcp, true, false)
		}
	}
	if wire.TCPValid(versions[0].src, versions[1].dst, make([]byte, 20)) {
		t.Error("TCPValid of addresses of two families = true, want false")
	}
	if wire.TCPValid(netip.Addr{}, versions[0].dst, make([]byte, 20)) {
		t.Error("TCPValid without an address = true, want false")
	}
}

func TestSumsDoNotAllocate(t *testing.T) {
	v := &versions[1]
	tm := v.template(t, 0)
	frame := buildFrame(t, &tm, dataSegment(1448))
	dst := make([]byte, len(frame))
	wantNoAlloc(t, "Sum", func() { sink += uint64(wire.Sum(frame, 0)) })
	wantNoAlloc(t, "CopySum", func() { sink += uint64(wire.CopySum(dst, frame)) })
	wantNoAlloc(t, "TCPValid", func() {
		if !wire.TCPValid(v.src, v.dst, frame[tm.Len():]) {
			t.Error("checksum is wrong")
		}
	})
}
