package bbr

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// initPacingRate paces at what the initial window and the round trip, or a millisecond, come
// to. Section 5.6.2.
func (b *BBR) initPacingRate(f *congestion.Flow) {
	rtt := f.SRTT
	if rtt <= 0 {
		rtt = time.Millisecond
	} else {
		b.measured = true
	}
	nominal := int64(f.IW) * int64(time.Second) / int64(rtt)
	f.SetPacing(bounded(nominal * startupPacingGain / 100))
}

// setPacingRateWithGain paces at a multiple of the bandwidth, a little below. Before the pipe
// was full it only goes up.
func (b *BBR) setPacingRateWithGain(f *congestion.Flow, gain int) {
	if b.bw.bounded <= 0 {
		return
	}
	rate := bounded(min(b.bw.bounded, congestion.PacingMax) * int64(gain) * (100 - pacingMargin) / 10_000)
	if b.fullBW.reached || rate > f.Pacing() {
		f.SetPacing(rate)
	}
}

// bounded is a rate that can be paced at.
func bounded(rate int64) int64 {
	return min(max(rate, congestion.PacingMin), congestion.PacingMax)
}

func (b *BBR) setPacingRate(f *congestion.Flow) { b.setPacingRateWithGain(f, b.pacingGain) }

// sendQuantumMax is the most that leaves at once.
const sendQuantumMax = 64 << 10

// setSendQuantum has a millisecond's worth leave at once. Section 5.6.3.
func (b *BBR) setSendQuantum(f *congestion.Flow) {
	f.SetQuantum(max(congestion.OctetsIn(min(f.Pacing(), sendQuantumMax*1000), time.Millisecond), 2*f.MSS))
}

// bdpMultiple is gain percent of the BDP at a rate.
func (b *BBR) bdpMultiple(f *congestion.Flow, rate int64, gain int) int {
	if b.rtt.min == 0 {
		return f.IW // no round trip was measured yet
	}
	return percent(b.bdp(rate), gain)
}

// quantizationBudget makes room for what offloads and pacing gather, and for pipelining.
func (b *BBR) quantizationBudget(f *congestion.Flow, inflight int) int {
	inflight = max(inflight, 3*f.Quantum(), minPipeCwnd*f.MSS)
	if b.state == ProbeBWUp {
		inflight += 2 * f.MSS
	}
	return inflight
}

// inflightFor is Inflight.
func (b *BBR) inflightFor(f *congestion.Flow, rate int64, gain int) int {
	return b.quantizationBudget(f, b.bdpMultiple(f, rate, gain))
}

// setCwnd follows the model: down at once, up by no more than is delivered. Section 5.6.4.6.
func (b *BBR) setCwnd(f *congestion.Flow, a *congestion.Ack) {
	most := b.quantizationBudget(f, b.bdpMultiple(f, b.bw.bounded, b.cwndGain)+b.excess.max())
	cwnd := f.Cwnd()
	switch {
	case b.fullBW.reached:
		cwnd = min(cwnd+a.Acked, most)
	case cwnd < most || f.Delivered < uint64(f.IW):
		cwnd += a.Acked
	}
	cwnd = max(cwnd, minPipeCwnd*f.MSS)
	if b.state == ProbeRTT {
		cwnd = min(cwnd, b.probeRTTCwnd(f))
	}
	f.SetCwnd(min(b.boundForModel(f, cwnd), congestion.CwndMax))
}

// boundForModel keeps a window within what is known to fit.
func (b *BBR) boundForModel(f *congestion.Flow, cwnd int) int {
	most := infinity
	switch b.state {
	case ProbeBWDown, ProbeBWRefill, ProbeBWUp:
		most = b.inflight.longterm
	case ProbeBWCruise, ProbeRTT:
		most = b.inflightWithHeadroom(f)
	case Startup, Drain:
	}
	most = max(min(most, b.inflight.shortterm), minPipeCwnd*f.MSS)
	return min(cwnd, most)
}
