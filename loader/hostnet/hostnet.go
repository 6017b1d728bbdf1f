// Package hostnet is the kernel's view of the network around one interface: addresses,
// routes, neighbours, MTU and MAC, followed as they change. A View answers a packet worker
// where to send; it never makes it wait. ReservePort keeps a port away from the kernel's
// own sockets.
//
// Routes are those that the kernel would use for a socket bound to the interface
// (SO_BINDTODEVICE): the longest prefix among the routes through it, whatever other
// interfaces offer. Policy routing is not followed: the tables local and main are read, in
// that order. Of a multipath route, the first next hop through the interface is used.
package hostnet

import "net/netip"

// Hop is how a packet leaves for one destination.
type Hop struct {
	LocalMAC, RemoteMAC [6]byte
	// MTU is the largest IP packet, of the link and the route. Path MTU discovery may
	// have found less.
	MTU int
	// Src is the source address: the one asked for, or, where none was, the one that
	// the kernel would prefer.
	Src netip.Addr
}

// Status says what a Hop is worth.
type Status int

const (
	// OK says that the Hop is whole.
	OK Status = iota
	// Unresolved says that the neighbour's MAC is not known yet and the kernel has been
	// asked for it. The rest of the Hop is valid. When it is known, Generation changes.
	Unresolved
	// Unreachable says that there is no route through this interface, no source address,
	// or that the destination is the host itself or a group.
	Unreachable
)

// String names the status.
func (s Status) String() string {
	switch s {
	case OK:
		return "ok"
	case Unresolved:
		return "unresolved"
	case Unreachable:
		return "unreachable"
	}
	return "invalid"
}
