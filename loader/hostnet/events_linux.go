package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// eventsBuffer is what the kernel may queue for us: about 1,000 notifications, each
	// counted with its buffer. More is an overrun, after which all is read again.
	eventsBuffer = 1 << 20
	// eventMax is the longest message that is read whole. A longer one, which the kernel
	// does not send here, would cause a needless dump.
	eventMax = 64 << 10
)

// subscribe opens the socket on which the kernel tells that something has changed.
func subscribe() (*os.File, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// Needs CAP_NET_ADMIN; an overrun is made up for, so that less will do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsBuffer)
	var groups uint32
	for _, g := range []int{
		unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_NEXTHOP,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE,
	} {
		groups |= 1 << (g - 1)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("subscribe to netlink: %w", err)
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// receive is the goroutine that reads notifications. It takes from them only which tables
// have changed: what they hold is read from the kernel, so that no order of events, and
// none that was lost, can leave a wrong view.
func (v *View) receive() {
	buf := make([]byte, eventMax)
	for {
		n, err := v.events.Read(buf)
		switch {
		case err == nil:
			v.mark(concerns(buf[:n], v.index))
		case errors.Is(err, unix.ENOBUFS):
			v.overruns.Add(1)
			v.mark(dirtyAll)
		case errors.Is(err, os.ErrClosed):
			return
		case !errors.Is(err, unix.EINTR):
			v.log.Error("hostnet: the kernel's changes are no longer followed", "error", err)
			return
		}
	}
}

// mark adds to what has to be read again.
func (v *View) mark(what uint32) {
	if what != 0 {
		v.dirty.Or(what)
		v.notify()
	}
}

// notify wakes run, unless it is about to be.
func (v *View) notify() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// concerns says which tables the messages are about, as far as they matter to one
// interface. What cannot be read concerns all.
func concerns(b []byte, index int) (what uint32) {
	msgs, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return dirtyAll
	}
	for _, m := range msgs {
		switch m.Header.Type {
		case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
			if about(m.Data, index) {
				what |= dirtyNeighbours
			}
		case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR:
			if about(m.Data, index) {
				what |= dirtyAll
			}
		default:
			// Routes. Those through other interfaces count too: with an address of
			// another interface, the local table changes.
			what |= dirtyAll
		}
	}
	return what
}

// about says whether a message is about the interface. Its index is the second word of
// struct ifinfomsg, ifaddrmsg and ndmsg.
func about(data []byte, index int) bool {
	return len(data) < 8 || binary.NativeEndian.Uint32(data[4:]) == uint32(index)
}
