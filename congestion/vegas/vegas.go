// Package vegas is Vegas congestion control (Brakmo and Peterson: TCP Vegas, end to end
// congestion avoidance on a global Internet, 1995): it holds as many segments in the queue of
// the bottleneck as Config says, judging by how much longer the round trip is than the
// shortest. It yields to algorithms that fill the queue, and it takes a path that becomes
// longer for one that is congested.
package vegas

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

// The defaults, in segments.
const (
	AlphaDefault = 2
	BetaDefault  = 4
	GammaDefault = 1
)

// samplesMin is how many round trips must be measured in a round to go by them: with fewer, a
// delayed ACK may be all there is. Then Reno decides.
const samplesMin = 3

// Config says how Vegas is made. The zero value is what New returns.
type Config struct {
	// Alpha and Beta are the least and the most segments in the queue, Gamma those that end
	// slow start; the defaults if 0.
	Alpha, Beta, Gamma int
}

// Vegas is the state of one connection.
type Vegas struct {
	cfg     Config
	reno    congestion.Algorithm
	base    time.Duration // BaseRTT: the shortest of all
	least   time.Duration // the shortest of this round
	samples int           // in this round
	idle    bool          // slow start stands still every second round, to measure
}

// New returns Vegas with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.Alpha <= 0 {
		cfg.Alpha = AlphaDefault
	}
	if cfg.Beta <= 0 {
		cfg.Beta = BetaDefault
	}
	if cfg.Gamma <= 0 {
		cfg.Gamma = GammaDefault
	}
	cfg.Beta = max(cfg.Alpha, cfg.Beta)
	return &Vegas{cfg: cfg, reno: reno.New()}
}

// New returns Vegas with the defaults.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "vegas".
func (v *Vegas) Name() string { return "vegas" }

// Init starts with what the stack knows of the path.
func (v *Vegas) Init(f *congestion.Flow, now mono.Time) {
	v.reno.Init(f, now)
	*v = Vegas{cfg: v.cfg, reno: v.reno, base: f.MinRTT}
}

// Inspect shows the shortest round trip of all and of this round, in seconds.
func (v *Vegas) Inspect(values []congestion.Value) []congestion.Value {
	return append(values,
		congestion.Value{Name: "base_rtt_s", Number: v.base.Seconds()},
		congestion.Value{Name: "least_rtt_s", Number: v.least.Seconds()},
	)
}

// OnAck measures, and decides once a round.
func (v *Vegas) OnAck(f *congestion.Flow, a *congestion.Ack) {
	if a.RoundStart && !a.InRecovery {
		v.decide(f, a)
	}
	if a.RoundStart {
		v.least, v.samples = 0, 0
		v.idle = !v.idle
	}
	if a.RTT > 0 {
		if v.base == 0 || a.RTT < v.base {
			v.base = a.RTT
		}
		if v.samples == 0 || a.RTT < v.least {
			v.least = a.RTT
		}
		v.samples++
	}
	if f.InSlowStart() && !v.idle {
		v.reno.OnAck(f, a)
	}
}

// decide moves the window after a round. The difference of what would be delivered without a
// queue and what was, over the shortest round trip, is what lies in the queue.
func (v *Vegas) decide(f *congestion.Flow, a *congestion.Ack) {
	if v.samples < samplesMin {
		if !f.InSlowStart() && a.CwndLimited {
			f.SetCwnd(min(f.Cwnd()+f.MSS, congestion.CwndMax))
		}
		return
	}
	cwnd := int64(f.Cwnd())
	queued := int(cwnd - scaled(cwnd, v.base, v.least))
	switch {
	case f.InSlowStart() && queued > v.cfg.Gamma*f.MSS:
		f.SetCwnd(max(f.Cwnd()-queued+f.MSS, 2*f.MSS))
		f.SetSsthresh(f.Cwnd())
	case f.InSlowStart():
	case queued > v.cfg.Beta*f.MSS:
		f.SetCwnd(max(f.Cwnd()-f.MSS, 2*f.MSS))
		f.SetSsthresh(max(min(f.Ssthresh(), f.Cwnd()), 2*f.MSS))
	case queued < v.cfg.Alpha*f.MSS && a.CwndLimited:
		f.SetCwnd(min(f.Cwnd()+f.MSS, congestion.CwndMax))
	}
}

// scaled is octets*base/rtt. CwndMax and an hour in microseconds make 62 bits.
func scaled(octets int64, base, rtt time.Duration) int64 {
	micros := func(d time.Duration) int64 { return min(d, time.Hour).Microseconds() + 1 }
	return octets * micros(base) / micros(rtt)
}

// OnCongestion is Reno's.
func (v *Vegas) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	v.reno.OnCongestion(f, e)
}
