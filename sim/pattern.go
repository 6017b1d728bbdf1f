package sim

import (
	"bytes"
	"math/rand/v2"
)

// patternLen is a prime: no power of two, no segment size and no chunk of a queue divides
// it, so that octets at a wrong place do not look right.
const patternLen = 65521

// pattern is the contents of all streams of a network: the octet at an offset follows from
// the offset and the stream's phase.
type pattern struct {
	octets [2 * patternLen]byte // twice, so that a run of patternLen never wraps
}

func newPattern(rng *rand.Rand) *pattern {
	p := new(pattern)
	for i := range patternLen {
		p.octets[i] = byte(rng.Uint32())
	}
	copy(p.octets[patternLen:], p.octets[:patternLen])
	return p
}

// at returns n octets from an offset on, at most patternLen.
func (p *pattern) at(phase, off uint64, n int) []byte {
	i := (phase + off) % patternLen
	return p.octets[i : i+uint64(min(n, patternLen))]
}

// matches says whether b is what stands at an offset; if not, where it first differs.
func (p *pattern) matches(phase, off uint64, b []byte) (differs uint64, ok bool) {
	for len(b) > 0 {
		want := p.at(phase, off, len(b))
		if !bytes.Equal(b[:len(want)], want) {
			for i := range want {
				if b[i] != want[i] {
					return off + uint64(i), false
				}
			}
		}
		b = b[len(want):]
		off += uint64(len(want))
	}
	return 0, true
}
