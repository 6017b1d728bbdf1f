package hostnet

import (
	"fmt"
	"net"
	"net/netip"
)

// binding is what a reservation asks of the kernel: an address of one family, or both
// wildcards, of all interfaces or of one.
type binding struct {
	addr netip.Addr
	dual bool
	nic  string
}

// plan reads network and address as net.Listen does: a wildcard of "tcp" is of both
// families, whichever it was written in.
func plan(network string, addr netip.Addr) (binding, error) {
	addr = addr.Unmap()
	wildcard := !addr.IsValid() || addr.IsUnspecified()
	switch network {
	case "tcp":
		if wildcard {
			return binding{addr: netip.IPv6Unspecified(), dual: true}, nil
		}
		return binding{addr: addr}, nil
	case "tcp4":
		if wildcard {
			return binding{addr: netip.IPv4Unspecified()}, nil
		}
		if addr.Is4() {
			return binding{addr: addr}, nil
		}
	case "tcp6":
		if wildcard {
			return binding{addr: netip.IPv6Unspecified()}, nil
		}
		if addr.Is6() {
			return binding{addr: addr}, nil
		}
	default:
		return binding{}, net.UnknownNetworkError(network)
	}
	return binding{}, fmt.Errorf("%v is not an address of %s", addr, network)
}

// Addr returns what is reserved, with the port that the kernel chose if it was to. For both
// wildcards it is that of IPv6.
func (r *Reservation) Addr() netip.AddrPort { return r.addrs[len(r.addrs)-1] }

// Addrs returns each address that is reserved, as they are claimed from the XDP program:
// one, or both wildcards.
func (r *Reservation) Addrs() []netip.AddrPort {
	return append([]netip.AddrPort(nil), r.addrs...)
}
