package wire

import (
	"bytes"
	"testing"
)

// FuzzWide: vectors and words come to the same, at every alignment and length, and both copy what
// they are given and nothing beyond.
func FuzzWide(f *testing.F) {
	for _, n := range []int{0, 1, 31, 32, 33, 127, 128, 129, 159, 160, 1448, 1460, 4095, 4097, 9001} {
		f.Add(bytes.Repeat([]byte{0xff}, n), uint8(n), uint8(1), uint64(n))
		f.Add(make([]byte, n), uint8(0), uint8(n), ^uint64(0))
	}
	f.Fuzz(func(t *testing.T, octets []byte, at, to uint8, initial uint64) {
		buf := append(make([]byte, int(at)), octets...)
		b := buf[at:]
		want, got := sumWords(b, Partial(initial)), Sum(b, Partial(initial))
		if got.Fold() != want.Fold() {
			t.Errorf("Sum of %d octets at %d: got %#x, want %#x", len(b), at, got.Fold(), want.Fold())
		}
		copySums := map[string]func(dst, src []byte) Partial{"CopySum": CopySum, "copySumWords": copySumWords}
		for name, copySum := range copySums {
			dst := bytes.Repeat([]byte{0xa5}, int(to)+len(b)+64)
			if got, want := copySum(dst[to:int(to)+len(b)], b).Fold(), sumWords(b, 0).Fold(); got != want {
				t.Errorf("%s of %d octets at %d: got %#x, want %#x", name, len(b), at, got, want)
			}
			if !bytes.Equal(dst[to:int(to)+len(b)], b) {
				t.Errorf("%s of %d octets at %d to %d: not a copy", name, len(b), at, to)
			}
			if bytes.Trim(dst[:to], "\xa5") != nil || bytes.Trim(dst[int(to)+len(b):], "\xa5") != nil {
				t.Errorf("%s of %d octets to %d: it wrote beyond", name, len(b), to)
			}
		}
	})
}

// The sum of very many octets does not overflow: each half of a word is a word's largest.
func TestWideDoesNotOverflow(t *testing.T) {
	b := bytes.Repeat([]byte{0xff, 0xff, 0xff, 0xfe}, 4<<20)
	if got, want := Sum(b, 0).Fold(), sumWords(b, 0).Fold(); got != want {
		t.Errorf("Sum of %d octets: got %#x, want %#x", len(b), got, want)
	}
}
