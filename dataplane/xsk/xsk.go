// Package xsk is a dataplane.Port over one AF_XDP socket, which serves one receive queue
// of one network interface. It takes only what an XDP program redirects to it: attach the
// program first, put the socket's FD into the program's XSKMAP after Open.
//
// The socket, its four rings and its frame memory (the UMEM) belong to one worker. The
// kernel is trusted to run, not to be right: every address and length it returns is
// checked before it is used.
package xsk

import (
	"fmt"
	"math/bits"
)

// Mode says how frames pass between the socket and the driver.
type Mode int

const (
	// Auto asks for zero-copy, and takes copy mode if that is refused.
	Auto Mode = iota
	// ZeroCopy is zero-copy or an error.
	ZeroCopy
	// Copy is copy mode; it works with every driver and in generic XDP.
	Copy
)

// String returns the name that the command line uses.
func (m Mode) String() string {
	switch m {
	case Auto:
		return "auto"
	case ZeroCopy:
		return "zerocopy"
	case Copy:
		return "copy"
	}
	return fmt.Sprintf("Mode(%d)", int(m))
}

// Pages says of what pages frame memory is made. Larger ones spare the translation of addresses,
// ours and the kernel's; nothing else depends on it.
type Pages int

const (
	// PagesSmall is the machine's own pages, of 4 KiB mostly.
	PagesSmall Pages = iota
	// PagesTransparent is small pages that the kernel was asked to make huge where it can.
	PagesTransparent
	// PagesHuge is pages of 2 MiB that the administrator has set aside (vm.nr_hugepages).
	PagesHuge
)

// String names the pages for people.
func (p Pages) String() string {
	switch p {
	case PagesSmall:
		return "small pages"
	case PagesTransparent:
		return "transparent huge pages"
	case PagesHuge:
		return "huge pages of 2 MiB"
	}
	return fmt.Sprintf("Pages(%d)", int(p))
}

// Limits of a Config.
const (
	chunkSmall = 2048
	chunkLarge = 4096 // the kernel takes no chunk beyond a page without huge pages

	// rxHeadroom is XDP_PACKET_HEADROOM: the kernel keeps that much of each receive chunk
	// for itself, so a chunk of 2048 receives frames of at most 1792 octets.
	rxHeadroom = 256

	ringMin = 64
	ringMax = 1 << 15
)

// Config describes a socket. The zero value of a field is the documented default; of
// Ifindex and IfName one must be given.
type Config struct {
	// Ifindex is the interface in the network namespace of the thread that calls Open.
	// Default: looked up by IfName.
	Ifindex int
	// IfName is for names and for the look-up. Default: looked up by Ifindex.
	IfName string
	// Queue is the index of the receive queue, from 0.
	Queue int

	// FrameSize is the size of a chunk of frame memory: 2048 or 4096. Default: 4096 where
	// the MTU needs it or Aggregates is set, and wherever zero-copy on hardware might be
	// granted, because igb takes 2048 and then splits every frame over 1024 octets in two,
	// without a sign.
	FrameSize int
	// Aggregates says that packets larger than the MTU may arrive, whole or joined by the
	// kernel, as they do in generic XDP.
	Aggregates bool
	// ZeroCopyPieces is how many frames of one packet the driver sends in zero-copy mode, as
	// netlink tells (zc-max-segs); 0 is 1.
	ZeroCopyPieces int
	// ZeroCopyChecksum says that the driver completes checksums in zero-copy mode, as netlink
	// tells (xsk-features, tx-checksum).
	ZeroCopyChecksum bool
	// RXRing and TXRing are the sizes of the socket's receive and transmit rings, powers
	// of two from 64 to 32768. Default 4096 and 1024.
	RXRing, TXRing int
	// HWRing is the size of the hardware's receive ring, which in zero-copy mode holds
	// frames of this socket. Default 0, right for copy mode.
	HWRing int
	// RXFrames is how many frames are for receiving. Default, and at least: HWRing +
	// RXRing, so that both rings can be full and none starves the other.
	RXFrames int
	// TXFrames is how many frames are for sending, at most TXRing so that Send always has
	// room. Default: TXRing.
	TXFrames int

	// Mode is what to ask for. What was granted is what Port.ZeroCopy says.
	Mode Mode
	// BusyPoll makes the worker's own calls drive the device's receive processing
	// (SO_PREFER_BUSY_POLL), instead of an interrupt on any CPU.
	BusyPoll bool
	// BusyPollBudget is the most frames of one such call. Default 64.
	BusyPollBudget int
	// NUMANodes is a mask of the nodes that frame memory is best taken from: those of the NIC.
	// Default 0: any.
	NUMANodes uint64
	// LinkLocal is passed on in Info. Set it for a veth pair only.
	LinkLocal bool
}

// withDefaults checks c and fills in what is zero. hardware says that a real device is
// below, mtu is its MTU.
func (c Config) withDefaults(hardware bool, mtu int) (Config, error) {
	setDefault(&c.RXRing, 4096)
	setDefault(&c.TXRing, 1024)
	setDefault(&c.TXFrames, c.TXRing)
	setDefault(&c.RXFrames, c.HWRing+c.RXRing)
	setDefault(&c.BusyPollBudget, 64)
	if c.FrameSize == 0 {
		c.FrameSize = chunkSmall
		const ethernet = 14 + 2*4 // header and two VLAN tags
		if mtu+ethernet > chunkSmall-rxHeadroom || c.Aggregates || hardware && c.Mode != Copy {
			c.FrameSize = chunkLarge
		}
	}
	switch {
	case c.Mode < Auto || c.Mode > Copy:
		return c, fmt.Errorf("xsk: config: Mode %d is unknown", c.Mode)
	case c.Queue < 0:
		return c, fmt.Errorf("xsk: config: Queue %d is negative", c.Queue)
	case c.FrameSize != chunkSmall && c.FrameSize != chunkLarge:
		return c, fmt.Errorf("xsk: config: FrameSize %d is not %d or %d", c.FrameSize, chunkSmall, chunkLarge)
	case !ringSize(c.RXRing):
		return c, fmt.Errorf("xsk: config: RXRing %d is not a power of two in [%d, %d]", c.RXRing, ringMin, ringMax)
	case !ringSize(c.TXRing):
		return c, fmt.Errorf("xsk: config: TXRing %d is not a power of two in [%d, %d]", c.TXRing, ringMin, ringMax)
	case c.HWRing < 0 || c.HWRing > ringMax:
		return c, fmt.Errorf("xsk: config: HWRing %d is not in [0, %d]", c.HWRing, ringMax)
	case c.RXFrames < c.HWRing+c.RXRing || c.RXFrames > 2*ringMax:
		return c, fmt.Errorf("xsk: config: RXFrames %d is not in [HWRing + RXRing = %d, %d]",
			c.RXFrames, c.HWRing+c.RXRing, 2*ringMax)
	case c.TXFrames < 1 || c.TXFrames > c.TXRing:
		return c, fmt.Errorf("xsk: config: TXFrames %d is not in [1, TXRing = %d]", c.TXFrames, c.TXRing)
	case c.BusyPollBudget < 1 || c.BusyPollBudget > 0xffff:
		return c, fmt.Errorf("xsk: config: BusyPollBudget %d is not in [1, 65535]", c.BusyPollBudget)
	}
	return c, nil
}

func setDefault(v *int, to int) {
	if *v == 0 {
		*v = to
	}
}

func ringSize(n int) bool { return n >= ringMin && n <= ringMax && n&(n-1) == 0 }

// fillRing is the size of the fill ring. It holds all receive frames at once, so that
// giving one back never fails.
func (c *Config) fillRing() int { return 1 << bits.Len(uint(c.RXFrames-1)) }

// KernelStats are the kernel's own counters of a socket (XDP_STATISTICS). A NIC that is
// overrun drops before the socket, and these stay 0.
type KernelStats struct {
	RXDropped     uint64 // no frame was free, or the packet did not fit one
	RXRingFull    uint64 // the receive ring was full
	RXInvalid     uint64 // a frame on the fill ring was refused
	TXInvalid     uint64 // a frame on the transmit ring was refused
	FillRingEmpty uint64 // times that the kernel wanted a frame and there was none
	TXRingEmpty   uint64 // times that the kernel looked for a frame to send in vain
}
