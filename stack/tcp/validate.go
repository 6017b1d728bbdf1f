package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// IdlePolicy is what becomes of the window of a sender that had nothing, or little, to send:
// what it learnt of the path grows stale.
type IdlePolicy uint8

// The policies.
const (
	// IdleRestart takes it down to the initial window after one RTO of silence (RFC 5681,
	// section 4.1; Linux's tcp_slow_start_after_idle=1), and halves it every five minutes in
	// which less than half of it is used (RFC 7661). It is the default as long as there is no
	// pacing: a window kept through silence leaves in one burst.
	IdleRestart IdlePolicy = iota
	// IdleValidate is RFC 7661 alone: silence counts as using little.
	IdleValidate
	// IdleKeep keeps it (tcp_slow_start_after_idle=0).
	IdleKeep
)

// validation knows how much of the window was used of late: pipeACK of RFC 7661, the most that
// was acknowledged in a round trip over the last sampling periods.
type validation struct {
	round     int32 // octets acknowledged in this round trip
	now, last int32 // the most in a round trip of this sampling period, and of the one before
	// most and before are the most that was in flight at an ACK of this round trip, and of the one
	// before it.
	most, before int32
	periodAt     mono.Time
	since        mono.Time // when the window ceased to be validated; 0: it is
}

// nonValidatedMax is the Non-Validated Period of RFC 7661, section 4.
const nonValidatedMax = 5 * time.Minute

// pipeACK is "the volume of data acknowledged in an RTT, at most".
func (v *validation) pipeACK() int { return int(max(v.round, v.now, v.last)) }

// validate takes an ACK. https://www.rfc-editor.org/rfc/rfc7661.html#section-4.2
func (c *Conn) validate(now mono.Time) {
	v := &c.valid
	v.round += int32(c.ack.CumAcked)
	if c.ack.RoundStart {
		v.now = max(v.now, v.round)
		v.round = 0
		v.before, v.most = v.most, 0
	}
	v.most = max(v.most, int32(c.ack.PriorFlight))
	if now.Sub(v.periodAt) >= max(3*c.rtt.srtt, time.Second) {
		v.now, v.last, v.periodAt = 0, v.now, now
	}
	switch {
	case 2*max(v.pipeACK(), c.ack.PriorFlight) >= c.cwnd():
		v.since = 0
	case v.since == 0:
		v.since = now
	}
}

// cwndLimited says whether the congestion window was what held data back, of late, when flight
// octets are on their way. It was not where more than half of it stays empty: then it is the link
// that holds the sender back, which waits for frames and has not asked. Linux's
// tcp_is_cwnd_limited draws the line there, too.
//
// In slow start more than half is enough, whoever held it back: what was acknowledged in a round
// trip shows that the path carries it ("validated phase", pipeACK >= cwnd/2), and the window comes
// to no more than twice that. https://www.rfc-editor.org/rfc/rfc7661.html#section-4.3
// An algorithm that paces has no such slow start.
func (c *Conn) cwndLimited(flight int) bool {
	used := 2 * max(flight, int(c.valid.most), int(c.valid.before))
	if c.flow.InSlowStart() && c.flow.Pacing() == 0 && used > c.cwnd() {
		return true
	}
	return c.rec.cwndLimited && used >= c.cwnd()
}

// agePolicy is asked before new data is sent: is the window too old to be used whole?
func (c *Conn) agePolicy(now mono.Time) {
	if c.count.acked == 0 {
		return
	}
	idle := now.Sub(c.snd.sentAt)
	switch c.cfg.Idle {
	case IdleKeep:
	case IdleRestart:
		if c.board.len() == 0 && idle > c.rtt.rto {
			c.congestedIdle(now)
			c.valid.since = 0
		}
		c.ageWindow(now)
	case IdleValidate:
		if c.valid.since == 0 && c.board.len() == 0 && idle > c.rtt.rto {
			c.valid.since = c.snd.sentAt
		}
		c.ageWindow(now)
	}
}

// ageWindow is the adjustment at the end of each non-validated period: "ssthresh =
// max(ssthresh, 3*cwnd/4), cwnd = max(cwnd/2, IW)".
// https://www.rfc-editor.org/rfc/rfc7661.html#section-4.4.3
func (c *Conn) ageWindow(now mono.Time) {
	v := &c.valid
	f := &c.flow
	if c.ownsRecovery() {
		return
	}
	for v.since != 0 && now.Sub(v.since) >= nonValidatedMax {
		if f.Cwnd() <= f.IW {
			v.since = now
			return
		}
		v.since = v.since.Add(nonValidatedMax)
		f.SetSsthresh(max(f.Ssthresh(), f.Cwnd()/4*3))
		f.SetCwnd(max(f.Cwnd()/2, f.IW))
	}
}
