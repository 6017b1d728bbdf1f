package sim

import (
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// PIE is the proportional integral controller enhanced (RFC 8033): packets that arrive are
// dropped, or marked, with a probability that follows the delay of the queue and how that
// changes.
type PIE struct {
	Target time.Duration // QDELAY_REF; 0: there is no PIE
}

// pieTarget is QDELAY_REF if none is given. https://www.rfc-editor.org/rfc/rfc8033.html#section-4.2
const pieTarget = 15 * time.Millisecond

// The other constants. https://www.rfc-editor.org/rfc/rfc8033.html#section-5
const (
	pieUpdate   = 15 * time.Millisecond  // T_UPDATE
	pieBurst    = 150 * time.Millisecond // MAX_BURST
	pieAlpha    = 0.125                  // 1/s
	pieBeta     = 1.25                   // 1/s
	pieMarkMost = 0.1                    // beyond which ECN-capable packets are dropped, too
)

// pie is PIE at work. Conversions in its formulas keep compilers from fusing operations, so
// that a run is the same on every machine.
type pie struct {
	cfg     PIE
	next    mono.Time // when the probability is next updated
	p       float64   // drop_prob
	last    time.Duration
	burst   time.Duration // burst_allowance: for how long nothing is dropped still
	account float64       // accu_prob: of the packets since the last that was dropped
}

func newPIE(cfg PIE) pie { return pie{cfg: cfg, next: mono.Time(pieUpdate), burst: pieBurst} }

// judge decides about a packet that finds octets in a queue which will be empty at free.
func (c *pie) judge(now, free mono.Time, octets int, ect bool, rng *rand.Rand) (mark, drop bool) {
	c.catchUp(now, free)
	switch {
	case c.burst > 0,
		c.last < c.cfg.Target/2 && c.p < 0.2,
		octets <= 2*MTU:
		// "Safeguard PIE to be work conserving".
		return false, false
	case c.p == 0:
		c.account = 0
		return false, false
	}
	// Hits are kept apart, and from not coming at all (section 5.4).
	c.account += c.p
	if c.account < 0.85 || c.account < 8.5 && rng.Float64() >= c.p {
		return false, false
	}
	c.account = 0
	if ect && c.p <= pieMarkMost {
		return true, false
	}
	return false, true
}

// catchUp makes the updates that are due. What waits drains meanwhile, and nothing has come
// since the packet before, so the delay at each of them is known.
func (c *pie) catchUp(now, free mono.Time) {
	for c.next <= now {
		delay := max(0, free.Sub(c.next))
		if delay == 0 && c.last == 0 && c.p < 1e-9 { // idle: no more than allowances are left to win
			c.p, c.burst = 0, pieBurst
			c.next += (now - c.next) / mono.Time(pieUpdate) * mono.Time(pieUpdate)
		} else {
			c.update(delay)
		}
		c.next = c.next.Add(pieUpdate)
	}
}

// update is the calculation of every T_UPDATE, section 4.2.
func (c *pie) update(delay time.Duration) {
	d := float64(pieAlpha*(delay-c.cfg.Target).Seconds()) + float64(pieBeta*(delay-c.last).Seconds())
	for _, below := range []struct{ p, by float64 }{{1e-6, 2048}, {1e-5, 512}, {1e-4, 128}, {1e-3, 32}, {1e-2, 8}, {1e-1, 2}} {
		if c.p < below.p {
			d /= below.by
			break
		}
	}
	if c.p >= 0.1 { // section 5.5
		d = min(d, 0.02)
	}
	c.p += d
	if delay == 0 && c.last == 0 {
		c.p *= 0.98
	}
	c.p = min(max(c.p, 0), 1)
	c.burst = max(0, c.burst-pieUpdate)
	if c.p == 0 && delay < c.cfg.Target/2 && c.last < c.cfg.Target/2 {
		c.burst = pieBurst
	}
	c.last = delay
}
