// Package millrace is a user-space TCP stack on a Linux network interface. It takes the
// flows it is asked for, through XDP and AF_XDP, and leaves everything else on the
// interface to the kernel: ARP, ICMP echo, SSH, and all ports it does not listen on.
//
//	nic, err := millrace.Open("eth0", millrace.Config{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer nic.Close()
//	l, err := nic.Listen("tcp", ":8080")
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.Serve(l, http.FileServer(http.Dir("."))))
//
// The addresses are those of the interface. Listeners and connections are those of package
// stack, which behave as those of package net. Opening takes root, or CAP_NET_ADMIN,
// CAP_NET_RAW and CAP_BPF.
package millrace

import (
	"fmt"
	"log/slog"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/stack"
)

// Mode says how packets pass between the driver and the stack.
type Mode int

// The modes.
const (
	// ModeAuto takes the best that works: the order is that of the other modes. On a veth it is
	// ModeGeneric, where the kernel is 6.8 or later: its peer then sends up to 64 KiB at once.
	ModeAuto Mode = iota
	// ModeZeroCopy has the NIC write into the stack's memory, or fails.
	ModeZeroCopy
	// ModeCopy copies each frame once; XDP runs in the driver if that can, else in the
	// network core.
	ModeCopy
	// ModeGeneric copies each frame, and XDP runs in the network core: slower but on a veth,
	// and works with every interface.
	ModeGeneric
)

// String returns the mode as the command line spells it.
func (m Mode) String() string {
	switch m {
	case ModeAuto:
		return "auto"
	case ModeZeroCopy:
		return "zerocopy"
	case ModeCopy:
		return "copy"
	case ModeGeneric:
		return "generic"
	}
	return fmt.Sprintf("mode(%d)", int(m))
}

// ParseMode reads what String returns.
func ParseMode(s string) (Mode, error) {
	for m := ModeAuto; m <= ModeGeneric; m++ {
		if s == m.String() {
			return m, nil
		}
	}
	return ModeAuto, fmt.Errorf("millrace: mode %q is none of auto, zerocopy, copy, generic", s)
}

// Config says how to open an interface. The zero value is good.
type Config struct {
	// Mode is ModeAuto unless given.
	Mode Mode
	// Queues is how many receive queues are served, from the first on; 0 is all. The NIC's RSS is
	// set to these until Close, unless KeepSettings says otherwise; where it cannot be (the kernel
	// lets it since 6.17), or a veth's peer chooses, packets of our flows that arrive on the others
	// are dropped, and counted (Counters.NoSocket).
	Queues int
	// Congestion names the congestion control of connections that have no other, with its
	// options: "cubic?hystart=off". It is one of Algorithms, or of those that come with
	// millrace; empty is the first of them, CUBIC. Stack.Congestion, if given, is in its place.
	Congestion string
	// Algorithms is the congestion controls that have names; nil is those that come with
	// millrace. To add one: append(catalog.All(), catalog.Entry{…}).
	Algorithms catalog.Table
	// Stack is the configuration of the stack. Router, Addrs and Claimer are filled in, and so
	// are Congestion, Algorithms, Log and Steer where they are missing.
	Stack stack.Config
	// Pin keeps the worker of each queue on a processor of its own: those of a list such as
	// "0-3,8", in the order of the queues, or with "auto" those that the process may use, the ones
	// near the NIC's memory first. Empty is that the scheduler sees to it, which is better wherever
	// others use the processors too.
	Pin string
	// BusyPoll has the workers drive the device's receive processing (SO_PREFER_BUSY_POLL), with
	// interrupts put off meanwhile: a setting of the interface.
	BusyPoll bool
	// KeepSettings leaves the settings of the interface as they are. Without it those that help
	// are changed until Close (Info.Notes tells which): interrupts are put off for BusyPoll, and
	// RSS spreads to the queues that are served.
	KeepSettings bool
	// SteerFlows keeps each flow of a veth on one processor, another setting: packets do not overtake
	// each other then, which gives bulk up to 15 % at a large MTU, and of short connections, each of
	// which is a flow, it takes a third, for half of them are handed from one processor to another.
	SteerFlows bool
	// WrapPort, if given, wraps the port of each queue: to capture, or to break, what
	// crosses it.
	WrapPort func(queue int, p dataplane.Port) dataplane.Port
	// Log gets warnings, and with Debug what the kernel's view of the network does; nil is
	// slog.Default.
	Log *slog.Logger
}

// Info says how an interface was opened.
type Info struct {
	Name, Driver string
	// Attached is "native" or "generic".
	Attached string
	// ZeroCopy says of each queue served whether frames pass without a copy.
	ZeroCopy []bool
	// QueuesTotal is how many receive queues the NIC has.
	QueuesTotal int
	// Processors is that of each queue's worker, if they are pinned.
	Processors []int
	// MTU is the largest IP packet that the stack sent or offered to receive when it was opened. It
	// follows that of the interface, as far as frames go.
	MTU int
	// FrameOctets is the memory of all queues' frames, and FramePages of what pages it is.
	FrameOctets int
	FramePages  string
	// Frames is how many of them each queue has, and why.
	Frames Frames
	// Notes are remarks on how it went, for people.
	Notes []string
}

// Frames is the frame memory of a queue: of frames to receive as many as the socket's ring and, in
// zero-copy mode, that of the NIC hold together, so that both can be full and none starves the
// other; of frames to send as many as the transmit ring holds.
type Frames struct {
	Size           int // of a frame, in octets
	RX, TX         int // how many there are
	RXRing, HWRing int // entries of the socket's ring, and of the NIC's
	// KeepMax is how many of those to receive readers may hold; what comes then is copied.
	KeepMax int
}

// String says the rule with its numbers.
func (f Frames) String() string {
	return fmt.Sprintf("each queue %d to receive (its ring %d + the NIC's %d) and %d to send, of %d octets",
		f.RX, f.RXRing, f.HWRing, f.TX, f.Size)
}

// String sums i up in a line.
func (i Info) String() string {
	copies := "copy"
	for _, zc := range i.ZeroCopy {
		if zc {
			copies = "zero-copy"
		}
	}
	return fmt.Sprintf("%s (%s): XDP %s, AF_XDP %s, %d of %d queues, MTU %d",
		i.Name, i.Driver, i.Attached, copies, len(i.ZeroCopy), i.QueuesTotal, i.MTU)
}
