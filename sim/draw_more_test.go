package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// more draws what came later than the rest, from a stream of its own, so that seeds which
// have shown a bug keep their paths and applications.
func (d drawer) more(cfg *scenarioConfig, hostile bool) {
	for _, h := range []*hostOptions{&cfg.a, &cfg.b} {
		d.moreHost(h)
		if hostile && d.chance(0.2) {
			h.keepIdle = 0
		}
	}
	for _, p := range []*PathConfig{&cfg.there, &cfg.back} {
		if d.chance(0.3) {
			p.CEThreshold = time.Duration(d.between(100e3, 50e6))
		}
		if d.chance(0.15) {
			d.narrows(p, cfg.v6)
		}
		if hostile && d.chance(0.15) {
			p.Squeeze = d.between(0.001, 0.3)
		}
	}
}

func (d drawer) moreHost(h *hostOptions) {
	if d.chance(0.4) {
		h.tcp.ECN = tcp.ECNMode(d.IntN(int(tcp.ECNAccurate) + 1))
	}
	if d.chance(0.3) {
		grains := []time.Duration{time.Millisecond, 4 * time.Millisecond, 10 * time.Millisecond}
		h.grain = grains[d.IntN(len(grains))]
	}
	if d.chance(0.5) {
		h.recvMax = int(d.between(float64(h.recvBuffer), 4<<20))
		h.sendMax = int(d.between(float64(h.sendBuffer), 4<<20))
	}
	if d.chance(0.1) {
		h.userTimeout = time.Duration(d.between(float64(time.Second), float64(10*time.Minute)))
	}
}

// narrows draws a path that carries less from some time on. A router may say any MTU; where
// none says anything, the search goes down to 1024 octets and their headers.
func (d drawer) narrows(p *PathConfig, v6 bool) {
	p.Narrows.From = mono.Time(d.upTo(30 * time.Second))
	p.Narrows.Tells = d.chance(0.5)
	least := 1100
	switch {
	case v6:
		least = 1280
	case p.Narrows.Tells:
		least = 576
	}
	p.Narrows.MTU = least + d.IntN(1500-least+1)
}
