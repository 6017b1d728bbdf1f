// Package network is what the commands run on: a TCP stack that listens and dials. One
// implementation is millrace on a NIC; the other is the kernel's TCP, for comparison and
// for tests that need no root.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/stack"
)

// Network is a TCP stack. Networks and addresses are those of package net: "tcp", "tcp4",
// "tcp6"; "host:port". Its methods may be called by several goroutines.
type Network interface {
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	// Close ends what still runs on the network and gives the NIC back.
	Close() error
}

// HandlerListener is a Network whose workers call handlers.
type HandlerListener interface {
	ListenHandler(ctx context.Context, network, address string, open func(c *stack.HandlerConn) stack.Handler) (net.Listener, error)
}

// Config says what to open. The zero value is the NIC with the default route, served as
// well as it can be.
type Config struct {
	NIC          string        // interface name; "": DefaultNIC
	Congestion   string        // name and options, "cubic?hystart=off"; "": the stack's default
	Algorithms   catalog.Table // that Congestion may name; nil: those of millrace
	ECN          string        // "passive", "off", "classic" or "accurate"; "": passive
	Mode         string        // "auto", "zerocopy", "copy" or "generic"; "": auto
	Queues       int           // receive queues to serve; 0: all
	BusyPoll     bool          // the workers drive the device's receive processing
	KeepSettings bool          // of the interface
	SteerFlows   bool          // of a veth, to one processor each
	Spin         time.Duration // how long an idle worker spins; 0: the stack's default; < 0: not; Forever
	Pin          string        // processors of the workers: a list, or "auto"; "": any
	PCAP         string        // file to write what crosses the port to; "": none
	Trace        string        // directory to record what happens to windows into; "": none
	Log          *slog.Logger  // nil: slog.Default

	// KeepAlive is that of all connections; the zero value is off. The kernel's have what
	// package net gives them.
	KeepAlive net.KeepAliveConfig
}

// Forever is a Spin that never ends.
const Forever time.Duration = 1<<63 - 1

// Info is what a stack tells about a connection. What it does not know is zero.
type Info struct {
	Retransmits int64 // segments, since the connection opened
	Cwnd        int64 // congestion window, octets
	SndWnd      int64 // window that the peer offers, octets
	RTT         time.Duration
	RTTVar      time.Duration
	PMTU        int
	Congestion  string // name of the congestion control
}

// ErrNoInfo is returned where a connection is of no stack that tells or can be told.
var ErrNoInfo = errors.New("network: the connection's stack does not know")

// InfoOf returns what the connection's stack tells about it.
func InfoOf(n Network, c net.Conn) (Info, bool) {
	if n, ok := n.(interface{ Info(net.Conn) (Info, bool) }); ok {
		return n.Info(c)
	}
	return Info{}, false
}

// AboutOf says in a line how the network runs.
func AboutOf(n Network) string {
	if n, ok := n.(interface{ About() string }); ok {
		return n.About()
	}
	return ""
}

// Chooser is a Network whose new connections, those that are dialed and those that are
// accepted, can be given another congestion control while it is open.
type Chooser interface {
	// ChooseCongestion takes a name with options; "" is what the network was opened with.
	ChooseCongestion(spec string) error
}

// SetCongestion switches the congestion control of a connection.
func SetCongestion(c net.Conn, name string) error {
	// The stack's own connections have the method; the kernel's have a socket option.
	if c, ok := c.(interface{ SetCongestionControl(string) error }); ok {
		return c.SetCongestionControl(name)
	}
	return setKernelCongestion(c, name)
}

// DialAny connects to the first of a name's addresses that answers. Names are looked up in
// the kernel's network, connections are made on n. An address that does not answer is
// given headStart before the next is tried beside it (RFC 8305, section 5), IPv6 first.
func DialAny(ctx context.Context, n Network, network, address string) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	addrs, err := lookup(ctx, network, host)
	if err != nil {
		return nil, err
	}
	return race(ctx, n, network, interleave(addrs), port)
}

// addressesMax bounds how many addresses of one name are tried.
const addressesMax = 16

// headStart is what each attempt is given before the next begins: the Connection Attempt
// Delay that RFC 8305, section 8 recommends.
const headStart = 250 * time.Millisecond

func lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	family := "ip"
	if len(network) > 3 {
		family += network[3:] // tcp4, tcp6
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, family, host)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, nil
}

// interleave orders addresses by turns, IPv6 and IPv4 (RFC 8305, section 4), at most
// addressesMax of them.
func interleave(addrs []netip.Addr) []netip.Addr {
	var six, four, out []netip.Addr
	for _, a := range addrs {
		if a.Is4() {
			four = append(four, a)
		} else {
			six = append(six, a)
		}
	}
	for i := range max(len(six), len(four)) {
		if i < len(six) {
			out = append(out, six[i])
		}
		if i < len(four) {
			out = append(out, four[i])
		}
	}
	return out[:min(len(out), addressesMax)]
}

// race tries the addresses, each a headStart after the one before or at once when that has
// failed. The first connection wins; the others are closed.
func race(ctx context.Context, n Network, network string, addrs []netip.Addr, port int) (net.Conn, error) {
	if len(addrs) == 0 {
		return nil, errors.New("network: the name has no address")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	attempt := func(a netip.Addr) {
		go func() {
			c, err := n.DialContext(ctx, network, net.JoinHostPort(a.String(), strconv.Itoa(port)))
			select {
			case results <- result{c, err}:
			case <-ctx.Done():
				if err == nil {
					_ = c.Close() // another was first
				}
			}
		}()
	}
	timer := time.NewTimer(headStart)
	defer timer.Stop()
	attempt(addrs[0])
	started, failed := 1, 0
	var first error
	for {
		select {
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if first == nil {
				first = r.err
			}
			if failed++; failed == len(addrs) {
				return nil, first
			}
			if failed < started {
				continue
			}
		case <-timer.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("network: dial: %w", context.Cause(ctx))
		}
		if started < len(addrs) {
			attempt(addrs[started])
			started++
			timer.Reset(headStart)
		}
	}
}
