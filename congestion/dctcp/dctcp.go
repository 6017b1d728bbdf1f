// Package dctcp is DCTCP congestion control (RFC 8257), for data centres whose switches mark
// packets as soon as a queue builds up: the window shrinks in proportion to the share of
// octets that were marked. It goes by the counts of AccECN (RFC 9768), and must be alone on
// its path, or among its like: against Reno and CUBIC it takes more than its share.
package dctcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

// GainDefault is g, the weight of the newest window in the estimate.
// https://www.rfc-editor.org/rfc/rfc8257.html#section-4.2
const GainDefault = 1.0 / 16

// Config says how DCTCP is made. The zero value is what New returns.
type Config struct {
	// Gain is g, above 0 and at most 1; GainDefault if 0.
	Gain float64
}

// DCTCP is the state of one connection. All that is not about marks is Reno's.
type DCTCP struct {
	reno          congestion.Algorithm
	gain          float64
	alpha         float64 // DCTCP.Alpha: the share of octets that are marked
	acked, marked int     // octets in this observation window
}

// New returns DCTCP with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.Gain <= 0 || cfg.Gain > 1 {
		cfg.Gain = GainDefault
	}
	return &DCTCP{reno: reno.New(), gain: cfg.Gain}
}

// New returns DCTCP with g = GainDefault.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "dctcp".
func (d *DCTCP) Name() string { return "dctcp" }

// ReadsMarks says that DCTCP wants ECN: without it, it is Reno.
func (d *DCTCP) ReadsMarks() bool { return true }

// Init starts with an estimate of 1: "DCTCP.Alpha SHOULD be initialized to 1", so that the
// first mark halves the window.
func (d *DCTCP) Init(f *congestion.Flow, now mono.Time) {
	d.reno.Init(f, now)
	d.alpha, d.acked, d.marked = 1, 0, 0
}

// Adopt takes over a connection. From DCTCP, as with another gain, it keeps the estimate.
func (d *DCTCP) Adopt(f *congestion.Flow, now mono.Time, from congestion.State) {
	d.Init(f, now)
	if old, ok := from.From.(*DCTCP); ok {
		d.alpha, d.acked, d.marked = old.alpha, old.acked, old.marked
	}
}

// Inspect shows the estimate.
func (d *DCTCP) Inspect(v []congestion.Value) []congestion.Value {
	return append(v, congestion.Value{Name: "alpha", Number: d.alpha})
}

// OnAck counts marks, and grows the window as Reno does.
func (d *DCTCP) OnAck(f *congestion.Flow, a *congestion.Ack) {
	d.acked += a.Acked
	d.marked += min(a.CEOctets, a.Acked)
	if a.RoundStart && d.acked > 0 {
		// "DCTCP.Alpha = DCTCP.Alpha * (1 - g) + g * M". Conversions keep compilers from
		// fusing operations. https://www.rfc-editor.org/rfc/rfc8257.html#section-3.3
		m := float64(d.marked) / float64(d.acked)
		d.alpha = float64(d.alpha*(1-d.gain)) + float64(d.gain*m)
		d.acked, d.marked = 0, 0
	}
	d.reno.OnAck(f, a)
}

// OnCongestion shrinks the window by half of the share that was marked, and on a loss by
// half: "a DCTCP sender MUST react to loss episodes in the same way as conventional TCP".
// https://www.rfc-editor.org/rfc/rfc8257.html#section-3.4
func (d *DCTCP) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	if e.Cause != congestion.CauseECN {
		d.reno.OnCongestion(f, e)
		return
	}
	cwnd := float64(f.Cwnd())
	f.SetSsthresh(max(int(cwnd-float64(cwnd*d.alpha)/2), 2*f.MSS))
	f.SetCwnd(f.Ssthresh())
}
