package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/xdp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// openNIC puts netstack on an interface of this namespace, in the kernel's place: the
// kernel loses its IPv4 addresses there, so that it answers nothing that is netstack's.
func openNIC(name, how, mode string) (n *netstack, about string, err error) {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return nil, "", fmt.Errorf("find interface %s: %w", name, err)
	}
	own, err := takeAddress(l)
	if err != nil {
		return nil, "", err
	}
	var ep stack.LinkEndpoint
	var closers []func() error
	if how == "xdp" {
		ep, closers, about, err = openXDP(l, mode)
	} else {
		ep, closers, about, err = openPacket(l)
	}
	if err == nil {
		n, err = newNetstack(ep, own, true)
	}
	if err != nil {
		for _, f := range closers {
			err = errors.Join(err, f())
		}
		return nil, "", err
	}
	n.closers = closers
	return n, about, nil
}

// takeAddress takes the IPv4 addresses of an interface off the kernel and returns the
// first.
func takeAddress(l netlink.Link) (own netip.Prefix, err error) {
	all, err := netlink.AddrList(l, netlink.FAMILY_V4)
	if err != nil {
		return own, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		ip, _ := netip.AddrFromSlice(a.IP.To4())
		ones, _ := a.Mask.Size()
		if !own.IsValid() {
			own = netip.PrefixFrom(ip, ones)
		}
		if err := netlink.AddrDel(l, &a); err != nil {
			return own, fmt.Errorf("take address %v: %w", a.IPNet, err)
		}
	}
	if !own.IsValid() {
		return own, fmt.Errorf("interface %s has no IPv4 address", l.Attrs().Name)
	}
	return own, nil
}

func mac(l netlink.Link) tcpip.LinkAddress { return tcpip.LinkAddress(l.Attrs().HardwareAddr) }

// openXDP opens gVisor's AF_XDP endpoint on queue 0, which binds its socket itself, and
// redirects all that arrives there to it.
func openXDP(l netlink.Link, mode string) (ep stack.LinkEndpoint, closers []func() error, about string, err error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, nil, "", fmt.Errorf("open AF_XDP socket: %w", err)
	}
	// The peer of a veth leaves the checksum to hardware that is not there.
	ep, err = xdp.New(&xdp.Options{
		FD: fd, Address: mac(l), InterfaceIndex: l.Attrs().Index, Bind: true, RXChecksumOffload: true, GRO: true,
	})
	closers = append(closers, func() error { return unix.Close(fd) })
	if err != nil {
		return nil, closers, "", fmt.Errorf("make endpoint: %w", err)
	}
	xsks, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return nil, closers, "", fmt.Errorf("make map of sockets: %w", err)
	}
	closers = append(closers, xsks.Close)
	if err := xsks.Put(uint32(0), uint32(fd)); err != nil {
		return nil, closers, "", fmt.Errorf("put socket into map: %w", err)
	}
	const pass, queueIndex = 2, 16 // XDP_PASS; the offset of rx_queue_index in struct xdp_md
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, queueIndex, asm.Word),
		asm.LoadMapPtr(asm.R1, xsks.FD()),
		asm.Mov.Imm(asm.R3, pass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	}})
	if err != nil {
		return nil, closers, "", fmt.Errorf("load program: %w", err)
	}
	closers = append(closers, prog.Close)
	flags, ok := map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode}[mode]
	if !ok {
		return nil, closers, "", fmt.Errorf("attach program: mode %q is neither native nor generic", mode)
	}
	attached, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Attrs().Index, Flags: flags})
	if err != nil {
		return nil, closers, "", fmt.Errorf("attach program: %w", err)
	}
	return ep, append(closers, attached.Close), fmt.Sprintf("AF_XDP, XDP %s, MTU %d", mode, ep.MTU()), nil
}

// openPacket opens an AF_PACKET socket as gVisor's sandbox does: large segments both ways,
// recvmmsg, 4 MiB of buffers.
func openPacket(l netlink.Link) (ep stack.LinkEndpoint, closers []func() error, about string, err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, nil, "", fmt.Errorf("open AF_PACKET socket: %w", err)
	}
	closers = append(closers, func() error { return unix.Close(fd) })
	const all = 0x0300 // ETH_P_ALL, in network order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}); err != nil {
		return nil, closers, "", fmt.Errorf("bind AF_PACKET socket: %w", err)
	}
	const buffer = 4 << 20
	for _, opt := range []struct{ level, name, value int }{
		{unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer}, {unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer},
	} {
		if err := unix.SetsockoptInt(fd, opt.level, opt.name, opt.value); err != nil {
			return nil, closers, "", fmt.Errorf("set option %d of AF_PACKET socket: %w", opt.name, err)
		}
	}
	ep, err = fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: uint32(l.Attrs().MTU), EthernetHeader: true, Address: mac(l),
		PacketDispatchMode: fdbased.RecvMMsg, GSOMaxSize: l.Attrs().GSOMaxSize, RXChecksumOffload: true,
	})
	if err != nil {
		return nil, closers, "", fmt.Errorf("make endpoint: %w", err)
	}
	about = fmt.Sprintf("AF_PACKET with recvmmsg, segments up to %d, MTU %d", l.Attrs().GSOMaxSize, ep.MTU())
	return ep, closers, about, nil
}
