package stack

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/millrace-tcp/millrace/stack/engine"
)

// Claimer sees to it that packets come to the stack and that nobody else uses its ports. Its
// methods, and the functions they return, may block, and are called by any goroutine but a
// worker. An address that is the zero netip.Addr stands for all of both families.
type Claimer interface {
	// Listen claims what comes for local. With port 0 it chooses one. It returns what was
	// claimed.
	Listen(local netip.AddrPort) (claimed netip.AddrPort, release func(), err error)
	// Flow claims what comes from remote for local. With port 0 it chooses one, of which fits, if
	// it is not nil, says true, as far as that does not take long.
	Flow(local, remote netip.AddrPort, fits func(local netip.AddrPort) bool) (claimed netip.AddrPort, release func(), err error)
}

// claim is a listening address or a flow that is claimed, until the last of those that hold
// it has released it: the listener, and each connection that it made, or the one connection
// of a flow.
type claim struct {
	all     *claims
	addr    netip.AddrPort
	listen  bool
	bound   bool // a listener holds it; guarded by claims.mu
	refs    atomic.Int64
	release func()
	once    sync.Once
}

// Acquire adds a holder. There is one already.
func (c *claim) Acquire() { c.refs.Add(1) }

// Release takes a holder away. With the last, the claim ends, on another goroutine: workers
// call this, and the end of a claim may block.
func (c *claim) Release() {
	if c.refs.Add(-1) == 0 {
		c.all.end(c)
	}
}

// claims are those of a stack.
type claims struct {
	claimer Claimer
	mu      sync.Mutex // held over calls of the claimer; never taken by a worker
	listens map[netip.AddrPort]*claim
	closed  bool // nobody listens any more; guarded by mu

	endMu   sync.Mutex
	idle    sync.Cond // of endMu
	ending  []*claim
	running bool // a goroutine ends claims
}

func (cs *claims) init(c Claimer) {
	cs.claimer = c
	cs.listens = make(map[netip.AddrPort]*claim)
	cs.idle.L = &cs.endMu
}

// listen claims an address for a listener. One that is still held by connections of an
// earlier listener is taken over, as SO_REUSEADDR allows and servers that restart expect.
func (cs *claims) listen(addr netip.AddrPort) (*claim, error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, net.ErrClosed
	}
	if c := cs.listens[addr]; c != nil && addr.Port() != 0 {
		if c.bound {
			return nil, sysError("bind", syscall.EADDRINUSE)
		}
		for refs := c.refs.Load(); refs > 0; refs = c.refs.Load() {
			if c.refs.CompareAndSwap(refs, refs+1) {
				c.bound = true
				return c, nil
			}
		}
		// Its last holder has just gone: end it here rather than wait for that.
		cs.finish(c)
	}
	addr, release, err := cs.claimer.Listen(addr)
	if err != nil {
		return nil, err
	}
	c := &claim{all: cs, addr: addr, listen: true, bound: true, release: release}
	c.refs.Store(1)
	cs.listens[addr] = c
	return c, nil
}

// unbind ends the listener's hold, if close has not.
func (cs *claims) unbind(c *claim) {
	cs.mu.Lock()
	bound := c.bound
	c.bound = false
	cs.mu.Unlock()
	if bound {
		c.Release()
	}
}

// close ends the hold of every listener, for their owners need not close those of a stack that is
// closed, and refuses more.
func (cs *claims) close() {
	cs.mu.Lock()
	cs.closed = true
	var bound []*claim
	for _, c := range cs.listens {
		if c.bound {
			bound = append(bound, c)
			c.bound = false
		}
	}
	cs.mu.Unlock()
	for _, c := range bound {
		c.Release()
	}
}

// flow claims a connection.
func (cs *claims) flow(local, remote netip.AddrPort, fits func(netip.AddrPort) bool) (*claim, error) {
	local, release, err := cs.claimer.Flow(local, remote, fits)
	if err != nil {
		return nil, err
	}
	c := &claim{all: cs, addr: local, release: release}
	c.refs.Store(1)
	return c, nil
}

// end has c released on a goroutine of its own, of which there is at most one.
func (cs *claims) end(c *claim) {
	cs.endMu.Lock()
	defer cs.endMu.Unlock()
	cs.ending = append(cs.ending, c)
	if !cs.running {
		cs.running = true
		go cs.endAll()
	}
}

func (cs *claims) endAll() {
	for c := cs.nextEnding(); c != nil; c = cs.nextEnding() {
		if !c.listen {
			c.once.Do(c.release)
			continue
		}
		cs.mu.Lock()
		cs.finish(c)
		cs.mu.Unlock()
	}
}

// nextEnding returns the next claim to be ended; with none, the goroutine is over.
func (cs *claims) nextEnding() *claim {
	cs.endMu.Lock()
	defer cs.endMu.Unlock()
	if len(cs.ending) == 0 {
		cs.ending = nil
		cs.running = false
		cs.idle.Broadcast()
		return nil
	}
	c := cs.ending[0]
	cs.ending = cs.ending[1:]
	return c
}

// finish releases a listening address. The caller holds mu, so that none claims it anew
// between the look and the release.
func (cs *claims) finish(c *claim) {
	if cs.listens[c.addr] == c {
		delete(cs.listens, c.addr)
	}
	c.once.Do(c.release)
}

// wait returns when no claim is being ended.
func (cs *claims) wait() {
	cs.endMu.Lock()
	defer cs.endMu.Unlock()
	for cs.running {
		cs.idle.Wait()
	}
}

// portTable is the Claimer of a stack that shares its addresses with nobody.
type portTable struct {
	mu      sync.Mutex
	listens map[uint16][]netip.Addr
	flows   map[flow]struct{}
	ports   *engine.Ports
}

type flow struct{ local, remote netip.AddrPort }

func newPortTable(key [16]byte) *portTable {
	return &portTable{
		listens: make(map[uint16][]netip.Addr),
		flows:   make(map[flow]struct{}),
		ports:   engine.NewPorts(key),
	}
}

// Listen claims a port, if no listener's address overlaps.
func (t *portTable) Listen(local netip.AddrPort) (netip.AddrPort, func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	addr, port := local.Addr(), local.Port()
	free := func(p uint16) bool {
		for _, a := range t.listens[p] {
			if overlap(a, addr) {
				return false
			}
		}
		return true
	}
	ok := port != 0 && free(port)
	if port == 0 {
		port, ok = t.ports.Pick(netip.Addr{}, netip.AddrPort{}, func(p uint16) bool {
			return len(t.listens[p]) == 0
		})
	}
	if !ok {
		return local, nil, sysError("bind", syscall.EADDRINUSE)
	}
	t.listens[port] = append(t.listens[port], addr)
	return netip.AddrPortFrom(addr, port), func() { t.unlisten(addr, port) }, nil
}

func (t *portTable) unlisten(addr netip.Addr, port uint16) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := t.listens[port][:0]
	for _, a := range t.listens[port] {
		if a != addr {
			rest = append(rest, a)
		}
	}
	t.listens[port] = rest
	if len(rest) == 0 {
		delete(t.listens, port)
	}
}

// overlap says whether a packet could be for both a and b.
func overlap(a, b netip.Addr) bool {
	wild := func(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }
	switch {
	case !a.IsValid() || !b.IsValid():
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return wild(a) || wild(b) || a == b
}

// fitTries is how many free ports are looked at for one that fits: with 16 queues none of them
// does once in 62.
const fitTries = 64

// Flow claims a flow, if it is free; an ephemeral port is one on which nobody listens.
func (t *portTable) Flow(local, remote netip.AddrPort, fits func(netip.AddrPort) bool) (netip.AddrPort, func(), error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := flow{local, remote}
	free := func(p uint16) bool {
		f.local = netip.AddrPortFrom(local.Addr(), p)
		_, taken := t.flows[f]
		return !taken && (local.Port() != 0 || len(t.listens[p]) == 0)
	}
	ok := false
	if local.Port() != 0 {
		ok = free(local.Port())
	} else {
		tries := 0
		_, ok = t.ports.Pick(local.Addr(), remote, func(p uint16) bool {
			if !free(p) {
				return false
			}
			tries++
			return fits == nil || tries == fitTries || fits(f.local)
		})
		if !ok {
			_, ok = t.ports.Pick(local.Addr(), remote, free)
		}
	}
	if !ok {
		return local, nil, sysError("bind", syscall.EADDRNOTAVAIL)
	}
	t.flows[f] = struct{}{}
	return f.local, func() { t.unflow(f) }, nil
}

func (t *portTable) unflow(f flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.flows, f)
}
