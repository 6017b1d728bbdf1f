package engine

import (
	"net/netip"
	"sync/atomic"
)

// AddrSet is the addresses that are ours. Workers ask while others change it. A nil set has
// every address: for a link whose other end only ever speaks to us.
type AddrSet struct {
	p atomic.Pointer[map[netip.Addr]struct{}]
}

// NewAddrSet returns a set of addrs.
func NewAddrSet(addrs ...netip.Addr) *AddrSet {
	s := new(AddrSet)
	s.Set(addrs)
	return s
}

// Set replaces the addresses. Any goroutine may call it.
func (s *AddrSet) Set(addrs []netip.Addr) {
	m := make(map[netip.Addr]struct{}, len(addrs))
	for _, a := range addrs {
		m[a.Unmap().WithZone("")] = struct{}{}
	}
	s.p.Store(&m)
}

// Has says whether a is ours. Any goroutine may call it.
func (s *AddrSet) Has(a netip.Addr) bool {
	if s == nil {
		return !a.IsMulticast() && !a.IsUnspecified()
	}
	m := s.p.Load()
	if m == nil {
		return false
	}
	_, ours := (*m)[a]
	return ours
}

// All returns the addresses, in no order.
func (s *AddrSet) All() []netip.Addr {
	if s == nil || s.p.Load() == nil {
		return nil
	}
	m := *s.p.Load()
	all := make([]netip.Addr, 0, len(m))
	for a := range m {
		all = append(all, a)
	}
	return all
}
