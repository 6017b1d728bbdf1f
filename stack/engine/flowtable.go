package engine

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// flowKey names a connection: an IPv4 address is held in its IPv6-mapped form, so that one
// key, without pointers, serves both.
type flowKey struct {
	local, remote [16]byte
	lport, rport  uint16
}

func keyOf(local, remote netip.AddrPort) flowKey {
	return flowKey{
		local: local.Addr().As16(), remote: remote.Addr().As16(),
		lport: local.Port(), rport: remote.Port(),
	}
}

func (k *flowKey) localAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(k.local).Unmap(), k.lport)
}

func (k *flowKey) remoteAddr() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16(k.remote).Unmap(), k.rport)
}

// isHost says whether a single host on the network can have the address: it is neither of a group,
// nor everybody's, nor one that never leaves its host (RFC 1122, section 3.2.1.3).
func isHost(a netip.Addr) bool {
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first != 127 && first < 224
	}
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast()
}

// words is the key as numbers, for hashing.
func (k *flowKey) words() [5]uint64 {
	return [5]uint64{
		binary.LittleEndian.Uint64(k.local[:8]), binary.LittleEndian.Uint64(k.local[8:]),
		binary.LittleEndian.Uint64(k.remote[:8]), binary.LittleEndian.Uint64(k.remote[8:]),
		uint64(k.lport)<<16 | uint64(k.rport),
	}
}

// hashSeed keys the flow hash, so that a peer cannot aim at one bucket.
type hashSeed [4]uint64

func newHashSeed(key sipKey) hashSeed {
	var s hashSeed
	for i := range s {
		s[i] = key.sum([5]uint64{purposeHash, uint64(i)}) | 1
	}
	return s
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash is never zero: zero marks an empty slot.
func (s *hashSeed) hash(k *flowKey) uint64 {
	w := k.words()
	h := mix(w[0]^s[0], w[1]^s[1]) ^ mix(w[2]^s[2], w[3]^s[3])
	return mix(h^s[0], w[4]^s[1]) | 1<<63
}

// tableMin is the least number of slots: 64 of 16 octets are a page's quarter.
const tableMin = 64

type keyed interface {
	comparable
	flow() *flowKey
}

// table finds what belongs to a flow: open addressing, linear probing, no tombstones. It
// grows at three quarters, and shrinks again at one eighth.
type table[T keyed] struct {
	seed  hashSeed
	slots []slot[T] // length a power of two
	n     int
}

type slot[T keyed] struct {
	hash uint64
	v    T
}

func (t *table[T]) init(seed hashSeed) {
	t.seed = seed
	t.slots = make([]slot[T], tableMin)
}

// get returns the entry of k, or the zero value.
func (t *table[T]) get(k *flowKey) T {
	h := t.seed.hash(k)
	mask := uint64(len(t.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := &t.slots[i]
		if s.hash == h && *s.v.flow() == *k {
			return s.v
		}
		if s.hash == 0 {
			var none T
			return none
		}
	}
}

// put adds v. Its key is not in the table.
func (t *table[T]) put(v T) {
	if 4*(t.n+1) > 3*len(t.slots) {
		t.resize(2 * len(t.slots))
	}
	t.place(t.seed.hash(v.flow()), v)
	t.n++
}

func (t *table[T]) place(h uint64, v T) {
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for t.slots[i].hash != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot[T]{h, v}
}

// remove takes v out and says whether it was there.
func (t *table[T]) remove(v T) bool {
	h := t.seed.hash(v.flow())
	mask := uint64(len(t.slots) - 1)
	i := h & mask
	for t.slots[i].v != v {
		if t.slots[i].hash == 0 {
			return false
		}
		i = (i + 1) & mask
	}
	// Close the gap: an entry moves back unless that would put it before its home.
	for j := (i + 1) & mask; t.slots[j].hash != 0; j = (j + 1) & mask {
		home := t.slots[j].hash & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot[T]{}
	t.n--
	if len(t.slots) > tableMin && 8*t.n < len(t.slots) {
		t.resize(len(t.slots) / 2)
	}
	return true
}

func (t *table[T]) resize(slots int) {
	old := t.slots
	t.slots = make([]slot[T], slots)
	for i := range old {
		if old[i].hash != 0 {
			t.place(old[i].hash, old[i].v)
		}
	}
}

// all returns the entries, in no order that means anything but the same each time.
func (t *table[T]) all() []T {
	vs := make([]T, 0, t.n)
	for i := range t.slots {
		if t.slots[i].hash != 0 {
			vs = append(vs, t.slots[i].v)
		}
	}
	return vs
}
