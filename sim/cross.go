package sim

import (
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// cross sends packets of no flow into a path, as CrossConstant and CrossOnOff describe. They
// take room and time of its queue, and nobody receives them.
type cross struct {
	net  *network
	no   int32 // among those of its network
	path int16
	cfg  CrossSpec
	rng  *rand.Rand
	gap  time.Duration // between two packets
	till mono.Time     // when the present turn ends
	tick func(now mono.Time)
	sent uint64
}

// addCross begins cross traffic on a path.
func (n *network) addCross(at int16, cfg CrossSpec, rng *rand.Rand) *cross {
	c := &cross{net: n, path: at, cfg: cfg, rng: rng, gap: transmission(cfg.Packet, cfg.Rate), till: mono.Never}
	if cfg.Kind == CrossOnOff {
		c.till = mono.Time(cfg.Start).Add(c.turn(cfg.On))
	}
	c.no = n.sources
	n.sources++
	c.tick = c.send
	// Not in step with flows that start at the same time.
	n.after(cfg.Start+time.Duration(rng.Int64N(int64(c.gap)+1)), c.tick)
	return c
}

// turn draws how long a turn is.
func (c *cross) turn(mean time.Duration) time.Duration {
	return time.Duration(c.rng.ExpFloat64() * float64(mean))
}

// send sends a packet, and sees to the next.
func (c *cross) send(now mono.Time) {
	if now >= mono.Time(c.cfg.Stop) {
		return
	}
	if now >= c.till {
		off := c.turn(c.cfg.Off)
		c.till = now.Add(off + c.turn(c.cfg.On))
		c.net.after(off, c.tick)
		return
	}
	c.sent++
	c.net.inject(c.path, c.no, c.cfg.Packet)
	c.net.after(c.gap, c.tick)
}

// inject puts a packet of a source of cross traffic into the queue of a path.
func (n *network) inject(at int16, source int32, octets int) {
	l := n.paths[at]
	switch {
	case l.down(n.now) || l.polices(n.now, octets):
		return
	case l.manager != nil:
		n.serve(at, -1-source, octets)
		return
	}
	if _, _, ok := l.enqueue(n.now, octets, false); !ok {
		l.stats.QueueDrops++
		l.log(QueueEvent{At: n.now, Kind: QueueDrop, Octets: octets})
	}
}
