//go:build !linux

package hostnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
)

// errOS wraps errors.ErrUnsupported.
func errOS() error {
	return fmt.Errorf("hostnet: following the kernel's network needs Linux, this is %s: %w",
		runtime.GOOS, errors.ErrUnsupported)
}

// View follows an interface through netlink, which only Linux has.
type View struct{}

// Open returns an error that wraps errors.ErrUnsupported, as all of this file does.
func Open(ifindex int, log *slog.Logger) (*View, error) { return nil, errOS() }

// Route needs Linux, as do the methods below.
func (v *View) Route(src, dst netip.Addr) (Hop, Status) { return Hop{}, Unreachable }

// Generation needs Linux.
func (v *View) Generation() uint64 { return 0 }

// Addrs needs Linux.
func (v *View) Addrs() []netip.Addr { return nil }

// OnAddrs needs Linux.
func (v *View) OnAddrs(f func([]netip.Addr)) {}

// Close needs Linux.
func (v *View) Close() error { return errOS() }

// Reservation keeps a port from the kernel's own sockets.
type Reservation struct{ addrs []netip.AddrPort }

// ReservePort needs Linux.
func ReservePort(network string, addr netip.AddrPort, nic string) (*Reservation, error) {
	if _, err := plan(network, addr.Addr()); err != nil {
		return nil, fmt.Errorf("hostnet: reserve %v: %w", addr, err)
	}
	return nil, errOS()
}

// Close needs Linux.
func (r *Reservation) Close() error { return errOS() }
