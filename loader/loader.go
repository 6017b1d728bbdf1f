// Package loader puts the XDP program on a NIC, tells it which flows are claimed, and reads
// its counters. It also finds out what a NIC can do (Probe). It knows nothing of AF_XDP
// rings: who opens a socket hands over its file descriptor.
package loader

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// The default sizes of the claim maps. An entry takes less than 100 octets of kernel memory.
// Those of listening and local addresses are reserved at once, under 1 MiB together; those
// of flows are taken as they are claimed.
const (
	// QueuesMax bounds the queues of a NIC that can have a socket. It is the size of the
	// map of sockets and cannot be changed by Config.
	QueuesMax = 1024
	// ListensMax bounds the listening addresses: as many as a host that serves one port
	// on each of 4,096 addresses has.
	ListensMax = 4096
	// FlowsMax bounds the outgoing connections: four local addresses with all their
	// 65,535 ports.
	FlowsMax = 1 << 18
	// AddrsMax bounds the local addresses.
	AddrsMax = 4096
)

// carrierWait is how long Attach waits for a carrier that the attaching took away. Drivers
// that restart need about a second (igb: 0.5 s), links that negotiate up to four.
const carrierWait = 5 * time.Second

// ErrFull says that a claim map has no room. Config makes them larger.
var ErrFull = errors.New("the map is full")

// Mode is how a program is attached.
type Mode int

const (
	// Auto attaches native where the driver can, else generic.
	Auto Mode = iota
	// Native runs the program in the driver, before there is an skb.
	Native
	// Generic runs it in the network core, on any interface and slower.
	Generic
)

// String returns the mode as the command line spells it.
func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case Native:
		return "native"
	case Generic:
		return "generic"
	}
	return fmt.Sprintf("mode(%d)", int(m))
}

// Config says how to attach. The zero value is good.
type Config struct {
	// Mode is Auto unless given.
	Mode Mode
	// ListensMax, FlowsMax and AddrsMax size the claim maps; 0 is the constant of that
	// name.
	ListensMax, FlowsMax, AddrsMax int
	// CarrierWait bounds the wait for a carrier that the attaching took away; 0 is five
	// seconds, less is not at all.
	CarrierWait time.Duration
}

func (c Config) withDefaults() Config {
	for _, size := range []struct {
		set *int
		max int
	}{{&c.ListensMax, ListensMax}, {&c.FlowsMax, FlowsMax}, {&c.AddrsMax, AddrsMax}} {
		if *size.set <= 0 {
			*size.set = size.max
		}
	}
	if c.CarrierWait == 0 {
		c.CarrierWait = carrierWait
	}
	return c
}

// checkListen refuses what cannot be claimed for listening. The address may be a wildcard.
func checkListen(local netip.AddrPort) error {
	if !local.Addr().IsValid() || local.Port() == 0 {
		return errors.New("an address and a port are needed")
	}
	return nil
}

func checkFlow(local, remote netip.AddrPort) error {
	for _, end := range []netip.AddrPort{local, remote} {
		if !end.Addr().IsValid() || end.Addr().Unmap().IsUnspecified() || end.Port() == 0 {
			return errors.New("both ends need an address and a port")
		}
	}
	if local.Addr().Unmap().Is4() != remote.Addr().Unmap().Is4() {
		return errors.New("the two ends are of different families")
	}
	return nil
}
