// Package hystart is HyStart++ (RFC 9406): slow start that ends when the round trip grows,
// before the queue of the bottleneck overflows. Any algorithm with a slow start can hold a
// HyStart and hand it the ACKs that come during it.
package hystart

import (
	"cmp"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// The constants. https://www.rfc-editor.org/rfc/rfc9406.html#section-4.3
const (
	minRTTThresh     = 4 * time.Millisecond
	maxRTTThresh     = 16 * time.Millisecond
	minRTTDivisor    = 8
	rttSamples       = 8 // N_RTT_SAMPLE
	cssGrowthDivisor = 4
	cssRounds        = 5
)

// LimitDefault is L: the most segments that one ACK adds where the sender is not paced.
const LimitDefault = 8

// HyStart is the state of one connection. The zero value is ready for use.
type HyStart struct {
	Limit int // L; 0 is LimitDefault

	last, current time.Duration // lowest of the round before and of this one; 0: none
	samples       int           // in this round
	baseline      time.Duration // cssBaselineMinRtt; 0: not in Conservative Slow Start
	rounds        int           // of it, complete
	done          bool
}

// OnAck takes an ACK that came in slow start and outside recovery. It sets cwnd, and ssthresh
// when slow start is over.
func (h *HyStart) OnAck(f *congestion.Flow, a *congestion.Ack) {
	if !h.done {
		h.measure(f, a)
	}
	if !a.CwndLimited {
		return
	}
	add := a.CumAcked
	if f.Pacing() == 0 {
		add = min(add, cmp.Or(h.Limit, LimitDefault)*f.MSS)
	}
	if h.baseline > 0 {
		add /= cssGrowthDivisor
	}
	f.SetCwnd(min(f.Cwnd()+add, congestion.CwndMax))
}

// Stop ends it for the rest of the connection: "An implementation SHOULD use HyStart++ only
// for the initial slow start". https://www.rfc-editor.org/rfc/rfc9406.html#section-4.3
// What slow starts there are later grow by the same limit.
func (h *HyStart) Stop() { *h = HyStart{Limit: h.Limit, done: true} }

// Conservative says whether growth is slowed down to see if the delay was a false alarm.
func (h *HyStart) Conservative() bool { return h.baseline > 0 }

// Threshold is by how much a round's lowest RTT must exceed that of the round before:
// RttThresh = max(MIN_RTT_THRESH, min(lastRoundMinRTT / MIN_RTT_DIVISOR, MAX_RTT_THRESH)).
func Threshold(last time.Duration) time.Duration {
	return max(minRTTThresh, min(last/minRTTDivisor, maxRTTThresh))
}

// measure is section 4.2 but for the growth.
func (h *HyStart) measure(f *congestion.Flow, a *congestion.Ack) {
	if a.RoundStart {
		h.last, h.current, h.samples = h.current, 0, 0
		if h.baseline > 0 {
			h.rounds++
		}
		// "If CSS_ROUNDS rounds are complete, enter congestion avoidance by setting the
		// ssthresh to the current cwnd." A partial round counts.
		if h.rounds == cssRounds {
			h.Stop()
			f.SetSsthresh(max(f.Cwnd(), 2*f.MSS))
			return
		}
	}
	if a.RTT <= 0 {
		return
	}
	if h.samples == 0 || a.RTT < h.current {
		h.current = a.RTT
	}
	h.samples++
	if h.samples < rttSamples {
		return
	}
	switch {
	case h.baseline > 0:
		// "If currentRoundMinRTT < cssBaselineMinRtt", the exit was a mistake: resume.
		if h.current < h.baseline {
			h.baseline, h.rounds = 0, 0
		}
	case h.last > 0 && h.current >= h.last+Threshold(h.last):
		h.baseline, h.rounds = h.current, 0
	}
}
