package lab

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// takeNICs moves the two NICs of l into its namespaces. The kernel takes their addresses and
// sets them down on the way.
func takeNICs(l *Lab) error {
	for i, h := range []*Host{l.A, l.B} {
		n := &l.nics[i]
		link, err := netlink.LinkByName(n.name)
		if err != nil {
			return fmt.Errorf("look up %s: %w", n.name, err)
		}
		a := link.Attrs()
		if a.NumRxQueues < l.Queues {
			return fmt.Errorf("%s has %d queues, %d are asked for", n.name, a.NumRxQueues, l.Queues)
		}
		n.mtu, n.up, h.MAC = a.MTU, a.Flags&net.FlagUp != 0, a.HardwareAddr
		ns, err := netns.GetFromPath(h.Path)
		if err != nil {
			return fmt.Errorf("open namespace %s: %w", h.Namespace, err)
		}
		err = netlink.LinkSetNsFd(link, int(ns))
		_ = ns.Close() // it was only looked at
		if err != nil {
			return fmt.Errorf("move %s into %s: %w", n.name, h.Namespace, err)
		}
		n.taken = true
		if err := h.Do(func() error { return netlink.LinkSetMTU(link, l.MTU) }); err != nil {
			return fmt.Errorf("set the MTU of %s to %d: %w", n.name, l.MTU, err)
		}
	}
	return nil
}

// bringBack moves the NICs of l home and makes them what they were. What does not get there is
// brought to the machine's first namespace by the kernel, when that of the lab ends.
func bringBack(l *Lab) error {
	var errs []error
	for i, h := range []*Host{l.A, l.B} {
		n := &l.nics[i]
		if !n.taken {
			continue
		}
		n.taken = false
		err := h.Do(func() error {
			link, err := netlink.LinkByName(n.name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetDown(link); err != nil {
				return err
			}
			return errors.Join(netlink.LinkSetMTU(link, n.mtu), netlink.LinkSetNsPid(link, os.Getpid()))
		})
		if err == nil && n.up {
			var link netlink.Link
			if link, err = netlink.LinkByName(n.name); err == nil {
				err = netlink.LinkSetUp(link)
			}
		}
		// A NIC that was pulled out is nobody's.
		if err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("bring back %s: %w", n.name, err))
		}
	}
	return errors.Join(errs...)
}
