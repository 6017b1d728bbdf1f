package loader

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The netdev family of generic netlink, of linux/netdev.h.
const (
	netdevFamily    = "netdev"
	netdevDevGet    = 1
	netdevIfindex   = 1
	netdevXDP       = 3
	netdevZCMaxSegs = 4
	netdevXSK       = 6

	xskTXChecksum = 1 << 1 // NETDEV_XSK_FLAGS_TX_CHECKSUM
)

// Probe asks the kernel about an interface of the calling thread's network namespace. What
// an older kernel or a simple driver does not know stays zero.
func Probe(name string) (NICInfo, error) {
	nic, err := netlink.LinkByName(name)
	if err != nil {
		return NICInfo{}, fmt.Errorf("loader: probe %s: %w", name, err)
	}
	attrs := nic.Attrs()
	info := NICInfo{
		Name:     name,
		Index:    attrs.Index,
		Veth:     nic.Type() == "veth",
		MAC:      attrs.HardwareAddr,
		MTU:      attrs.MTU,
		Up:       attrs.RawFlags&unix.IFF_UP != 0,
		Carrier:  attrs.RawFlags&unix.IFF_LOWER_UP != 0,
		RXQueues: attrs.NumRxQueues,
		TXQueues: attrs.NumTxQueues,
		NUMANode: numaNode(name),
	}
	if attrs.Xdp != nil && attrs.Xdp.Attached {
		info.XDPProgram = attrs.Xdp.ProgId
	}
	for _, ask := range []func(*NICInfo) error{probeDriver, sockets(nil).probeChannels, probeSpread, probeRings, probeXDP} {
		if err := ask(&info); err != nil && !unknown(err) {
			return NICInfo{}, fmt.Errorf("loader: probe %s: %w", name, err)
		}
	}
	info.remember(StateDir())
	return info, nil
}

// remember looks up what was measured of the driver. A file that cannot be read says nothing: then
// it is as if nothing had been measured.
func (i *NICInfo) remember(dir string) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		i.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	all, err := ModeRecords(dir)
	if err != nil || i.Driver == "" {
		return
	}
	for n := range all {
		if all[n].Driver == i.Driver {
			i.Recorded = &all[n]
		}
	}
}

// numaNode reads where a device is. Virtual interfaces have none.
func numaNode(name string) int {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", filepath.Base(name), "device/numa_node"))
	if err != nil {
		return -1
	}
	node, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return -1
	}
	return node
}

// unknown says whether an error means that the kernel or the driver has no answer.
func unknown(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOENT)
}

func probeDriver(info *NICInfo) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("ask for the driver: %w", err)
	}
	defer unix.Close(fd)
	driver, err := unix.IoctlGetEthtoolDrvinfo(fd, info.Name)
	if err != nil {
		return fmt.Errorf("ask for the driver: %w", err)
	}
	info.Driver = unix.ByteSliceToString(driver.Driver[:])
	return nil
}

// probeChannels corrects the queue counts, which so far are of what was allocated: a
// combined channel is a queue each way.
func (s sockets) probeChannels(info *NICInfo) error {
	got, err := s.askEthtool(unix.ETHTOOL_MSG_CHANNELS_GET, info.Index)
	if err != nil {
		return fmt.Errorf("ask for the channels: %w", err)
	}
	combined, combinedMax := got[unix.ETHTOOL_A_CHANNELS_COMBINED_COUNT], got[unix.ETHTOOL_A_CHANNELS_COMBINED_MAX]
	if n := combined + got[unix.ETHTOOL_A_CHANNELS_RX_COUNT]; n > 0 {
		info.RXQueues = int(n)
	}
	if n := combined + got[unix.ETHTOOL_A_CHANNELS_TX_COUNT]; n > 0 {
		info.TXQueues = int(n)
	}
	info.RXQueuesMax = int(max(combinedMax, got[unix.ETHTOOL_A_CHANNELS_RX_MAX]))
	info.TXQueuesMax = int(max(combinedMax, got[unix.ETHTOOL_A_CHANNELS_TX_MAX]))
	return nil
}

// probeSpread asks for the RSS. That a driver has no answer, for whatever reason, is as good as that it
// has none.
func probeSpread(info *NICInfo) error {
	s, err := sockets(nil).spread(info.Index)
	if err == nil {
		info.Spread = Spreading{Settings: s, Queues: info.RXQueues}
	}
	return nil
}

func probeRings(info *NICInfo) error {
	got, err := sockets(nil).askEthtool(unix.ETHTOOL_MSG_RINGS_GET, info.Index)
	if err != nil {
		return fmt.Errorf("ask for the rings: %w", err)
	}
	info.RXRing, info.RXRingMax = int(got[unix.ETHTOOL_A_RINGS_RX]), int(got[unix.ETHTOOL_A_RINGS_RX_MAX])
	info.TXRing, info.TXRingMax = int(got[unix.ETHTOOL_A_RINGS_TX]), int(got[unix.ETHTOOL_A_RINGS_TX_MAX])
	return nil
}

// askEthtool returns the 32-bit attributes of the answer to a question about one interface.
func (s sockets) askEthtool(command uint8, ifindex int) (map[uint16]uint32, error) {
	attrs, err := s.ask(unix.ETHTOOL_GENL_NAME, unix.ETHTOOL_GENL_VERSION, command, interfaceHeader(ifindex))
	if err != nil {
		return nil, err
	}
	numbers := make(map[uint16]uint32)
	for kind, value := range attrs {
		if len(value) == 4 {
			numbers[kind] = binary.NativeEndian.Uint32(value)
		}
	}
	return numbers, nil
}

func probeXDP(info *NICInfo) error {
	attrs, err := sockets(nil).ask(netdevFamily, 1, netdevDevGet,
		nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(info.Index))))
	if err != nil {
		return fmt.Errorf("ask for the XDP features: %w", err)
	}
	if v := attrs[netdevXDP]; len(v) == 8 {
		info.XDP = XDPFeatures(binary.NativeEndian.Uint64(v))&xdpAdvertised | XDPKnown
	}
	if v := attrs[netdevZCMaxSegs]; len(v) == 4 {
		info.ZeroCopySegsMax = int(binary.NativeEndian.Uint32(v))
	}
	if v := attrs[netdevXSK]; len(v) == 8 {
		info.Pieces = true
		info.TXChecksum = binary.NativeEndian.Uint64(v)&xskTXChecksum != 0
	}
	return nil
}
