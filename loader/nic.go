package loader

import (
	"net"
	"strings"
)

// NICInfo is what an interface is and can do. A number that the kernel does not tell is 0.
type NICInfo struct {
	Name   string
	Index  int
	Driver string // as ethtool names it: "igb", "virtio_net", "veth"
	Veth   bool
	MAC    net.HardwareAddr
	MTU    int
	// Up is the administrative state, Carrier that of the wire.
	Up, Carrier bool

	// Queues in use, and the most there can be.
	RXQueues, TXQueues       int
	RXQueuesMax, TXQueuesMax int
	// Spread is how it spreads over them what it receives.
	Spread Spreading
	// Hardware ring sizes in descriptors.
	RXRing, TXRing       int
	RXRingMax, TXRingMax int

	XDP XDPFeatures
	// ZeroCopySegsMax is the most buffers of one packet in zero-copy mode.
	ZeroCopySegsMax int
	// Pieces says that AF_XDP surely takes packets of several frames, which it does since
	// Linux 6.6: the kernel is of those that tell what AF_XDP can, since 6.8.
	Pieces bool
	// TXChecksum says that the driver completes checksums of what AF_XDP sends in zero-copy mode.
	TXChecksum bool
	// NUMANode is where a device is, -1 where that is not told.
	NUMANode int
	// Recorded is what was measured of the driver here; nil: nothing. Kernel is the release that runs.
	Recorded *ModeRecord
	Kernel   string
	// XDPProgram is the id of the program that is attached, 0 for none.
	XDPProgram uint32
}

// XDPFeatures are the bits that the kernel advertises for a driver (enum netdev_xdp_act of
// linux/netdev.h), and XDPKnown. They are a promise only: a bind may still be refused.
type XDPFeatures uint64

// The features.
const (
	XDPBasic      XDPFeatures = 1 << iota // native mode
	XDPRedirect                           // XDP_REDIRECT
	XDPTransmit                           // a target of redirects
	XDPZeroCopy                           // AF_XDP zero-copy
	XDPOffload                            // in the hardware
	XDPMultiRX                            // packets in several buffers
	XDPMultiTX                            // the same, as a target of redirects
	XDPKnown      XDPFeatures = 1 << 63   // the kernel could be asked: since 6.3
	xdpAdvertised             = XDPKnown - 1
)

// Has says whether all features of g are there.
func (f XDPFeatures) Has(g XDPFeatures) bool { return f&g == g }

// String names the features, as in "basic,redirect,zero-copy".
func (f XDPFeatures) String() string {
	if !f.Has(XDPKnown) {
		return "unknown"
	}
	var names []string
	for i, name := range []string{"basic", "redirect", "transmit", "zero-copy", "offload", "multi-rx", "multi-tx"} {
		if f.Has(1 << i) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}
