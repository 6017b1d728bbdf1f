package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// pacer spreads what is sent over time: a bucket of a quantum's depth that fills at the rate
// of the algorithm, or of the application, whichever is less. A segment with data leaves when
// the bucket holds as much; payload counts, headers do not. What waits is let go when three
// quarters of a quantum have gathered, or as much as there is, so that a timer that fires late
// by a quarter of a quantum costs no throughput, and none lets more than a quantum go at once.
//
// Time is exact: what a division leaves over is carried on, so that the rate holds at 1 kbit/s
// as at 100 Gbit/s.
type pacer struct {
	rate    int64         // octets a second; 0: nothing was paced yet
	asked   int           // the quantum that the algorithm asked for, 0: none
	mss     int           // when depth was reckoned
	quantum int           // the most octets that leave at once
	depth   time.Duration // how long an empty bucket takes to fill
	full    mono.Time     // when it is full again
	rest    int64         // what the last division left over, in 1/rate ns
	held    bool          // it holds data back, as of the last call of Output
	own     int64         // the rate that the stack derives from the window, see Config.Pace
}

// quantumMax is the largest quantum that is not asked for: at 10 Gbit/s 52 µs.
const quantumMax = 64 << 10

// quantumFor is a millisecond's worth, but two segments at least (draft-ietf-ccwg-bbr,
// section 4.6.3; Linux's tcp_tso_autosize).
func quantumFor(rate int64, mss int) int {
	return int(min(max(rate/1000, int64(2*mss)), max(quantumMax, int64(2*mss))))
}

// set takes over a rate and what else the bucket depends on. It says whether anything changed.
// What was sent and has not drained yet drains at the new rate.
func (p *pacer) set(now mono.Time, rate int64, asked, mss int) bool {
	if p.rate == rate && p.asked == asked && p.mss == mss {
		return false
	}
	if p.full > now && p.rate != rate {
		// No overflow: time times rate is octets times 10^9, and octets are a quantum at most.
		p.full, p.rest = now.Add(time.Duration(int64(p.full.Sub(now))*p.rate/rate)), 0
	}
	p.rate, p.asked, p.mss = rate, asked, mss
	p.quantum = max(asked, mss)
	if asked == 0 {
		p.quantum = quantumFor(rate, mss)
	}
	p.depth = p.cost(p.quantum)
	return true
}

// cost is how long octets take at the rate.
func (p *pacer) cost(octets int) time.Duration {
	return time.Duration((int64(octets)*int64(time.Second) + p.rest) / p.rate)
}

// due returns when a segment of n octets may leave: now, or later when as much of what waits
// as is worth waking up for can go with it.
func (p *pacer) due(now mono.Time, n, waiting int) mono.Time {
	if p.full <= now {
		return now
	}
	c := p.cost(n)
	if p.full.Add(c-max(p.depth, c)) <= now {
		return now
	}
	c = p.cost(max(n, min(waiting, p.quantum/4*3)))
	return p.full.Add(c - max(p.depth, c))
}

// sent takes n octets out of the bucket.
func (p *pacer) sent(now mono.Time, n int) {
	t := int64(n)*int64(time.Second) + p.rest
	p.full = max(p.full, now).Add(time.Duration(t / p.rate))
	p.rest = t % p.rate
}

// pacingRate is the rate in force; 0: nothing is paced.
func (c *Conn) pacingRate() int64 {
	rate, limit := c.flow.Pacing(), c.opt.pacingMax
	if rate == 0 && c.pace != nil {
		rate = c.pace.own
	}
	if limit > 0 && (rate == 0 || limit < rate) {
		rate = limit
	}
	return rate
}

// paced says whether a segment of n octets may leave now. If not, the timer is armed for when
// it may; until then nothing with data leaves, unless the rate changes.
func (c *Conn) paced(now mono.Time, n int) bool {
	if c.pace == nil && c.flow.Pacing() == 0 && c.opt.pacingMax == 0 {
		return true
	}
	return c.pacedAt(now, c.pacingRate(), n)
}

func (c *Conn) pacedAt(now mono.Time, rate int64, n int) bool {
	if rate == 0 {
		return true
	}
	if c.pace == nil {
		c.pace = new(pacer)
	}
	p, timer := c.pace, &c.timers[timerPace]
	if p.set(now, rate, c.flow.Quantum(), c.flow.MSS) {
		*timer = mono.Never
	}
	if *timer == mono.Never || *timer <= now {
		*timer = mono.Never
		room := max(n, c.sendWindow()-c.pipe())
		at := p.due(now, n, min(c.unsent()+c.board.lost, room))
		if at <= now {
			return true
		}
		*timer = at
	}
	p.held = true
	// Who is held far below the window is not limited by it.
	if 2*c.pipe() < c.cwnd() {
		c.rec.cwndLimited = false
	}
	c.limitedBy(now, congestion.LimitPacing)
	return false
}

// Paced says whether the pacer holds data back, as of the last Output.
func (c *Conn) Paced() bool { return c.pace != nil && c.pace.held }

// notePaced counts n octets that leave.
func (c *Conn) notePaced(now mono.Time, n int) {
	if c.pace.rate > 0 && c.pacingRate() != 0 {
		c.pace.sent(now, n)
	}
}

// The rates that Config.Pace derives from the window, in percent of a window a round trip:
// Linux's tcp_pacing_ss_ratio and tcp_pacing_ca_ratio.
const (
	paceSlowStart = 200
	paceAvoidance = 120
)

// paceWindow derives the rate that Config.Pace asks for.
func (c *Conn) paceWindow() {
	if c.rtt.srtt == 0 {
		return
	}
	if c.pace == nil {
		c.pace = new(pacer)
	}
	ratio := int64(paceAvoidance)
	if c.flow.Cwnd() < c.flow.Ssthresh()/2 {
		ratio = paceSlowStart
	}
	// A window is at most 2^30 octets: the product fits.
	window := int64(max(c.cwnd(), c.pipe())) * ratio / 100
	c.pace.own = max(congestion.PacingMin, window*int64(time.Second)/max(int64(c.rtt.srtt), 1))
}

// SetPacingMax bounds the rate, in octets of payload a second, at which data leaves, whatever
// the algorithm asks for (Linux's SO_MAX_PACING_RATE); 0 leaves it to the algorithm.
func (c *Conn) SetPacingMax(octetsPerSec int64) {
	if octetsPerSec != 0 {
		octetsPerSec = min(max(octetsPerSec, congestion.PacingMin), congestion.PacingMax)
	}
	c.opt.pacingMax = octetsPerSec
	c.timers[timerPace] = mono.Never
}
