package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strconv"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/pipe"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// nicID is the only interface of a netstack.
const nicID = 1

// queueLen is what gVisor's sandbox gives the queue of an interface.
const queueLen = 1000

// netstack is a stack of gVisor with one address.
type netstack struct {
	*stack.Stack
	own     netip.Addr
	closers []func() error
}

// newNetstack makes a stack on a link, with the options of gVisor's own sandbox: SACK, and
// buffers that grow.
func newNetstack(ep stack.LinkEndpoint, own netip.Prefix, queue bool) (*netstack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	for _, opt := range []tcpip.SettableTransportProtocolOption{&sack, &moderate} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			return nil, fmt.Errorf("set option of TCP: %v", err)
		}
	}
	var opts stack.NICOptions
	if queue {
		opts.QDisc = fifo.New(ep, runtime.GOMAXPROCS(0), queueLen)
	}
	if err := s.CreateNICWithOptions(nicID, ep, opts); err != nil {
		return nil, fmt.Errorf("make interface: %v", err)
	}
	address := tcpip.AddrFromSlice(own.Addr().AsSlice())
	err := s.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: address, PrefixLen: own.Bits()},
	}, stack.AddressProperties{})
	if err != nil {
		return nil, fmt.Errorf("give address: %v", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}})
	return &netstack{Stack: s, own: own.Addr()}, nil
}

// at is an address of TCP.
func at(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nicID, Addr: tcpip.AddrFromSlice(a.Addr().AsSlice()), Port: a.Port()}
}

func (n *netstack) listen(port string) (net.Listener, error) {
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return gonet.ListenTCP(n.Stack, at(netip.AddrPortFrom(n.own, uint16(p))), ipv4.ProtocolNumber)
}

func (n *netstack) dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return gonet.DialContextTCP(ctx, n.Stack, at(to), ipv4.ProtocolNumber)
}

func (n *netstack) close() error {
	n.Close()
	var errs []error
	for _, f := range n.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// openPipe makes two stacks on a pipe in memory.
func openPipe(mtu uint32) (a, b *netstack, err error) {
	ea, eb := pipe.New("\x02\x00\x00\x00\x00\x01", "\x02\x00\x00\x00\x00\x02", mtu)
	if a, err = newNetstack(ea, netip.MustParsePrefix("10.77.0.1/24"), false); err != nil {
		return nil, nil, err
	}
	b, err = newNetstack(eb, netip.MustParsePrefix("10.77.0.2/24"), false)
	return a, b, err
}
