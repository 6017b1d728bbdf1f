package sim

import (
	"net/netip"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// router is what a host knows of the way out: one hop, whose MTU may change and whose
// neighbour may not be known at first.
type router struct {
	net        *network
	hop        engine.Hop
	generation uint64
	known      mono.Time // when the neighbour answers
}

// Route returns the hop.
func (r *router) Route(_, _ netip.Addr) (engine.Hop, engine.RouteStatus) {
	if r.net.now < r.known {
		return engine.Hop{MTU: r.hop.MTU, Src: r.hop.Src}, engine.RouteUnresolved
	}
	return r.hop, engine.RouteOK
}

// Generation changes with the MTU.
func (r *router) Generation() uint64 { return r.generation }

// setMTU changes the MTU of all that the host sends from now on.
func (h *host) setMTU(mtu int) {
	h.router.hop.MTU = mtu
	h.router.generation++
	h.dirty = true
}
