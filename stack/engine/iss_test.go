package engine

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// sipVector40 is SipHash-2-4 of the octets 00 to 27 under the key 00 to 0f, by another
// implementation, which gives 0xa129ca6149be45e5 for the example of the paper.
const sipVector40 uint64 = 0xe3ea96b5304a7d0

// TestSipHash compares the sum over five words to that of another implementation.
func TestSipHash(t *testing.T) {
	var key [16]byte
	for i := range key {
		key[i] = byte(i)
	}
	var in [40]byte
	for i := range in {
		in[i] = byte(i)
	}
	var words [5]uint64
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(in[8*i:])
	}
	if got, want := newSIPKey(key).sum(words), sipVector40; got != want {
		t.Errorf("got %#x, want %#x", got, want)
	}
}

// TestISS: "it is expected that the ISN clock increments every 4 microseconds", and other
// flows cannot be told from one (RFC 6528).
func TestISS(t *testing.T) {
	s := newSecrets(sipKey{1, 2})
	k := keyOf(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1024"))
	now := mono.Time(time.Hour)
	first := s.initialSequence(now, &k)
	if got := s.initialSequence(now.Add(time.Second), &k).Sub(first); got != 250_000 {
		t.Errorf("after a second the ISS is %d further, want 250000", got)
	}
	other := k
	other.rport++
	if s.initialSequence(now, &other) == first {
		t.Error("two flows have the same ISS")
	}
	elsewhere := newSecrets(sipKey{1, 3})
	if elsewhere.initialSequence(now, &k) == first {
		t.Error("two keys give the same ISS")
	}
	if s.timestampOffset(&k) == s.timestampOffset(&other) {
		t.Error("two flows have the same timestamp offset")
	}
}

// TestPorts: a port that is taken is passed over, all are found, and two peers see different
// sequences.
func TestPorts(t *testing.T) {
	p := NewPorts([16]byte{1})
	local := netip.MustParseAddr("10.0.0.1")
	seen := make(map[uint16]bool)
	free := func(port uint16) bool {
		if seen[port] {
			return false
		}
		seen[port] = true
		return true
	}
	remote := netip.MustParseAddrPort("10.0.0.2:80")
	for range EphemeralLast - EphemeralFirst + 1 {
		if port, ok := p.Pick(local, remote, free); !ok || port < EphemeralFirst || port > EphemeralLast {
			t.Fatalf("got %d, %v", port, ok)
		}
	}
	if port, ok := p.Pick(local, remote, free); ok {
		t.Errorf("got %d when all were taken", port)
	}
}

// TestAddrSet asks sets of a few and of many addresses.
func TestAddrSet(t *testing.T) {
	s := NewAddrSet()
	base := netip.MustParseAddr("10.0.0.0").As4()
	for n := range 2 * fewMax {
		addr := func(i int) netip.Addr { base[3] = byte(i); return netip.AddrFrom4(base) }
		var all []netip.Addr
		for i := range n {
			all = append(all, addr(i))
		}
		s.Set(all)
		for i := range 2 * fewMax {
			if got, want := s.Has(addr(i)), i < n; got != want {
				t.Errorf("of %d: Has(%v) = %v, want %v", n, addr(i), got, want)
			}
		}
	}
	s.Set([]netip.Addr{netip.MustParseAddr("fe80::1%eth0"), netip.MustParseAddr("::ffff:10.0.0.1")})
	if !s.Has(netip.MustParseAddr("fe80::1")) || !s.Has(netip.MustParseAddr("10.0.0.1")) {
		t.Error("zones and mapped addresses are not as they come in packets")
	}
	var every *AddrSet
	if !every.Has(netip.MustParseAddr("1.2.3.4")) || every.Has(netip.MustParseAddr("224.0.0.1")) {
		t.Error("a nil set is every address of a host")
	}
}
