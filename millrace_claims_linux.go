package millrace

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"syscall"

	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/loader/hostnet"
)

// nicClaimer claims addresses and flows of an interface: a port is reserved in the kernel,
// so that nobody else gets it, and then claimed from the XDP program. It implements
// stack.Claimer.
//
// Outgoing connections share reserved ports: one port serves as many connections as there
// are peers for it (RFC 6056, section 3.1), so that ten thousand connections to different
// peers do not need ten thousand sockets in the kernel.
type nicClaimer struct {
	prog *loader.Program
	nic  string // its name

	mu    sync.Mutex
	ports map[netip.AddrPort]*flowPort
	pools map[netip.Addr][]*flowPort // those of ports with a port that the kernel chose
}

// flowPort is a reserved local port and the peers that connections from it have.
type flowPort struct {
	local    netip.AddrPort
	reserved *hostnet.Reservation
	remotes  map[netip.AddrPort]struct{}
	pooled   bool
}

// Limits of the pool of ports.
const (
	// poolTries is how many ports of the pool are tried, at random, before another one is
	// reserved: with half of them free for a peer, 8 tries fail once in 256.
	poolTries = 8
	// fitTries is how many ports of the pool are tried, and then how many are reserved, to find one
	// whose answers arrive on the wanted queue: of 16 queues it is another one in an eighth of the
	// cases. A port that does not fit serves a later connection.
	fitTries = 32
	// poolIdle is how many ports without connections stay reserved.
	poolIdle = 64
)

func newNICClaimer(prog *loader.Program, nic string) *nicClaimer {
	return &nicClaimer{
		prog:  prog,
		nic:   nic,
		ports: make(map[netip.AddrPort]*flowPort),
		pools: make(map[netip.Addr][]*flowPort),
	}
}

// networkOf returns the name of the network whose wildcard a is, or "tcp".
func networkOf(a netip.Addr) string {
	switch {
	case a == netip.IPv4Unspecified():
		return "tcp4"
	case a == netip.IPv6Unspecified():
		return "tcp6"
	}
	return "tcp"
}

// ask reserves a port of the interface in the kernel, which wants to know on which one an address
// of one link is.
func (c *nicClaimer) ask(network string, local netip.AddrPort) (*hostnet.Reservation, error) {
	if a := local.Addr(); a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		local = netip.AddrPortFrom(a.WithZone(c.nic), local.Port())
	}
	return hostnet.ReservePort(network, local, c.nic)
}

// Listen reserves and claims a listening address.
func (c *nicClaimer) Listen(local netip.AddrPort) (netip.AddrPort, func(), error) {
	r, err := c.ask(networkOf(local.Addr()), local)
	if err != nil {
		return local, nil, err
	}
	addrs := r.Addrs()
	for i, a := range addrs {
		if err := c.prog.ClaimListen(a); err != nil {
			c.unlisten(r, addrs[:i])
			return local, nil, err
		}
	}
	local = netip.AddrPortFrom(local.Addr(), r.Addr().Port())
	return local, func() { c.unlisten(r, addrs) }, nil
}

// unlisten gives a listening address back. The program may be closed already.
func (c *nicClaimer) unlisten(r *hostnet.Reservation, claimed []netip.AddrPort) {
	for _, a := range claimed {
		_ = c.prog.ReleaseListen(a)
	}
	_ = r.Close()
}

// Flow reserves a port, if that is not done, and claims a connection.
func (c *nicClaimer) Flow(local, remote netip.AddrPort, fits func(netip.AddrPort) bool) (netip.AddrPort, func(), error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.port(local, remote, fits)
	if err != nil {
		return local, nil, err
	}
	if err := c.prog.ClaimFlow(p.local, remote); err != nil {
		c.trim(p)
		return local, nil, err
	}
	p.remotes[remote] = struct{}{}
	return p.local, func() { c.unflow(p, remote) }, nil
}

// port returns a reserved port from which there is no connection to remote, one that fits if it
// can be had.
func (c *nicClaimer) port(local, remote netip.AddrPort, fits func(netip.AddrPort) bool) (*flowPort, error) {
	if local.Port() != 0 {
		if p := c.ports[local]; p != nil {
			if _, taken := p.remotes[remote]; taken {
				return nil, fmt.Errorf("millrace: claim %v to %v: %w", local, remote, syscall.EADDRNOTAVAIL)
			}
			return p, nil
		}
		return c.reserve(local)
	}
	pool := c.pools[local.Addr()]
	tries := poolTries
	if fits != nil {
		tries = fitTries
	}
	for range min(tries, len(pool)) {
		p := pool[rand.IntN(len(pool))]
		if p.free(remote) && (fits == nil || fits(p.local)) {
			return p, nil
		}
	}
	p, err := c.reserve(local)
	for range fitTries - 1 {
		if err != nil || fits == nil || fits(p.local) {
			break
		}
		// What does not fit stays in the pool, if that is not full.
		c.trim(p)
		p, err = c.reserve(local)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return p, err
	}
	// The kernel has no more ports: look at all of ours.
	for _, p := range c.pools[local.Addr()] {
		if p.free(remote) {
			return p, nil
		}
	}
	return nil, err
}

// free says whether there is no connection from p to remote.
func (p *flowPort) free(remote netip.AddrPort) bool {
	_, taken := p.remotes[remote]
	return !taken
}

// reserve reserves a port; 0 is one that the kernel chooses, and goes to the pool.
func (c *nicClaimer) reserve(local netip.AddrPort) (*flowPort, error) {
	r, err := c.ask("tcp", local)
	if err != nil {
		return nil, err
	}
	p := &flowPort{
		local:    netip.AddrPortFrom(local.Addr(), r.Addr().Port()),
		reserved: r,
		remotes:  make(map[netip.AddrPort]struct{}),
		pooled:   local.Port() == 0,
	}
	c.ports[p.local] = p
	if p.pooled {
		c.pools[local.Addr()] = append(c.pools[local.Addr()], p)
	}
	return p, nil
}

func (c *nicClaimer) unflow(p *flowPort, remote netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.prog.ReleaseFlow(p.local, remote)
	delete(p.remotes, remote)
	c.trim(p)
}

// trim gives p back to the kernel if it has no connection and the pool is large enough.
func (c *nicClaimer) trim(p *flowPort) {
	pool := c.pools[p.local.Addr()]
	if len(p.remotes) > 0 || p.pooled && len(pool) <= poolIdle {
		return
	}
	delete(c.ports, p.local)
	for i, q := range pool {
		if q == p {
			pool[i] = pool[len(pool)-1]
			pool[len(pool)-1] = nil
			c.pools[p.local.Addr()] = pool[:len(pool)-1]
			break
		}
	}
	_ = p.reserved.Close()
}

// close gives all reservations back.
func (c *nicClaimer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.ports {
		_ = p.reserved.Close()
	}
	clear(c.ports)
	clear(c.pools)
}
