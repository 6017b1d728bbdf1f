package engine

import (
	"encoding/binary"
	"math/bits"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
)

// sipKey keys SipHash-2-4, the pseudo-random function behind everything that a peer must
// not be able to guess. The key comes from Config, so that the engine stays reproducible.
type sipKey [2]uint64

func newSIPKey(b [16]byte) sipKey {
	return sipKey{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// The purposes separate the uses of one key. They stand where the upper half of the local
// address stands in a key, with bits that no use shares.
const (
	purposeISS uint64 = iota + 1
	purposeTimestamp
	purposePort
	purposeSeed
	purposeHash
	purposeCookie
	purposeChallenge
)

// sum is SipHash-2-4 over five words of 64 bits.
func (k sipKey) sum(words [5]uint64) uint64 {
	v0, v1 := k[0]^0x736f6d6570736575, k[1]^0x646f72616e646f6d
	v2, v3 := k[0]^0x6c7967656e657261, k[1]^0x7465646279746573
	for _, w := range words {
		v3 ^= w
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
		v0 ^= w
	}
	const last = uint64(len(words)*8) << 56
	v3 ^= last
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	v0 ^= last
	v2 ^= 0xff
	for range 4 {
		v0, v1, v2, v3 = sipRound(v0, v1, v2, v3)
	}
	return v0 ^ v1 ^ v2 ^ v3
}

func sipRound(v0, v1, v2, v3 uint64) (a, b, c, d uint64) {
	v0 += v1
	v1 = bits.RotateLeft64(v1, 13) ^ v0
	v0 = bits.RotateLeft64(v0, 32)
	v2 += v3
	v3 = bits.RotateLeft64(v3, 16) ^ v2
	v0 += v3
	v3 = bits.RotateLeft64(v3, 21) ^ v0
	v2 += v1
	v1 = bits.RotateLeft64(v1, 17) ^ v2
	v2 = bits.RotateLeft64(v2, 32)
	return v0, v1, v2, v3
}

// secrets derives the numbers of a connection from its addresses and ports.
type secrets struct{ iss, timestamp, port, seed, cookies sipKey }

func newSecrets(key sipKey) secrets {
	derive := func(purpose uint64) sipKey {
		return sipKey{key.sum([5]uint64{purpose, 1}), key.sum([5]uint64{purpose, 2})}
	}
	return secrets{
		derive(purposeISS), derive(purposeTimestamp), derive(purposePort), derive(purposeSeed),
		derive(purposeCookie),
	}
}

// initialSequence is ISN = M + F(localip, localport, remoteip, remoteport, secretkey), with
// M a clock of 4 µs. https://www.rfc-editor.org/rfc/rfc6528.html#section-3
func (s *secrets) initialSequence(now mono.Time, k *flowKey) seq.Num {
	return seq.Num(uint64(now)/4000 + s.iss.sum(k.words()))
}

// timestampOffset hides the clock of the timestamps option and is the same for each
// connection between two addresses and ports, so that a later one's are larger (RFC 6191).
func (s *secrets) timestampOffset(k *flowKey) uint32 { return uint32(s.timestamp.sum(k.words())) }

// flowSeed is different for each connection: the time is in it.
func (s *secrets) flowSeed(now mono.Time, k *flowKey) uint64 {
	w := k.words()
	w[4] ^= uint64(now) << 20
	return s.seed.sum(w)
}
