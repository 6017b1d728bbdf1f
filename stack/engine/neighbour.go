package engine

import (
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Hop is where packets to an address go first.
type Hop struct {
	LocalMAC, RemoteMAC [6]byte
	MTU                 int        // of the route, in octets of IP packet
	Src                 netip.Addr // our address for it, where the caller has none
}

// RouteStatus says how good a Hop is.
type RouteStatus uint8

// The statuses.
const (
	RouteOK         RouteStatus = iota
	RouteUnresolved             // the neighbour is not known yet, and was asked for
	RouteImpossible             // there is no way through this link
)

// Router knows the way. Workers call it: it neither blocks nor allocates.
type Router interface {
	// Route returns the way from src, which may be invalid, to dst. With RouteUnresolved, MTU and
	// Src are valid all the same.
	Route(src, dst netip.Addr) (Hop, RouteStatus)
	// Generation changes whenever an answer of Route may have changed.
	Generation() uint64
}

// StaticRouter answers every question with one Hop: a link with one peer, such as a pipe.
type StaticRouter struct{ Hop Hop }

// Route returns the hop.
func (r *StaticRouter) Route(src, dst netip.Addr) (Hop, RouteStatus) {
	h := r.Hop
	if !h.Src.IsValid() {
		h.Src = src
	}
	return h, RouteOK
}

// Generation is always the same.
func (r *StaticRouter) Generation() uint64 { return 1 }

// way is how the packets of one connection go: a header made beforehand, and what it was
// made from.
type way struct {
	header     wire.Template
	generation uint64 // of the Router, when header was made
	known      bool   // header can be used
	asked      bool   // generation and retryAt mean something
	v6         bool
	mtu        int // of the link: what the path carries is for the core to know
	vlan       uint16
	ipID       uint16

	// Of a passive open: where its SYN came from. It is answered there while the neighbour
	// is unresolved, and where no route leads back through this link.
	fromMAC, toMAC [6]byte
	hasMAC         bool

	pathGeneration uint32 // of Engine.paths, when it was last asked

	retries int       // how often the route was asked for in vain
	retryAt mono.Time // when to ask again, or Never
}

// What an address costs besides the payload: IP and TCP headers without options.
const (
	overhead4 = 40
	overhead6 = 60
	mtuMax    = 65535
	mtuMin    = 576 // assumed where a Router says less than IPv4's minimum for hosts
)

// mss is the largest payload that the link carries, without options.
func (w *way) mss() int { return w.mtu - w.overhead() }

// leastMSS is what every path carries: links of IPv6 have 1280 octets and more (RFC 8200,
// section 5); for IPv4 the core knows.
func (w *way) leastMSS() uint16 {
	if w.v6 {
		return pathMin6 - overhead6
	}
	return 0
}

func (w *way) overhead() int {
	if w.v6 {
		return overhead6
	}
	return overhead4
}

// retryAfter is how long to wait before a route is asked for again: as long as an answer
// takes on a quick link at first, and in the end often enough to notice a peer that came up.
func retryAfter(tries int) time.Duration {
	steps := [...]time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500}
	return steps[min(tries, len(steps)-1)] * time.Millisecond
}

// route brings the way of c up to date, and says whether c can send. When it cannot, it has
// seen to it that c is asked again.
func (e *Engine) route(now mono.Time, c *Conn) bool {
	w := &c.way
	if w.pathGeneration != e.paths.generation && c.tcp.State() != tcp.StateClosed {
		e.followPath(now, c)
	}
	generation := e.router.Generation()
	if w.asked && w.generation == generation && now < w.retryAt {
		return w.known
	}
	local, remote := c.key.localAddr().Addr(), c.key.remoteAddr().Addr()
	hop, status := e.router.Route(local, remote)
	w.generation, w.asked = generation, true
	w.retryAt = mono.Never
	if status != RouteOK {
		w.retryAt = now.Add(retryAfter(w.retries))
		w.retries++
		if !w.hasMAC {
			e.noRoute(now, c, status)
			return w.known
		}
		hop.LocalMAC, hop.RemoteMAC = w.fromMAC, w.toMAC
	} else {
		w.retries = 0
	}
	e.setWay(now, c, &hop)
	return true
}

// noRoute takes note that c has no way to its peer.
func (e *Engine) noRoute(now mono.Time, c *Conn, status RouteStatus) {
	e.stats.RoutesHeld++
	// An attempt to connect ends; a connection waits for routes to come back.
	if status == RouteImpossible || !c.way.known && c.tcp.Age(now) >= resolveMax {
		c.tcp.Unreachable(now, false)
	}
}

// resolveMax is how long an attempt to connect waits for a neighbour that was never known: its
// SYN is not sent, and so no time-out runs. Linux asks three times, a second apart (arp(7),
// mcast_solicit).
const resolveMax = 3 * time.Second

// setWay makes the header that leads to hop.
func (e *Engine) setWay(now mono.Time, c *Conn, hop *Hop) {
	w := &c.way
	t, err := wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Dst: hop.RemoteMAC, Src: hop.LocalMAC, VLAN: w.vlan},
		Src: c.key.localAddr().Addr(), Dst: c.key.remoteAddr().Addr(),
	})
	if err != nil {
		// Both addresses come from one packet, or were checked by Connect.
		panic("BUG: engine: " + err.Error())
	}
	w.header, w.known = t, true
	was := w.mtu
	w.mtu = e.clampMTU(hop.MTU, was)
	if was != 0 && w.mtu < was && c.tcp.State() != tcp.StateClosed {
		c.tcp.SetLinkMSS(w.mss())
	}
}

// clampMTU limits a route's MTU to what the port sends. A hop that does not say keeps what was.
func (e *Engine) clampMTU(mtu, was int) int {
	room := min(e.info.PacketMax()-wire.EthernetVLANLen, mtuMax)
	if mtu <= 0 {
		mtu = was
	}
	if mtu <= 0 {
		mtu = room
	}
	return min(max(mtu, mtuMin), room)
}
