// Package cubic is CUBIC congestion control (RFC 9438): after a reduction the window grows
// with the cube of the time since, fast at first, slowly around the size at which it was
// reduced, and fast again beyond. On short paths it grows as Reno would. Slow start is
// HyStart++ (RFC 9406).
package cubic

import (
	"cmp"
	"math"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/hystart"
	"github.com/millrace-tcp/millrace/mono"
)

// The defaults. https://www.rfc-editor.org/rfc/rfc9438.html#section-5
const (
	CDefault    = 0.4
	BetaDefault = 0.7
)

// limitDefault is L of RFC 3465, which bounds what an ACK adds in slow start without HyStart++.
const limitDefault = 2

// Config says how CUBIC is made. The zero value is what New returns.
type Config struct {
	// C is how aggressive the growth is, in segments a second cubed; CDefault if 0.
	C float64
	// Beta is what a reduction leaves of the window, above 0 and below 1; BetaDefault if 0.
	Beta float64
	// NoFastConvergence keeps what a shrinking flow would leave to new ones.
	NoFastConvergence bool
	// Limit is L, the most segments that one ACK adds in slow start; 0 is hystart.LimitDefault with
	// HyStart++, and 2 without (RFC 3465).
	Limit int
	// NoHyStart takes the slow start of RFC 5681, which ends with a loss.
	NoHyStart bool
}

// Cubic is the state of one connection. Windows are octets, with their fractions: what an
// ACK adds is often less than one.
type Cubic struct {
	cfg   Config
	alpha float64 // increase of W_est that makes it as large as Reno's window on average
	slow  hystart.HyStart

	now      epoch
	before   epoch     // as it was before the last episode, should that prove spurious
	ackedAt  mono.Time // of the last ACK
	cwndLast int       // the window that this algorithm set last
	fraction float64   // of an octet, on top of it
}

// epoch is a stage of congestion avoidance, and what it inherits from the one before.
type epoch struct {
	begun bool
	t     time.Duration // since it began, without the time limited by the application
	k     time.Duration // until the window is wMax again
	wMax  float64       // 0: there was no reduction that tells
	wEst  float64       // the window that Reno would have
	prior float64       // cwnd_prior: the window at the last reduction
}

// New returns CUBIC with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.C <= 0 {
		cfg.C = CDefault
	}
	if cfg.Beta <= 0 || cfg.Beta >= 1 {
		cfg.Beta = BetaDefault
	}
	return &Cubic{cfg: cfg, alpha: 3 * (1 - cfg.Beta) / (1 + cfg.Beta)}
}

// New returns CUBIC with the defaults of the RFC.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "cubic".
func (c *Cubic) Name() string { return "cubic" }

// Init starts from the window that the stack has set.
func (c *Cubic) Init(_ *congestion.Flow, now mono.Time) {
	*c = Cubic{cfg: c.cfg, alpha: c.alpha, ackedAt: now, slow: hystart.HyStart{Limit: c.cfg.Limit}}
}

// Adopt takes over a connection whose window another algorithm has found: a plateau begins
// there. From CUBIC, as with other options, the curve goes on.
func (c *Cubic) Adopt(f *congestion.Flow, now mono.Time, from congestion.State) {
	c.Init(f, now)
	if f.Ssthresh() < congestion.SsthreshMax {
		c.slow.Stop() // the initial slow start is over
	}
	if old, ok := from.From.(*Cubic); ok {
		c.now, c.before, c.slow = old.now, old.before, old.slow
		c.cwndLast, c.fraction = old.cwndLast, old.fraction
	}
}

// OnAck grows the window.
func (c *Cubic) OnAck(f *congestion.Flow, a *congestion.Ack) {
	passed := a.Now.Sub(c.ackedAt)
	c.ackedAt = a.Now
	if a.InRecovery {
		return
	}
	if f.InSlowStart() {
		c.slowStart(f, a)
		return
	}
	// "the elapsed time t ... MUST NOT include periods during which cwnd has not been updated
	// due to application-limited behavior": neither when the ACK says so, nor when nothing was
	// outstanding for a while. https://www.rfc-editor.org/rfc/rfc9438.html#section-4.2
	if !a.CwndLimited {
		return
	}
	cwnd := c.window(f)
	e := &c.now
	if !e.begun {
		e.begin(cwnd, c.cfg.C*float64(f.MSS))
	} else {
		e.t += min(passed, f.SRTT+4*f.RTTVar)
	}
	c.setWindow(f, c.grown(f, cwnd, min(a.CumAcked, f.Cwnd())))
}

func (c *Cubic) slowStart(f *congestion.Flow, a *congestion.Ack) {
	c.now.begun = false
	switch {
	case !c.cfg.NoHyStart:
		c.slow.OnAck(f, a)
	case a.CwndLimited:
		f.SetCwnd(min(f.Cwnd()+min(a.CumAcked, cmp.Or(c.cfg.Limit, limitDefault)*f.MSS), congestion.CwndMax))
	}
}

// begin starts a stage of congestion avoidance with a window of cwnd. After a time-out, and
// after a slow start that no loss ended, "K is set to 0, and W_max is set to the congestion
// window size at the beginning". https://www.rfc-editor.org/rfc/rfc9438.html#section-4.8
// cube is C in octets a second cubed.
func (e *epoch) begin(cwnd, cube float64) {
	e.begun, e.t, e.k, e.wEst = true, 0, 0, cwnd
	if e.wMax <= cwnd {
		e.wMax = cwnd
		return
	}
	e.k = time.Duration(math.Round(math.Cbrt((e.wMax-cwnd)/cube) * 1e9))
}

// cubic is W_cubic: C * (t - K)^3 + W_max. The conversions keep compilers from fusing
// operations, so that the same run has the same result on every machine.
// https://www.rfc-editor.org/rfc/rfc9438.html#section-4.2
func (e *epoch) cubic(t time.Duration, cube float64) float64 {
	d := float64(t-e.k) * 1e-9
	return float64(float64(float64(cube*d)*d)*d) + e.wMax
}

// grown is the window after an ACK of octets, in congestion avoidance.
func (c *Cubic) grown(f *congestion.Flow, cwnd float64, octets int) float64 {
	e := &c.now
	cube := c.cfg.C * float64(f.MSS)
	share := float64(octets) / cwnd
	// "Once W_est has grown to reach the cwnd at the time of most recently setting ssthresh
	// ... the sender SHOULD set α_cubic to 1".
	// https://www.rfc-editor.org/rfc/rfc9438.html#section-4.3
	alpha := c.alpha
	if e.wEst >= e.prior {
		alpha = 1
	}
	e.wEst += float64(float64(alpha*float64(f.MSS)) * share)
	if e.cubic(e.t, cube) < e.wEst {
		return max(cwnd, e.wEst)
	}
	target := min(max(e.cubic(e.t+f.SRTT, cube), cwnd), 1.5*cwnd)
	return cwnd + float64((target-cwnd)*share)
}

// OnCongestion reduces the window. https://www.rfc-editor.org/rfc/rfc9438.html#section-4.6
func (c *Cubic) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	if e.Cause == congestion.CauseIdle {
		c.now.begun = false
		c.setWindow(f, float64(min(f.Cwnd(), f.IW)))
		return
	}
	if e.Cause != congestion.CauseECN { // a mark is no mistake
		c.before = c.now
	}
	c.slow.Stop()
	n := &c.now
	n.begun = false
	// Flight counts what was reported by SACK, too. Where one episode follows the other that is
	// more than the window let out, and it would grow by loss.
	n.prior = float64(min(e.Flight, f.Cwnd()))
	left := float64(n.prior * c.cfg.Beta)
	switch {
	case e.Cause == congestion.CauseRTO:
		n.wMax = 0
	case !c.cfg.NoFastConvergence && n.prior < n.wMax:
		// "W_max = cwnd * (1 + β_cubic)/2", fast convergence.
		// https://www.rfc-editor.org/rfc/rfc9438.html#section-4.7
		n.wMax = n.prior * (1 + c.cfg.Beta) / 2
	default:
		n.wMax = n.prior
	}
	// "cwnd = max(ssthresh, 2)" on loss, "max(ssthresh, 1)" on ECE; ssthresh is at least 2.
	least := 2
	if e.Cause == congestion.CauseECN {
		least = 1
	}
	f.SetSsthresh(max(int(left), 2*f.MSS))
	c.setWindow(f, max(left, float64(least*f.MSS)))
}

// Undo goes back to before the last episode, unless the window has become larger than it was then:
// "CUBIC SHOULD continue to use the current and the most recent values of these variables."
// https://www.rfc-editor.org/rfc/rfc9438.html#section-4.9.2
func (c *Cubic) Undo(f *congestion.Flow) {
	if float64(f.Cwnd()) < c.now.prior {
		c.now = c.before
	}
}

// Inspect shows the curve: Wmax and W_est in octets, K and t in seconds.
func (c *Cubic) Inspect(v []congestion.Value) []congestion.Value {
	css := 0.0
	if c.slow.Conservative() {
		css = 1
	}
	return append(v,
		congestion.Value{Name: "w_max", Number: c.now.wMax},
		congestion.Value{Name: "w_est", Number: c.now.wEst},
		congestion.Value{Name: "k_s", Number: c.now.k.Seconds()},
		congestion.Value{Name: "t_s", Number: c.now.t.Seconds()},
		congestion.Value{Name: "css", Number: css},
	)
}

// window is cwnd with its fraction, which is void if the stack has set cwnd meanwhile.
func (c *Cubic) window(f *congestion.Flow) float64 {
	cwnd := f.Cwnd()
	if cwnd != c.cwndLast {
		return float64(cwnd)
	}
	return float64(cwnd) + c.fraction
}

func (c *Cubic) setWindow(f *congestion.Flow, octets float64) {
	octets = min(octets, congestion.CwndMax)
	c.cwndLast = int(octets)
	c.fraction = octets - float64(c.cwndLast)
	f.SetCwnd(c.cwndLast)
}
