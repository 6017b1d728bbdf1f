package stack

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// Dialer says how to connect. Of the zero value only Stack must be set.
type Dialer struct {
	Stack *Stack
	// LocalAddr is a *net.TCPAddr to dial from; nil is an address that the route gives, and
	// an ephemeral port.
	LocalAddr net.Addr
	// Timeout and Deadline bound the attempt, besides the context.
	Timeout  time.Duration
	Deadline time.Time
	// Congestion makes the congestion control of the connection.
	Congestion func() congestion.Algorithm
	// KeepAliveConfig is that of the connection. The zero value is off.
	KeepAliveConfig net.KeepAliveConfig
	// RecvBuffer and SendBuffer replace those of the stack's Config.
	RecvBuffer, SendBuffer int
	// Nagle turns Nagle's algorithm on, which is off as in package net.
	Nagle bool
	// Resolver looks up host names; nil is net.DefaultResolver. Its queries go by the
	// kernel's network.
	Resolver *net.Resolver
}

// Dial connects to a host and port of "tcp", "tcp4" or "tcp6".
func (s *Stack) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// DialContext is Dial with a context that bounds the attempt. It fits http.Transport.
func (s *Stack) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return Dialer{Stack: s}.DialContext(ctx, network, address)
}

// Dial connects to address.
func (d Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects to address. A name with several addresses is tried one by one.
func (d Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	if !d.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, d.Deadline)
		defer cancel()
	}
	remotes, err := remoteAddresses(ctx, d.Resolver, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addressOf(address), Err: contextError(err)}
	}
	var first error
	for _, remote := range remotes {
		c, err := d.dial(ctx, remote)
		if err == nil {
			return c, nil
		}
		if first == nil {
			to := tcpAddr(remote)
			first = &net.OpError{Op: "dial", Net: network, Source: d.LocalAddr, Addr: &to, Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// dial makes one attempt.
func (d Dialer) dial(ctx context.Context, remote netip.AddrPort) (*Conn, error) {
	s := d.Stack
	if err := ctx.Err(); err != nil {
		return nil, contextError(err)
	}
	if s.closed.Load() {
		return nil, s.closedError()
	}
	local, err := d.local(remote)
	if err != nil {
		return nil, err
	}
	c, err := d.open(local, remote)
	if err != nil {
		return nil, err
	}
	if err := c.awaitOpen(ctx); err != nil {
		c.sock.Retire()
		c.c.PostAbort()
		return nil, err
	}
	return c, nil
}

// open claims a flow and has its SYN sent, by the worker on whose queue the answers will come if
// that is known beforehand, else by that with the fewest connections.
func (d Dialer) open(local, remote netip.AddrPort) (*Conn, error) {
	s := d.Stack
	i := s.idlest()
	s.workers[i].dialing.Add(1)
	defer s.workers[i].dialing.Add(-1)
	cl, err := s.claims.flow(local, remote, s.fits(i, remote))
	if err != nil {
		return nil, err
	}
	if s.cfg.Steer != nil {
		if queue, known := s.cfg.Steer(cl.addr, remote); known && queue < len(s.workers) {
			i = queue
		}
	}
	c := s.newConn(s.workers[i])
	c.young.waits = youngWaits
	if err := d.connect(c, cl, remote); err != nil {
		cl.Release()
		return nil, err
	}
	return c, nil
}

// idlest returns the number of the worker that has the fewest connections; those that are about
// to be made count too. Among equals they take turns.
func (s *Stack) idlest() int {
	n := len(s.workers)
	first := int(s.next.Add(1)) % n
	least := first
	for i := range n {
		at := (first + i) % n
		if s.workers[at].load() < s.workers[least].load() {
			least = at
		}
	}
	return least
}

// fits returns what says of a local address whether what remote sends there arrives on queue i,
// or nil where that cannot be told.
func (s *Stack) fits(i int, remote netip.AddrPort) func(local netip.AddrPort) bool {
	if s.cfg.Steer == nil {
		return nil
	}
	return func(local netip.AddrPort) bool {
		queue, known := s.cfg.Steer(local, remote)
		return !known || queue == i
	}
}

// local returns the address to dial from.
func (d Dialer) local(remote netip.AddrPort) (netip.AddrPort, error) {
	var local netip.AddrPort
	if d.LocalAddr != nil {
		a, ok := d.LocalAddr.(*net.TCPAddr)
		if !ok {
			return local, &net.AddrError{Err: "is not a TCP address", Addr: d.LocalAddr.String()}
		}
		local = a.AddrPort()
	}
	addr := local.Addr().Unmap().WithZone("")
	if wildcard(addr) {
		hop, status := d.Stack.cfg.Router.Route(netip.Addr{}, remote.Addr())
		if status == engine.RouteImpossible || !hop.Src.IsValid() {
			return local, sysError("connect", syscall.EHOSTUNREACH)
		}
		addr = hop.Src
	}
	if !d.Stack.cfg.Addrs.Has(addr) {
		return local, errNotOurs()
	}
	return netip.AddrPortFrom(addr, local.Port()), nil
}

// connect has the worker send the SYN.
func (d Dialer) connect(c *Conn, cl *claim, remote netip.AddrPort) error {
	o := c.s.options(d.Congestion, d.KeepAliveConfig, d.RecvBuffer, d.SendBuffer, d.Nagle)
	o.Claim, o.Observer = cl, c
	result := make(chan error, 1)
	if !c.w.do(func(now mono.Time) {
		ec, err := c.w.e.Connect(now, engine.ConnectConfig{Local: cl.addr, Remote: remote, Options: o})
		if err == nil {
			c.bind(ec)
		}
		result <- err
	}) {
		return net.ErrClosed
	}
	if err := <-result; err != nil {
		return engineError("connect", err)
	}
	return nil
}

// awaitOpen returns when the handshake is done, or the context, or the attempt has failed.
func (c *Conn) awaitOpen(ctx context.Context) error {
	defer context.AfterFunc(ctx, c.wr.open)()
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	for {
		status := c.c.Status()
		switch {
		case status.Open():
			return nil
		case status.Gone():
			return c.goneError("connect", status)
		case ctx.Err() != nil:
			return contextError(ctx.Err())
		}
		ready := func() bool {
			s := c.c.Status()
			return s.Open() || s.Gone() || ctx.Err() != nil
		}
		// With several queues the worker may become another one while we look at it.
		if len(c.s.workers) == 1 {
			c.w.guessFor(&c.wr, ready)
			c.w.beforeWait()
		}
		c.wr.wait(ready)
	}
}

func errNotOurs() error { return sysError("bind", syscall.EADDRNOTAVAIL) }

// family says which addresses a network has.
func family(network string) (v4, v6 bool, err error) {
	switch network {
	case "tcp":
		return true, true, nil
	case "tcp4":
		return true, false, nil
	case "tcp6":
		return false, true, nil
	}
	return false, false, errUnknownNetwork(network)
}

// localAddress reads an address to listen on. The zero netip.Addr is all of both families.
func localAddress(ctx context.Context, network, address string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	v4, v6, err := family(network)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := lookUpPort(ctx, nil, network, service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var addr netip.Addr
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, &net.AddrError{Err: "is not an IP address", Addr: host}
		}
		addr = addr.Unmap().WithZone("") // the link is ours
	}
	switch {
	case wildcard(addr) && v4 && v6 && (!addr.IsValid() || addr.Is6()):
		addr = netip.Addr{}
	case !addr.IsValid() && v4:
		addr = netip.IPv4Unspecified()
	case !addr.IsValid():
		addr = netip.IPv6Unspecified()
	case addr.Is4() && !v4, addr.Is6() && !v6:
		return netip.AddrPort{}, &net.AddrError{Err: "is not an address of " + network, Addr: host}
	}
	return netip.AddrPortFrom(addr, port), nil
}

// remoteAddresses looks up an address to connect to.
func remoteAddresses(ctx context.Context, r *net.Resolver, network, address string) ([]netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	v4, v6, err := family(network)
	if err != nil {
		return nil, err
	}
	port, err := lookUpPort(ctx, r, network, service)
	if err != nil {
		return nil, err
	}
	addrs := []netip.Addr{}
	if a, err := netip.ParseAddr(host); err == nil {
		addrs = append(addrs, a)
	} else {
		if r == nil {
			r = net.DefaultResolver
		}
		if addrs, err = r.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	var all []netip.AddrPort
	for _, a := range addrs {
		a = a.Unmap().WithZone("")
		if a.Is4() && v4 || a.Is6() && v6 {
			all = append(all, netip.AddrPortFrom(a, port))
		}
	}
	if len(all) == 0 {
		return nil, &net.AddrError{Err: "no suitable address found", Addr: host}
	}
	return all, nil
}

// lookUpPort reads a port, which may be the name of a service.
func lookUpPort(ctx context.Context, r *net.Resolver, network, service string) (uint16, error) {
	if n, err := strconv.ParseUint(service, 10, 16); err == nil {
		return uint16(n), nil
	}
	if r == nil {
		r = net.DefaultResolver
	}
	n, err := r.LookupPort(ctx, network, service)
	return uint16(n), err
}
