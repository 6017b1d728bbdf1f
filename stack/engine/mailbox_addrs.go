package engine

import (
	"net/netip"
	"sync/atomic"
)

// AddrSet is the addresses that are ours. Workers ask while others change it. A nil set has
// every address: for a link whose other end only ever speaks to us.
type AddrSet struct {
	p atomic.Pointer[addrs]
}

// addrs is one state of a set; it does not change.
type addrs struct {
	few  []netip.Addr // all of them, if there are at most fewMax
	many map[netip.Addr]struct{}
}

// fewMax is up to how many addresses comparing them one by one is quicker than a map.
const fewMax = 8

// NewAddrSet returns a set of addrs.
func NewAddrSet(addrs ...netip.Addr) *AddrSet {
	s := new(AddrSet)
	s.Set(addrs)
	return s
}

// Set replaces the addresses. Any goroutine may call it.
func (s *AddrSet) Set(all []netip.Addr) {
	now := &addrs{many: make(map[netip.Addr]struct{}, len(all))}
	for _, a := range all {
		now.many[a.Unmap().WithZone("")] = struct{}{}
	}
	if len(now.many) <= fewMax {
		for a := range now.many {
			now.few = append(now.few, a)
		}
	}
	s.p.Store(now)
}

// Has says whether a is ours. Any goroutine may call it.
func (s *AddrSet) Has(a netip.Addr) bool {
	if s == nil {
		return !a.IsMulticast() && !a.IsUnspecified()
	}
	now := s.p.Load()
	if now == nil {
		return false
	}
	if len(now.many) > fewMax {
		_, ours := now.many[a]
		return ours
	}
	for i := range now.few {
		if now.few[i] == a {
			return true
		}
	}
	return false
}
