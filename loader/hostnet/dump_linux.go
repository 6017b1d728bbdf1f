package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// neighbourValid are the states in which the kernel would send to a neighbour's MAC.
const neighbourValid = unix.NUD_PERMANENT | unix.NUD_NOARP | unix.NUD_REACHABLE |
	unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE

// read makes a snapshot of what the kernel has now. What is not dirty is taken from old.
func (v *View) read(old *snapshot, what uint32) (*snapshot, error) {
	s := &snapshot{}
	if what&dirtyAll == 0 && old != nil {
		*s = snapshot{usable: old.usable, mac: old.mac, mtu: old.mtu,
			addrs: old.addrs, local: old.local, main: old.main}
		return s, v.readNeighbours(s, old)
	}
	link, err := v.kernel.LinkByIndex(v.index)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		v.stale = nil
		s.gone = true
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	attrs := link.Attrs()
	s.usable = attrs.RawFlags&unix.IFF_UP != 0
	s.mtu = attrs.MTU
	copy(s.mac[:], attrs.HardwareAddr)
	if err := v.readAddrs(s, link); err != nil {
		return nil, err
	}
	if err := v.readRoutes(s); err != nil {
		return nil, err
	}
	return s, v.readNeighbours(s, old)
}

func (v *View) readAddrs(s *snapshot, link netlink.Link) error {
	addrs, err := v.kernel.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		p, ok := prefixOf(a.IPNet)
		if !ok || a.Scope == int(netlink.SCOPE_HOST) {
			continue
		}
		if p.Addr().Is4() {
			s.addrs = append(s.addrs, address{p, a.Flags&unix.IFA_F_SECONDARY != 0})
			continue
		}
		// An address that may yet turn out to be another's is not used (RFC 4862,
		// section 5.4), unless it is optimistic (RFC 4429).
		tentative := a.Flags&unix.IFA_F_TENTATIVE != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0
		if tentative || a.Flags&unix.IFA_F_DADFAILED != 0 {
			continue
		}
		s.addrs = append(s.addrs, address{p, a.Flags&unix.IFA_F_DEPRECATED != 0})
	}
	return nil
}

func (v *View) readRoutes(s *snapshot) error {
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		all := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		err := v.kernel.RouteListFilteredIter(f, all, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
			v.addRoute(s, f, &r)
			return true
		})
		// A kernel without IPv6 has no such table.
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	return nil
}

func (v *View) addRoute(s *snapshot, family int, k *netlink.Route) {
	prefix, ok := destination(k, family)
	if !ok || k.Tos != 0 {
		return
	}
	r := route{metric: k.Priority, mtu: k.MTU}
	switch {
	case k.Table == unix.RT_TABLE_LOCAL:
		s.local.add(prefix, route{})
		return
	case k.Table != unix.RT_TABLE_MAIN:
		return
	}
	switch k.Type {
	case unix.RTN_UNICAST:
		hop, ok := v.hopOf(k)
		if !ok {
			return
		}
		r.gateway = hop
		if src, ok := netip.AddrFromSlice(k.Src); ok {
			r.src = src.Unmap()
		}
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT, unix.RTN_THROW:
		r.refused = true
	default:
		return
	}
	s.main.add(prefix, r)
}

// hopOf returns the gateway of a route's first next hop through the interface, invalid for
// one on the link, and whether there is such a hop.
func (v *View) hopOf(k *netlink.Route) (gateway netip.Addr, ok bool) {
	if len(k.MultiPath) == 0 {
		return gatewayOf(k.Gw, k.Via), k.LinkIndex == v.index && k.Flags&unix.RTNH_F_DEAD == 0
	}
	for _, hop := range k.MultiPath {
		if hop.LinkIndex == v.index && hop.Flags&unix.RTNH_F_DEAD == 0 {
			return gatewayOf(hop.Gw, hop.Via), true
		}
	}
	return netip.Addr{}, false
}

// gatewayOf returns a gateway of the route's family, or of the other (RFC 5549).
func gatewayOf(gw net.IP, via netlink.Destination) netip.Addr {
	if other, ok := via.(*netlink.Via); ok && other != nil {
		gw = other.Addr
	}
	a, ok := netip.AddrFromSlice(gw)
	if !ok || a.IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

// destination returns the prefix of a route; that of a default route may be absent.
func destination(k *netlink.Route, family int) (netip.Prefix, bool) {
	if k.Dst != nil {
		return prefixOf(k.Dst)
	}
	if family == unix.AF_INET {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0), true
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0), true
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if size == 32 {
		a = a.Unmap()
	}
	if !ok || a.BitLen() != size {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, bits), true
}

// readNeighbours keeps the neighbours of old whose MAC has not changed, so that their marks
// of use stay.
func (v *View) readNeighbours(s, old *snapshot) error {
	s.neighbours = make(map[netip.Addr]*neighbour)
	var stale []netip.Addr
	for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
		list, err := v.kernel.NeighList(v.index, f)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		for i := range list {
			a, ok := netip.AddrFromSlice(list[i].IP)
			if !ok || list[i].State&neighbourValid == 0 || len(list[i].HardwareAddr) != 6 {
				continue
			}
			n := &neighbour{mac: [6]byte(list[i].HardwareAddr)}
			if old != nil && old.neighbours[a] != nil {
				n.used.Store(old.neighbours[a].used.Load())
				if old.neighbours[a].mac == n.mac {
					n = old.neighbours[a]
				}
			}
			s.neighbours[a] = n
			if list[i].State&unix.NUD_STALE != 0 {
				stale = append(stale, a)
			}
		}
	}
	v.stale = stale
	return nil
}

func equalAddrs(a, b *snapshot) bool {
	return slices.EqualFunc(a.addrs, b.addrs, func(x, y address) bool {
		return x.prefix.Addr() == y.prefix.Addr()
	})
}
