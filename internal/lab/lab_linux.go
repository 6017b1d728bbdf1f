package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// readyMax is how long the kernel may take to see that both ends have a carrier: no time
	// on a veth pair, seconds where two NICs agree on a speed.
	readyMax   = 20 * time.Second
	readyEvery = time.Millisecond
)

// up makes the namespaces, the pair and the addresses of l, and waits for them to work.
func up(l *Lab) error {
	for _, h := range []*Host{l.A, l.B} {
		if _, err := os.Lstat(h.Path); err == nil {
			return fmt.Errorf("%w: %s is there: take it away with \"millrace lab down --name %s\"",
				ErrExists, h.Path, l.Name)
		}
	}
	for _, h := range []*Host{l.A, l.B} {
		if err := makeNamespace(h.Path); err != nil {
			return fmt.Errorf("make namespace %s: %w", h.Namespace, err)
		}
	}
	if l.nics[0].name != "" {
		if err := takeNICs(l); err != nil {
			return err
		}
	} else if err := l.A.Do(func() error { return addPair(l) }); err != nil {
		return err
	}
	for _, h := range []*Host{l.A, l.B} {
		if err := h.Do(func() error { return configure(h, l.MTU) }); err != nil {
			return err
		}
	}
	for _, h := range []*Host{l.A, l.B} {
		if err := h.Do(func() error { return awaitReady(h) }); err != nil {
			return err
		}
	}
	return nil
}

// addPair makes the veth pair, from within the namespace of A.
func addPair(l *Lab) error {
	peer, err := netns.GetFromPath(l.B.Path)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", l.B.Namespace, err)
	}
	defer peer.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = l.A.Interface, l.A.MAC, l.MTU
	attrs.NumTxQueues, attrs.NumRxQueues = l.Queues, l.Queues
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerHardwareAddr, veth.PeerMTU = l.B.Interface, l.B.MAC, uint32(l.MTU)
	veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(l.Queues), uint32(l.Queues)
	veth.PeerNamespace = netlink.NsFd(peer)
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add veth pair: %w", err)
	}
	return nil
}

// configure gives a host its addresses and brings its links up, from within its namespace.
func configure(h *Host, mtu int) error {
	if mtu < mtuMin6 || !hasIPv6(h.Interface) {
		h.IP6 = netip.Prefix{}
	}
	link, err := netlink.LinkByName(h.Interface)
	if err != nil {
		return fmt.Errorf("look up %s: %w", h.Interface, err)
	}
	h.Index = link.Attrs().Index
	for _, p := range []netip.Prefix{h.IP4, h.IP6} {
		if !p.IsValid() {
			continue
		}
		ip := &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
		addr := &netlink.Addr{IPNet: ip}
		if p.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add %v to %s: %w", p, h.Interface, err)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("look up lo: %w", err)
	}
	for _, link := range []netlink.Link{lo, link} {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("set %s up: %w", link.Attrs().Name, err)
		}
	}
	return nil
}

// hasIPv6 turns IPv6 on for the interface of this namespace, without duplicate address
// detection and router solicitation, and says whether there is IPv6 at all: a kernel can
// be started without it.
func hasIPv6(iface string) bool {
	dir := "net/ipv6/conf/" + iface + "/"
	for _, v := range []struct{ name, value string }{
		{"disable_ipv6", "0"},
		{"accept_dad", "0"},
		{"router_solicitations", "0"},
	} {
		if err := setSysctl(dir+v.name, v.value); err != nil {
			return false
		}
	}
	return true
}

// awaitReady waits until the kernel has noticed the carrier and no address is tentative,
// from within the host's namespace. The kernel does both on a work queue of its own.
func awaitReady(h *Host) error {
	for start := time.Now(); ; time.Sleep(readyEvery) {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return fmt.Errorf("look up %s: %w", h.Interface, err)
		}
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return fmt.Errorf("list addresses of %s: %w", h.Interface, err)
		}
		tentative := slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
			return a.Flags&unix.IFA_F_TENTATIVE != 0
		})
		if link.Attrs().OperState == netlink.OperUp && !tentative {
			return nil
		}
		if time.Since(start) > readyMax {
			return fmt.Errorf("wait for %s: %v after %v", h.Interface, link.Attrs().OperState, readyMax)
		}
	}
}

// find reads what the kernel knows of a lab into l.
func find(l *Lab) error {
	for _, h := range []*Host{l.A, l.B} {
		if !isNamespace(h.Path) {
			return fmt.Errorf("%w: make it with \"millrace lab up --name %s\"", ErrNotFound, l.Name)
		}
		err := h.Do(func() error {
			link, err := netlink.LinkByName(h.Interface)
			if err != nil {
				return fmt.Errorf("look up %s in %s: %w", h.Interface, h.Namespace, err)
			}
			h.Index, h.MAC = link.Attrs().Index, link.Attrs().HardwareAddr
			l.MTU, l.Queues = link.Attrs().MTU, link.Attrs().NumRxQueues
			addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
			if err != nil || !slices.ContainsFunc(addrs, func(a netlink.Addr) bool {
				return a.IP.Equal(h.IP6.Addr().AsSlice())
			}) {
				h.IP6 = netip.Prefix{}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// list returns the names of which both namespaces are there.
func list() ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name, ours := strings.CutPrefix(e.Name(), prefix)
		name, isA := strings.CutSuffix(name, "-a")
		if ours && isA && isNamespace(newLab(name).A.Path) && isNamespace(newLab(name).B.Path) {
			names = append(names, name)
		}
	}
	return names, nil
}

// down removes the pair and both namespaces, as far as they are there.
func down(name string) error {
	l := newLab(name)
	var errs []error
	for _, h := range []*Host{l.A, l.B} {
		if isNamespace(h.Path) {
			// A program that still runs there keeps the namespace, but loses the link.
			errs = append(errs, h.Do(func() error { return deleteLink(h.Interface) }))
		}
		if err := removeNamespace(h.Path); err != nil {
			errs = append(errs, fmt.Errorf("remove namespace %s: %w", h.Namespace, err))
		}
	}
	return errors.Join(errs...)
}

func deleteLink(name string) error {
	link, err := netlink.LinkByName(name)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	// The other end may have taken it along in the meantime.
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
