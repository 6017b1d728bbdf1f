package hostnet

import (
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"
)

// snapshot is all that a View answers from. It is not changed once published, but for the
// marks of neighbours in use.
type snapshot struct {
	generation uint64
	usable     bool // the link exists and is up
	gone       bool // it does not exist, and never will again
	mac        [6]byte
	mtu        int
	addrs      []address
	local      table // the local table of all interfaces: the host itself, and groups
	main       table // the main table, through this interface
	neighbours map[netip.Addr]*neighbour
}

// address is one of the interface's.
type address struct {
	prefix netip.Prefix // the address with the length of its network
	// backup is set where another address is to be preferred as a source: an IPv4
	// secondary or a deprecated IPv6 address.
	backup bool
}

// neighbour is a MAC that the kernel believes in.
type neighbour struct {
	mac [6]byte
	// used is the View's epoch when a worker was last given this neighbour.
	used atomic.Uint32
}

// route is what a prefix leads to.
type route struct {
	refused bool       // unreachable, blackhole, prohibit, throw
	gateway netip.Addr // invalid: the destination is a neighbour
	src     netip.Addr // preferred source; invalid: none
	mtu     int        // 0: the link's
	metric  int
}

// table finds the route of the longest prefix. There is one look-up for each length of
// prefix in use: two to five on most hosts.
type table struct {
	lengths  [2][]int // of IPv4 and IPv6 prefixes, the longest first
	byPrefix map[netip.Prefix]route
}

// family is the index of an address's family in table.lengths.
func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// add enters a route, unless one of a lower metric is there for the same prefix. Of equal
// ones the first stays, as in the kernel.
func (t *table) add(p netip.Prefix, r route) {
	if t.byPrefix == nil {
		t.byPrefix = make(map[netip.Prefix]route)
	}
	p = p.Masked()
	if old, ok := t.byPrefix[p]; ok && old.metric <= r.metric {
		return
	}
	t.byPrefix[p] = r
	lengths := &t.lengths[family(p.Addr())]
	at, found := slices.BinarySearchFunc(*lengths, p.Bits(), func(a, b int) int { return b - a })
	if !found {
		*lengths = slices.Insert(*lengths, at, p.Bits())
	}
}

// lookup allocates nothing.
func (t *table) lookup(a netip.Addr) (route, bool) {
	for _, bits := range t.lengths[family(a)] {
		p, err := a.Prefix(bits)
		if err != nil {
			return route{}, false
		}
		if r, ok := t.byPrefix[p]; ok {
			return r, true
		}
	}
	return route{}, false
}

// hop answers for a destination. next is the neighbour to resolve if that is Unresolved,
// and n the neighbour if it is OK. The destination has no zone and is not a mapped one.
func (s *snapshot) hop(src, dst netip.Addr) (h Hop, next netip.Addr, n *neighbour, status Status) {
	if !s.usable || !dst.IsValid() || dst.IsMulticast() || dst.IsUnspecified() {
		return Hop{}, netip.Addr{}, nil, Unreachable
	}
	// The rule of priority 0: what the local table has never reaches the wire.
	if _, own := s.local.lookup(dst); own {
		return Hop{}, netip.Addr{}, nil, Unreachable
	}
	r, ok := s.main.lookup(dst)
	if !ok || r.refused {
		return Hop{}, netip.Addr{}, nil, Unreachable
	}
	next = dst
	if r.gateway.IsValid() {
		next = r.gateway
	}
	if !src.IsValid() {
		src = s.source(r, dst, next)
	}
	if !src.IsValid() {
		return Hop{}, netip.Addr{}, nil, Unreachable
	}
	h = Hop{LocalMAC: s.mac, MTU: s.mtu, Src: src}
	if r.mtu > 0 && r.mtu < h.MTU {
		h.MTU = r.mtu
	}
	n = s.neighbours[next]
	if n == nil {
		return h, next, nil, Unresolved
	}
	h.RemoteMAC = n.mac
	return h, next, n, OK
}

// source is the source address for dst: the route's, or else the best of the interface's.
// For IPv4, as inet_select_addr() of the kernel: of the next hop's network, else the
// first. For IPv6, the rules 2, 3 and 8 of RFC 6724, section 5: of dst's scope, not
// deprecated, of the longest common prefix.
func (s *snapshot) source(r route, dst, next netip.Addr) netip.Addr {
	if r.src.IsValid() {
		return r.src
	}
	var best netip.Addr
	bestRank := -1
	for i := range s.addrs {
		a := s.addrs[i].prefix.Addr()
		if a.Is4() != dst.Is4() {
			continue
		}
		rank := 0
		if dst.Is4() {
			if s.addrs[i].prefix.Contains(next) {
				rank += 512
			}
		} else {
			rank = commonBits(a, dst)
		}
		if a.IsLinkLocalUnicast() == dst.IsLinkLocalUnicast() {
			rank += 2048
		}
		if !s.addrs[i].backup {
			rank += 1024
		}
		if rank > bestRank {
			best, bestRank = a, rank
		}
	}
	return best
}

// commonBits is how many leading bits two IPv6 addresses share.
func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	n := 0
	for i := range x {
		for bit := byte(0x80); bit != 0; bit >>= 1 {
			if (x[i]^y[i])&bit != 0 {
				return n
			}
			n++
		}
	}
	return n
}

// answersAs says whether two snapshots give the same answers.
func (s *snapshot) answersAs(o *snapshot) bool {
	return s.usable == o.usable && s.mac == o.mac && s.mtu == o.mtu &&
		slices.Equal(s.addrs, o.addrs) &&
		maps.Equal(s.local.byPrefix, o.local.byPrefix) &&
		maps.Equal(s.main.byPrefix, o.main.byPrefix) &&
		maps.EqualFunc(s.neighbours, o.neighbours, func(a, b *neighbour) bool { return a.mac == b.mac })
}

// locals returns the interface's addresses.
func (s *snapshot) locals() []netip.Addr {
	addrs := make([]netip.Addr, len(s.addrs))
	for i := range s.addrs {
		addrs[i] = s.addrs[i].prefix.Addr()
	}
	return addrs
}
