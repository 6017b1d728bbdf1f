package bbr

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/winmax"
	"github.com/millrace-tcp/millrace/mono"
)

// rounds counts packet-timed round trips (section 5.5.1).
type rounds struct {
	count        uint64
	sinceProbeUp int
	next         uint64 // Delivered at which this round ends
	start        bool   // the ACK at hand begins one
}

// begin is StartRound.
func (r *rounds) begin(f *congestion.Flow) { r.next = f.Delivered }

// update is UpdateRound.
func (r *rounds) update(f *congestion.Flow, a *congestion.Ack) {
	r.start = a.Rate.TxInFlight > 0 && a.Rate.PriorDelivered >= r.next
	if r.start {
		r.begin(f)
		r.count++
		r.sinceProbeUp++
	}
}

// bandwidth is what the path delivers, in octets a second.
type bandwidth struct {
	previous, current int64 // the largest samples of two cycles of probing
	shortterm         int64 // infinity: not set
	bounded           int64 // BBR.bw
}

func (w *bandwidth) max() int64 { return max(w.previous, w.current) }

// update is UpdateMaxBw. A sample for want of data counts only if it shows that more is there.
func (w *bandwidth) update(rate int64, appLimited bool) {
	if rate > 0 && (rate >= w.max() || !appLimited) {
		w.current = max(w.current, rate)
	}
}

// advance is AdvanceMaxBwFilter: another cycle begins. One without samples leaves no trace.
func (w *bandwidth) advance() {
	if w.current > 0 {
		w.previous, w.current = w.current, 0
	}
}

func (b *BBR) boundBWForModel() { b.bw.bounded = min(b.bw.max(), b.bw.shortterm) }

// roundTrip is the lowest round trip, and when it was measured last (section 5.3.4.3).
type roundTrip struct {
	min      time.Duration // 0: none
	minStamp mono.Time

	probeMin      time.Duration // of the last ProbeRTTInterval
	probeMinStamp mono.Time
	expired       bool

	doneStamp mono.Time // when ProbeRTT has lasted; 0: the queue has not drained yet
	roundDone bool
}

func (r *roundTrip) start(now mono.Time, srtt time.Duration) {
	r.min, r.minStamp = srtt, now
	r.probeMin, r.probeMinStamp = srtt, now
}

func (b *BBR) updateMinRTT(f *congestion.Flow, a *congestion.Ack) {
	r := &b.rtt
	r.expired = a.Now > r.probeMinStamp.Add(b.cfg.ProbeRTTInterval)
	if a.RTT > 0 && (r.probeMin == 0 || a.RTT < r.probeMin || r.expired) {
		r.probeMin, r.probeMinStamp = a.RTT, a.Now
	}
	if r.probeMin > 0 && (r.min == 0 || r.probeMin < r.min || a.Now > r.minStamp.Add(minRTTFilterLen)) {
		r.min, r.minStamp = r.probeMin, r.probeMinStamp
	}
	if !b.measured && a.RTT > 0 {
		b.measured = true
		b.initPacingRate(f) // what was said before the first round trip was a guess
	}
}

// aggregation is by how much more is acknowledged at once than the bandwidth accounts for:
// the largest of the last rounds (section 5.5.9).
type aggregation struct {
	start     mono.Time
	delivered int
	filter    winmax.Filter
}

// extraAckedFilterLen is how many rounds are remembered once the pipe was full, else one.
const extraAckedFilterLen = 10

func (g *aggregation) update(a *congestion.Ack, f *congestion.Flow, b *BBR) {
	expected := congestion.OctetsIn(b.bw.bounded, a.Now.Sub(g.start))
	if g.delivered <= expected {
		g.delivered, g.start, expected = 0, a.Now, 0
	}
	g.delivered += a.Acked
	rounds := 1
	if b.fullBW.reached {
		rounds = extraAckedFilterLen
	}
	g.filter.Update(int64(min(g.delivered-expected, f.Cwnd())), b.rounds.count, rounds)
}

func (g *aggregation) max() int { return int(g.filter.Max()) }

// bdp is how much is on its way at a rate, over the lowest round trip.
func (b *BBR) bdp(rate int64) int { return congestion.OctetsIn(rate, b.rtt.min) }
