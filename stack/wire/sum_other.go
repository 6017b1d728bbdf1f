//go:build !amd64 || purego

package wire

// wide says that there are vectors to sum with: not here.
const wide = false

func sumAVX2([]byte) uint64 { panic("BUG: no vectors") }

func copySumAVX2(_, _ []byte) uint64 { panic("BUG: no vectors") }
