package hostnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Reservation keeps a port from the kernel's own sockets.
type Reservation struct {
	addrs []netip.AddrPort
	mu    sync.Mutex
	fd    int // -1: closed
}

// ReservePort binds a socket of the kernel to addr, in the calling thread's network
// namespace, without listening: no process can listen there, and no connection gets the
// port as its ephemeral one. network is "tcp", "tcp4" or "tcp6" and reads as in
// net.Listen; port 0 lets the kernel choose. What the kernel has already is an error that
// wraps EADDRINUSE. With the name of an interface in nic the port may be reserved for each of
// several interfaces; sockets that are bound to none, as a server's mostly are, are refused all
// the same. That takes CAP_NET_RAW.
//
// As found on Linux 6.18:
//   - A socket bound without SO_REUSEADDR refuses everyone else with EADDRINUSE, bind and
//     listen, whatever options they set. But it cannot be bound where a connection in
//     TIME_WAIT is left.
//   - With SO_REUSEADDR it can. As long as the option stays set, another process that sets
//     it too, as every server does, can bind and listen beside it.
//   - When the option is cleared after the bind, others are refused as in the first case.
//   - With SO_REUSEADDR, the bind also succeeds beside established connections of a server
//     that has stopped listening, and claiming the port would cut those off.
//
// So the first way is tried first. If that is refused, the option is set for the bind and
// cleared after it, and the reservation is given up if a socket there still has an owner.
func ReservePort(network string, addr netip.AddrPort, nic string) (*Reservation, error) {
	b, err := plan(network, addr.Addr())
	if err != nil {
		return nil, fmt.Errorf("hostnet: reserve %s: %w", spell(addr), err)
	}
	b.nic = nic
	r, err := reserve(b, addr.Port())
	if b.dual && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		// A kernel without IPv6, or with it switched off.
		r, err = reserve(binding{addr: netip.IPv4Unspecified(), nic: nic}, addr.Port())
	}
	if err != nil {
		return nil, fmt.Errorf("hostnet: reserve %s: %w", spell(addr), err)
	}
	return r, nil
}

// spell writes an address as net.Listen takes it: the zero address is no address at all.
func spell(addr netip.AddrPort) string {
	if !addr.Addr().IsValid() {
		return ":" + strconv.Itoa(int(addr.Port()))
	}
	return addr.String()
}

func reserve(b binding, port uint16) (*Reservation, error) {
	family := unix.AF_INET6
	if b.addr.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	port, err = bind(fd, b, port)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	r := &Reservation{fd: fd}
	if b.dual {
		r.addrs = append(r.addrs, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	}
	r.addrs = append(r.addrs, netip.AddrPortFrom(b.addr, port))
	return r, nil
}

// bind returns the port that the socket is bound to.
func bind(fd int, b binding, port uint16) (uint16, error) {
	if b.addr.Is6() {
		only := 1
		if b.dual {
			only = 0
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return 0, err
		}
	}
	if b.nic != "" {
		if err := unix.BindToDevice(fd, b.nic); err != nil {
			return 0, fmt.Errorf("bind to %s: %w", b.nic, err)
		}
	}
	sa, err := sockaddr(b.addr, port)
	if err != nil {
		return 0, err
	}
	err = unix.Bind(fd, sa)
	if errors.Is(err, unix.EADDRINUSE) && port != 0 {
		err = bindOverTimeWait(fd, sa, b.addr, port)
	}
	if err != nil {
		return 0, err
	}
	return boundPort(fd)
}

// bindOverTimeWait binds where only connections are left that no process owns.
func bindOverTimeWait(fd int, sa unix.Sockaddr, addr netip.Addr, port uint16) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0); err != nil {
		return err
	}
	owned, err := owned(addr, port)
	if err != nil {
		return err
	}
	if owned {
		return fmt.Errorf("%w: connections of another process are open there", unix.EADDRINUSE)
	}
	return nil
}

// owned says whether a process has a connection at the local address and port. Those that
// the kernel only winds up, in TIME_WAIT or after their process has gone, have no inode.
func owned(addr netip.Addr, port uint16) (bool, error) {
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EAFNOSUPPORT) {
			continue // no tcp_diag module: TIME_WAIT is as good a guess as any
		}
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return false, fmt.Errorf("look at the sockets: %w", err)
		}
		for _, s := range sockets {
			if s.ID.SourcePort != port || s.INode == 0 {
				continue
			}
			a, _ := netip.AddrFromSlice(s.ID.Source)
			if addr.IsUnspecified() || a.IsUnspecified() || a.Unmap() == addr.WithZone("") {
				return true, nil
			}
		}
	}
	return false, nil
}

func boundPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, fmt.Errorf("a socket address of type %T", sa)
}

func sockaddr(addr netip.Addr, port uint16) (unix.Sockaddr, error) {
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: addr.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(port), Addr: addr.As16()}
	if zone := addr.Zone(); zone != "" {
		if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
			sa.ZoneId = uint32(index)
			return sa, nil
		}
		nic, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = uint32(nic.Index)
	}
	return sa, nil
}

// Close gives the port back.
func (r *Reservation) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return fmt.Errorf("hostnet: release %v: %w", r.Addr(), net.ErrClosed)
	}
	fd := r.fd
	r.fd = -1
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("hostnet: release %v: %w", r.Addr(), err)
	}
	return nil
}
