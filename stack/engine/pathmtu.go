package engine

import (
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// paths is what is known of the paths to destinations: what routers have said, and what
// connections have found out. New connections start from it, and what one learns serves all.
// It belongs to the engine. https://www.rfc-editor.org/rfc/rfc1191.html#section-6.2
type paths struct {
	known map[netip.Addr]pathMTU
	// generation changes whenever an MTU is lowered: connections look when they next send.
	generation uint32
}

// pathMTU is what the path to one destination carries, in octets of IP packet.
type pathMTU struct {
	mtu   int
	until mono.Time
}

const (
	// pathLasts is how long it is believed: what RFC 1191, section 6.3, and RFC 8201, section 5.3,
	// recommend before a larger one is tried.
	pathLasts = 10 * time.Minute
	// pathsMax bounds the destinations: with 40 octets each and the map's own cost less than
	// 128 KiB. Beyond, the one that is forgotten soonest goes.
	pathsMax = 1024
)

// lookup returns the MTU of the path to dst, or 0 if nothing is known.
func (p *paths) lookup(now mono.Time, dst netip.Addr) int {
	m, ok := p.known[dst]
	switch {
	case !ok:
		return 0
	case now >= m.until:
		delete(p.known, dst)
		return 0
	}
	return m.mtu
}

// learn takes note that the path to dst carries mtu, and says whether another had to go for it.
func (p *paths) learn(now mono.Time, dst netip.Addr, mtu int) (evicted bool) {
	if p.known == nil {
		p.known = make(map[netip.Addr]pathMTU)
	}
	before, ok := p.known[dst]
	if !ok && len(p.known) >= pathsMax {
		p.evict()
		evicted = true
	}
	if !ok || mtu < before.mtu {
		p.generation++
	}
	p.known[dst] = pathMTU{mtu: mtu, until: now.Add(pathLasts)}
	return evicted
}

// evict drops the path that would be forgotten first; of several, that of the least address,
// so that the same calls have the same end.
func (p *paths) evict() {
	var oldest netip.Addr
	at := mono.Never
	for dst, m := range p.known {
		if m.until < at || m.until == at && dst.Less(oldest) {
			oldest, at = dst, m.until
		}
	}
	delete(p.known, oldest)
}

// learnPath takes what c, or a router on its way, has to say of the path.
func (e *Engine) learnPath(now mono.Time, c *Conn, mtu int) {
	if e.paths.learn(now, c.key.remoteAddr().Addr(), mtu) {
		e.stats.PathMTUEvicted++
	}
}

// followPath has c send no more than the path to its peer is known to carry.
func (e *Engine) followPath(now mono.Time, c *Conn) {
	w := &c.way
	w.pathGeneration = e.paths.generation
	mtu := e.paths.lookup(now, c.key.remoteAddr().Addr())
	if mss := mtu - w.overhead(); mtu > 0 && mss < c.tcp.PathMSS() {
		c.tcp.SetPathMSS(now, mss)
	}
}
