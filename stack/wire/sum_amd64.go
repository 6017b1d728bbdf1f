//go:build !purego

package wire

// wide says that this processor has vectors of 32 octets to sum with.
var wide = hasAVX2()

func hasAVX2() bool

// sumAVX2 sums the octets of b, whose length is a multiple of 8.
//
//go:noescape
func sumAVX2(b []byte) uint64

// copySumAVX2 copies src to dst, which is as long at least, and sums what it copied. The length
// of src is a multiple of 8.
//
//go:noescape
func copySumAVX2(dst, src []byte) uint64
