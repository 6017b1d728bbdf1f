package doctor

import (
	"fmt"
	"runtime"

	"github.com/millrace-tcp/millrace/loader"
)

// knobs are what the kernel's file system says of an interface; -1 is unknown.
type knobs struct {
	deferIRQs  int // napi_defer_hard_irqs
	groTimeout int // gro_flush_timeout, nanoseconds
	wireless   bool
	bondMember bool
	bridgePort bool
	addresses  []string
	// direct says that a virtio device is given the machine's own addresses of memory: that of
	// a device behind an IOMMU is not, and others are not asked.
	direct  bool
	changes []loader.Change // by a millrace that runs, or was killed
	running bool
}

// nic looks at an interface, in the order in which opening it would stumble.
func nic(i loader.NICInfo, k knobs) []Check {
	return []Check{
		state(i), driver(i, k), vacancy(i), membership(k), addresses(i, k),
		mode(i, k), queues(i), rings(i), mtu(i), deferral(i, k), changed(i, k), partner(i),
	}
}

func state(i loader.NICInfo) Check {
	switch {
	case !i.Up:
		return Check{"interface", Fail, i.Name + " is down", "ip link set " + i.Name + " up"}
	case !i.Carrier:
		return Check{"interface", Warn, i.Name + " is up without carrier: nothing is sent in zero-copy mode", "the cable, or the other end"}
	}
	return Check{"interface", OK, fmt.Sprintf("%s is up, MTU %d", i.Name, i.MTU), ""}
}

func driver(i loader.NICInfo, k knobs) Check {
	c := Check{Name: "driver", Status: OK, Found: i.Driver}
	if i.Driver == "" {
		c.Found = "none: a virtual interface"
	}
	if trap, ok := traps[i.Driver]; ok {
		c.Status, c.Found, c.Remedy = trap.status, i.Driver+": "+trap.what, trap.remedy
	}
	if k.wireless {
		c.Status, c.Found = Note, i.Driver+": wireless, XDP runs in generic mode"
	}
	return c
}

// traps are what users of a driver have met.
var traps = map[string]struct {
	status       Status
	what, remedy string
}{
	"igb":       {Note, "attaching and detaching restart the NIC: a second without carrier", ""},
	"ixgbe":     {Note, "attaching and detaching restart the NIC: some seconds without carrier", ""},
	"ena":       {Warn, "native XDP takes half of the channels at most", "ethtool -L IF combined HALF"},
	"bonding":   {Warn, "zero-copy is for its members only, and packets may come by any of them", "open a member"},
	"bridge":    {Warn, "XDP on a bridge is generic; its ports see the packets first", "open a port"},
	"tun":       {Note, "no zero-copy", ""},
	"mlx5_core": {Note, "before Linux 6.2 the sockets of zero-copy are on queues of their own", ""},
}

func vacancy(i loader.NICInfo) Check {
	if i.XDPProgram == 0 {
		return Check{"XDP", OK, "no program is attached", ""}
	}
	return Check{"XDP", Fail, fmt.Sprintf("program %d is attached", i.XDPProgram),
		fmt.Sprintf("end the process that holds it (bpftool link); if none does: ip link set dev %s xdp off, or xdpgeneric off", i.Name)}
}

func membership(k knobs) Check {
	switch {
	case k.bondMember:
		return Check{"master", Warn, "it is a member of a bond: flows may come by its other members", ""}
	case k.bridgePort:
		return Check{"master", Warn, "it is a port of a bridge, whose addresses are not the port's", ""}
	}
	return Check{"master", OK, "none", ""}
}

func addresses(i loader.NICInfo, k knobs) Check {
	if len(k.addresses) == 0 {
		return Check{"addresses", Warn, "none: there is nothing to listen on", "ip addr add ADDRESS/LEN dev " + i.Name}
	}
	return Check{"addresses", OK, join(k.addresses), ""}
}

// mode says what --mode auto tries first. What a driver promises may still be refused, and is
// by virtio_net unless the kernel maps memory for the device as for any other.
func mode(i loader.NICInfo, k knobs) Check {
	c := i.Choose()
	switch {
	case c.ZeroCopy && k.direct:
		return Check{"mode", Note, "copy, XDP in the driver: zero-copy is advertised, and refused to a device that is not behind an IOMMU",
			"iommu_platform=on, or what the host of the virtual machine calls it, and Linux 6.16"}
	case c.ZeroCopy && i.XDP.Has(loader.XDPKnown):
		return Check{"mode", OK, "zero-copy: " + c.Why, ""}
	case c.ZeroCopy:
		return Check{"mode", Note, "zero-copy, or what there is: " + c.Why, ""}
	case c.Mode == loader.Generic && c.Measured:
		return Check{"mode", Note, "copy, XDP in the network core: " + c.Why, "--mode copy has XDP in the driver"}
	case c.Mode == loader.Generic:
		return Check{"mode", Note, "copy, XDP in the network core, the slowest: " + c.Why, "a NIC whose driver has XDP"}
	}
	return Check{"mode", Note, "copy, XDP in the driver: " + c.Why, "a NIC whose driver has AF_XDP zero-copy"}
}

func queues(i loader.NICInfo) Check {
	c := Check{Name: "queues", Status: OK, Found: fmt.Sprintf("%d to receive, at most %d", i.RXQueues, max(i.RXQueues, i.RXQueuesMax))}
	if i.RXQueues > 1 {
		c.Found += "; " + i.Spread.String()
	}
	if i.RXQueues > runtime.NumCPU() {
		c.Status = Note
		c.Found += fmt.Sprintf("; more than the %d processors, which workers then share", runtime.NumCPU())
		c.Remedy = fmt.Sprintf("ethtool -L %s combined %d", i.Name, runtime.NumCPU())
	}
	return c
}

func rings(i loader.NICInfo) Check {
	if i.RXRing == 0 {
		return Check{"rings", OK, "of no fixed size", ""}
	}
	c := Check{Name: "rings", Status: OK, Found: fmt.Sprintf("%d to receive, %d to send", i.RXRing, i.TXRing)}
	if want := min(i.RXRingMax, ringGood); i.RXRing < want {
		c.Status, c.Remedy = Note, fmt.Sprintf("ethtool -G %s rx %d", i.Name, want)
	}
	return c
}

// ringGood is a ring that holds what 10 Gbit/s bring in half a millisecond, at 1500 octets.
const ringGood = 512

func mtu(i loader.NICInfo) Check {
	c := Check{Name: "MTU", Status: OK, Found: fmt.Sprint(i.MTU)}
	if i.MTU > pageRoom && i.XDP.Has(loader.XDPKnown) && i.XDP.Has(loader.XDPBasic) && !i.XDP.Has(loader.XDPMultiRX) {
		c.Status = Warn
		c.Found += ": more than a page holds, and the driver's XDP does not take packets in several buffers; generic mode is taken"
		c.Remedy = fmt.Sprintf("ip link set %s mtu %d", i.Name, pageRoom)
	}
	return c
}

// pageRoom is what drivers without several buffers take: a page less headroom and what the
// kernel keeps behind it, with Ethernet's header and a tag.
const pageRoom = 3498

// deferral finds what busy polling sets, and a process that was killed leaves.
func deferral(i loader.NICInfo, k knobs) Check {
	if k.deferIRQs <= 0 && k.groTimeout <= 0 {
		return Check{"deferral", OK, "interrupts are not put off", ""}
	}
	return Check{"deferral", Note,
		fmt.Sprintf("interrupts are put off (napi_defer_hard_irqs %d, gro_flush_timeout %d ns): by who polls now, or polled and was killed",
			k.deferIRQs, k.groTimeout),
		fmt.Sprintf("echo 0 | tee /sys/class/net/%s/napi_defer_hard_irqs /sys/class/net/%s/gro_flush_timeout", i.Name, i.Name)}
}

// changed lists the settings that a millrace has changed. Those of one that was killed are given
// back by the next that opens the interface, or by hand.
func changed(i loader.NICInfo, k knobs) Check {
	if len(k.changes) == 0 {
		return Check{"settings", OK, "none is changed", ""}
	}
	var found, remedy []string
	for _, c := range k.changes {
		found = append(found, c.String())
		remedy = append(remedy, c.Undo(i.Name))
	}
	if k.running {
		return Check{"settings", OK, "changed until the millrace that runs closes it: " + join(found), ""}
	}
	return Check{"settings", Note, "left by a millrace that was killed, and given back when the next one opens it: " + join(found), join(remedy)}
}

// partner speaks of the other end of a virtual link.
func partner(i loader.NICInfo) Check {
	if !i.Veth {
		return Check{"offloads", OK, "checksums are verified in software, and made there", ""}
	}
	return Check{"offloads", Note, "a veth's peer leaves checksums undone: millrace takes them so, for no wire is between",
		"to have them made all the same, on the peer: ethtool -K DEV tx off"}
}
