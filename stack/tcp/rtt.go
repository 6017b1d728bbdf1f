package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// clockGranularity is G of RFC 6298: what the timer wheel above rounds to.
const clockGranularity = time.Millisecond

// estimator computes the retransmission time-out (RFC 6298).
type estimator struct {
	srtt, rttvar time.Duration
	rto          time.Duration // without back-off
	low, high    time.Duration
	backoff      uint
	minRTT       time.Duration
	latest       time.Duration
	samples      uint64
}

func (e *estimator) init(cfg *Config) {
	e.rto = cfg.RTOInitial
	e.low, e.high = cfg.RTOMin, cfg.RTOMax
}

// sample takes one measurement of the round trip.
// https://www.rfc-editor.org/rfc/rfc6298.html#section-2
func (e *estimator) sample(r time.Duration) {
	r = max(r, 1)
	if e.samples == 0 {
		e.srtt, e.rttvar = r, r/2
	} else {
		e.rttvar += (max(e.srtt-r, r-e.srtt) - e.rttvar) / 4
		e.srtt += (r - e.srtt) / 8
	}
	if e.samples == 0 || r < e.minRTT {
		e.minRTT = r
	}
	e.latest = r
	e.samples++
	// The floor is of what is added to SRTT, as on Linux: where the round trip is longer than a
	// floor of 200 ms and steady, RTTVAR decays to nothing, and a time-out of little more than
	// SRTT would come just before each fast retransmission is answered. (RFC 6298, 2.4, has a
	// floor of a second, which is far above most round trips.)
	e.rto = min(e.srtt+max(clockGranularity, 4*e.rttvar, e.low), e.high)
	e.backoff = 0
}

// timeout returns the time-out with its back-off (5.5: "back off the timer").
func (e *estimator) timeout() time.Duration { return backedOff(e.rto, e.backoff, e.high) }

// backedOff doubles d n times, up to high.
func backedOff(d time.Duration, n uint, high time.Duration) time.Duration {
	for ; n > 0 && d < high; n-- {
		d *= 2
	}
	return min(d, high)
}

// takeRTT measures from an ACK that acknowledged new data: by the segment it acknowledges if
// that was sent once (Karn), else by the echoed timestamp.
func (c *Conn) takeRTT(now mono.Time, sentAt mono.Time, once bool, ecr uint32, hasEcr bool) time.Duration {
	switch {
	case once:
		r := now.Sub(sentAt)
		c.rtt.sample(r)
	case hasEcr && ecr != 0:
		ms := int32(c.timestampClock(now) - ecr)
		if ms < 0 || time.Duration(ms)*time.Millisecond > now.Sub(c.life.openedAt)+time.Millisecond {
			return 0
		}
		c.rtt.sample(time.Duration(max(ms, 1)) * time.Millisecond)
	default:
		return 0
	}
	f := &c.flow
	f.SRTT, f.RTTVar, f.MinRTT, f.LatestRTT = c.rtt.srtt, c.rtt.rttvar, c.rtt.minRTT, c.rtt.latest
	return c.rtt.latest
}

// rtoAfterSYNLoss is where the time-out starts if the SYN was lost and nothing was measured.
const rtoAfterSYNLoss = 3 * time.Second

// handshakeRTT measures the handshake. "If the timer expires awaiting the ACK of a SYN segment
// and the TCP implementation is using an RTO less than 3 seconds, the RTO MUST be
// re-initialized to 3 seconds when data transmission begins."
// https://www.rfc-editor.org/rfc/rfc6298.html#section-5 (5.7)
func (c *Conn) handshakeRTT(now mono.Time, seg *wire.Segment) {
	if c.count.unmeasured {
		return
	}
	hasEcr := c.rcv.tsOK && seg.Opt.Has&wire.HasTimestamps != 0
	r := c.takeRTT(now, c.snd.sentAt, c.count.synResent == 0, seg.Opt.TSEcr, hasEcr)
	if r == 0 {
		c.rtt.rto = max(c.rtt.rto, rtoAfterSYNLoss)
	}
}

// rtoRestartMax is how few segments must be on their way for the timer to be restarted from
// when the oldest was sent: too few for fast retransmit (rrthresh of RFC 7765, section 4).
const rtoRestartMax = 4

// restartedRTO is what the timer is restarted with: less what has passed since the oldest
// segment was sent, when there are few and no more to send.
// https://www.rfc-editor.org/rfc/rfc7765.html#section-4
func (c *Conn) restartedRTO(now mono.Time) time.Duration {
	rto := c.rtt.timeout()
	if c.board.len() >= rtoRestartMax || c.unsent() > 0 || c.rec.mode != modeOpen {
		return rto
	}
	if left := rto - now.Sub(c.board.first().at); left > 0 {
		return left
	}
	return rto
}
