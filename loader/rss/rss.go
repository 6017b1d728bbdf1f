// Package rss computes which receive queue a NIC puts a TCP packet on: receive side scaling, by
// the hash that Toeplitz gave his name to. It knows nothing of how a NIC is asked for its
// settings; package loader does that.
package rss

import (
	"encoding/binary"
	"net/netip"
)

// Function is a hash function, as a bit of the kernel's mask (ETH_RSS_HASH_* in
// linux/ethtool.h).
type Function uint32

// The functions that have names. Only the first is computed here: of the others each driver has
// its own.
const (
	Toeplitz Function = 1 << iota
	XOR
	CRC32
)

// Transform is what a NIC makes of addresses and ports before it hashes them (RXH_XFRM_* in
// linux/ethtool.h), so that both directions of a flow have one hash.
type Transform uint32

// The transforms.
const (
	SymmetricXOR   Transform = 1 << iota // each pair is replaced by its XOR, twice
	SymmetricORXOR                       // each pair is replaced by its OR, and its XOR
)

// Fields are the parts of a packet that are hashed (RXH_* in linux/ethtool.h).
type Fields uint32

// The fields.
const (
	SourceIP Fields = 1 << (4 + iota)
	DestinationIP
	SourcePort
	DestinationPort

	Addresses = SourceIP | DestinationIP
	// Whole is what NICs hash of TCP unless they are told otherwise.
	Whole = Addresses | SourcePort | DestinationPort
)

// Settings are how a NIC spreads what it receives.
type Settings struct {
	Function  Function
	Key       []byte
	Transform Transform
	// Table has the queue for each value of the low bits of the hash.
	Table []uint32
	// Fields4 and Fields6 are what is hashed of TCP over IPv4 and IPv6.
	Fields4, Fields6 Fields
}

// Known says whether Queue can tell the queue of a packet of a family: else the NIC has settings
// that are not computed here.
func (s *Settings) Known(is4 bool) bool {
	fields, input := s.Fields6, 2*16+4
	if is4 {
		fields, input = s.Fields4, 2*4+4
	}
	n := len(s.Table)
	return s.Function == Toeplitz && s.Transform <= SymmetricORXOR && len(s.Key) >= input+4 &&
		(fields == Whole || fields == Addresses) && n > 0 && n&(n-1) == 0
}

// Queue returns the queue on which a TCP packet from remote to local arrives. known says whether
// that can be told.
func (s *Settings) Queue(local, remote netip.AddrPort) (queue int, known bool) {
	from, to := remote.Addr().Unmap(), local.Addr().Unmap()
	if from.Is4() != to.Is4() || !from.IsValid() || !s.Known(from.Is4()) {
		return 0, false
	}
	fields := s.Fields6
	if from.Is4() {
		fields = s.Fields4
	}
	var room [2*16 + 4]byte
	b := appendPair(room[:0], from.AsSlice(), to.AsSlice(), s.Transform)
	if fields == Whole {
		var ports [4]byte
		binary.BigEndian.PutUint16(ports[:2], remote.Port())
		binary.BigEndian.PutUint16(ports[2:], local.Port())
		b = appendPair(b, ports[:2], ports[2:], s.Transform)
	}
	return int(s.Table[Hash(s.Key, b)&uint32(len(s.Table)-1)]), true
}

// appendPair appends what a NIC hashes of a field of the source and that of the destination.
func appendPair(b, source, destination []byte, t Transform) []byte {
	at := len(b)
	b = append(append(b, source...), destination...)
	first, second := b[at:at+len(source)], b[at+len(source):]
	for i := range first {
		x, y := first[i], second[i]
		switch t {
		case SymmetricXOR:
			first[i], second[i] = x^y, x^y
		case SymmetricORXOR:
			first[i], second[i] = x|y, x^y
		}
	}
	return b
}

// Hash is the Toeplitz hash of b: for each bit that is set, from the left, the 32 bits of the key
// that begin there are added modulo two. The key is longer than b by four octets or more.
// https://learn.microsoft.com/en-us/windows-hardware/drivers/network/rss-hashing-functions
func Hash(key, b []byte) (h uint32) {
	window := binary.BigEndian.Uint32(key)
	for i, octet := range b {
		next := key[i+4]
		for bit := 7; bit >= 0; bit-- {
			if octet>>bit&1 != 0 {
				h ^= window
			}
			window = window<<1 | uint32(next>>bit&1)
		}
	}
	return h
}
