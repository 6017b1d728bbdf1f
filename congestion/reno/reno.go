// Package reno is Reno congestion control: slow start and congestion avoidance (RFC 5681),
// counted in octets (RFC 3465).
package reno

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// Reno is the state of one connection.
type Reno struct {
	limit int // most segments that one ACK adds in slow start: L of RFC 3465
	acked int // octets acknowledged since cwnd last grew in congestion avoidance
}

// LimitDefault is L of RFC 3465, section 2.3.
const LimitDefault = 2

// Config says how Reno is made. The zero value is what New returns.
type Config struct {
	// Limit is L: the most segments that one ACK adds in slow start, LimitDefault if 0.
	Limit int
}

// New returns Reno with the configuration.
func (cfg Config) New() congestion.Algorithm {
	if cfg.Limit <= 0 {
		cfg.Limit = LimitDefault
	}
	return &Reno{limit: cfg.Limit}
}

// New returns Reno with L = LimitDefault.
func New() congestion.Algorithm { return Config{}.New() }

// Name returns "reno".
func (r *Reno) Name() string { return "reno" }

// Init starts from the initial window, which the stack has set.
func (r *Reno) Init(*congestion.Flow, mono.Time) { r.acked = 0 }

// OnAck grows the window: by what was acknowledged in slow start, by one segment for each
// window acknowledged in congestion avoidance.
func (r *Reno) OnAck(f *congestion.Flow, a *congestion.Ack) {
	if a.InRecovery || !a.CwndLimited {
		return
	}
	if f.InSlowStart() {
		f.SetCwnd(f.Cwnd() + min(a.CumAcked, r.limit*f.MSS))
		return
	}
	r.acked += a.CumAcked
	if r.acked >= f.Cwnd() {
		r.acked -= f.Cwnd()
		f.SetCwnd(f.Cwnd() + f.MSS)
	}
}

// OnCongestion halves the window: ssthresh = max(FlightSize/2, 2*SMSS), equation 4 of RFC 5681.
// Half of an odd flight leaves half a segment, which is not sent. It counts as growth begun, as it
// does by "cwnd += SMSS*SMSS/cwnd" (equation 3), where each ACK adds to it: else the window would
// stay without it for the whole round until it grows by a segment.
func (r *Reno) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	r.acked = 0
	if e.Cause == congestion.CauseIdle {
		f.SetCwnd(min(f.Cwnd(), f.IW))
		return
	}
	f.SetSsthresh(max(e.Flight/2, 2*f.MSS))
	f.SetCwnd(f.Ssthresh())
	r.acked = int(int64(f.Cwnd()%f.MSS) * int64(f.Cwnd()) / int64(f.MSS))
}
