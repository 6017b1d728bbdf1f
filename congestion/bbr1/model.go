package bbr1

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// updateBandwidth keeps the largest delivery rate of ten rounds. A sample for want of data
// counts only if it shows that more is there.
func (b *BBR) updateBandwidth(f *congestion.Flow, a *congestion.Ack) {
	r := &a.Rate
	b.start = r.TxInFlight > 0 && r.PriorDelivered >= b.next
	if b.start {
		b.next = f.Delivered
		b.round++
		b.conserving = b.conserving && b.round < b.conserveEnd
	}
	if r.OctetsPerSec > 0 && (!r.AppLimited || r.OctetsPerSec >= b.bw.Max()) {
		b.bw.Update(r.OctetsPerSec, b.round, bwRounds)
	}
}

// updateMinRTT keeps the lowest round trip of ten seconds.
func (b *BBR) updateMinRTT(f *congestion.Flow, a *congestion.Ack) {
	b.expired = a.Now > b.minRTTStamp.Add(minRTTFilterLen)
	if a.RTT > 0 && (b.minRTT == 0 || a.RTT <= b.minRTT || b.expired) {
		b.minRTT, b.minRTTStamp = a.RTT, a.Now
	}
	if !b.measured && a.RTT > 0 {
		b.initPacingRate(f) // what was said before the first round trip was a guess
	}
}

// inflight is gain of the BDP, with room for what pacing gathers.
func (b *BBR) inflight(f *congestion.Flow, gain int) int {
	if b.minRTT == 0 {
		return f.IW
	}
	n := congestion.OctetsIn(b.bw.Max(), b.minRTT)
	n = n/unity*gain + n%unity*gain/unity + 3*f.Quantum()
	if b.state == probeBW && b.phase == 0 {
		n += 2 * f.MSS
	}
	return max(n, minPipeCwnd*f.MSS)
}

func (b *BBR) enterStartup() { b.state, b.pacingGain, b.cwndGain = startup, highGain, highGain }

// checkFullPipe ends Startup after three rounds that brought less than a quarter more.
func (b *BBR) checkFullPipe(a *congestion.Ack) {
	if b.filled || !b.start || a.Rate.AppLimited {
		return
	}
	if bw := b.bw.Max(); bw*4 >= b.fullBW*5 {
		b.fullBW, b.fullBWCount = bw, 0
		return
	}
	b.fullBWCount++
	b.filled = b.fullBWCount >= fullBWRounds
}

// checkDrain empties the queue that Startup has made.
func (b *BBR) checkDrain(f *congestion.Flow, now mono.Time) {
	if b.state == startup && b.filled {
		b.state, b.pacingGain, b.cwndGain = drain, drainGain, highGain
	}
	if b.state == drain && f.Flight <= b.inflight(f, unity) {
		b.enterProbeBW(now)
	}
}

// enterProbeBW begins at any phase but the one that drains, drawn so that flows are not in step.
func (b *BBR) enterProbeBW(now mono.Time) {
	b.state, b.cwndGain = probeBW, probeCwndGain
	b.rand = b.rand*6364136223846793005 + 1442695040888963407
	phase := int(b.rand>>33) % (len(cycle) - 1)
	if phase >= 1 {
		phase++
	}
	b.startPhase(phase, now)
}

func (b *BBR) startPhase(phase int, now mono.Time) {
	b.phase, b.cycleStamp, b.lost = phase, now, false
	b.pacingGain = cycle[phase]
}

// updateCycle goes on when a phase has lasted a round trip: the one that probes also only
// when it has filled the pipe or found its limit, the one that drains as soon as it has.
func (b *BBR) updateCycle(f *congestion.Flow, a *congestion.Ack) {
	if b.state != probeBW {
		return
	}
	over := a.Now.Sub(b.cycleStamp) > b.minRTT
	switch gain := cycle[b.phase]; {
	case gain > unity:
		over = over && (b.lost || a.PriorFlight >= b.inflight(f, gain))
	case gain < unity:
		over = over || a.PriorFlight <= b.inflight(f, unity)
	}
	if over {
		b.startPhase((b.phase+1)%len(cycle), a.Now)
	}
}

// checkProbeRTT empties the pipe when the lowest round trip was measured too long ago.
func (b *BBR) checkProbeRTT(f *congestion.Flow, a *congestion.Ack) {
	if b.state != probeRTT && b.expired && !b.idleRestart {
		b.saveCwnd(f)
		b.state, b.pacingGain, b.cwndGain = probeRTT, unity, unity
		b.doneStamp = 0
	}
	if b.state == probeRTT {
		f.MarkAppLimited() // what is delivered meanwhile shows nothing
		switch {
		case b.doneStamp == 0 && f.Flight <= minPipeCwnd*f.MSS:
			b.doneStamp, b.roundDone, b.next = a.Now.Add(probeRTTDuration), false, f.Delivered
		case b.doneStamp != 0:
			b.roundDone = b.roundDone || b.start
			if b.roundDone {
				b.checkProbeRTTDone(f, a.Now)
			}
		}
	}
	if a.Rate.Delivered > 0 {
		b.idleRestart = false
	}
}

func (b *BBR) checkProbeRTTDone(f *congestion.Flow, now mono.Time) {
	if b.doneStamp == 0 || now <= b.doneStamp {
		return
	}
	b.minRTTStamp = now
	f.SetCwnd(max(f.Cwnd(), b.priorCwnd))
	if b.filled {
		b.enterProbeBW(now)
	} else {
		b.enterStartup()
	}
}

// initPacingRate paces at what the initial window and the round trip, or a millisecond, come to.
func (b *BBR) initPacingRate(f *congestion.Flow) {
	rtt := f.SRTT
	if b.measured = rtt > 0; !b.measured {
		rtt = time.Millisecond
	}
	f.SetPacing(bounded(int64(f.IW) * int64(time.Second) / int64(rtt) * highGain / unity))
}

// setPacing paces at a multiple of the bandwidth, a little below. Before the pipe was full it
// only goes up.
func (b *BBR) setPacing(f *congestion.Flow, gain int) {
	bw := b.bw.Max()
	if bw == 0 {
		return
	}
	rate := bounded(min(bw, congestion.PacingMax) * int64(gain) / unity * (unity - pacingMargin) / unity)
	if b.filled || rate > f.Pacing() {
		f.SetPacing(rate)
	}
}

// bounded is a rate that can be paced at.
func bounded(rate int64) int64 {
	return min(max(rate, congestion.PacingMin), congestion.PacingMax)
}

// setQuantum has a millisecond's worth leave at once.
func (b *BBR) setQuantum(f *congestion.Flow) {
	f.SetQuantum(max(congestion.OctetsIn(min(f.Pacing(), sendQuantumMax*1000), time.Millisecond), 2*f.MSS))
}

// setCwnd goes to its target by what is delivered. In the first round of recovery what leaves
// is what arrives.
func (b *BBR) setCwnd(f *congestion.Flow, a *congestion.Ack) {
	cwnd, target := f.Cwnd(), b.inflight(f, b.cwndGain)
	switch {
	case b.recovering && b.conserving:
		cwnd = max(cwnd-a.NewlyLost, f.Flight+a.Acked)
	case b.filled:
		cwnd = min(cwnd+a.Acked, target)
	case cwnd < target || f.Delivered < uint64(f.IW):
		cwnd += a.Acked
	}
	cwnd = max(cwnd, minPipeCwnd*f.MSS)
	if b.state == probeRTT {
		cwnd = minPipeCwnd * f.MSS
	}
	f.SetCwnd(min(cwnd, congestion.CwndMax))
}

// saveCwnd remembers the last window that neither recovery nor ProbeRTT has cut.
func (b *BBR) saveCwnd(f *congestion.Flow) {
	if b.recovering || b.state == probeRTT {
		b.priorCwnd = max(b.priorCwnd, f.Cwnd())
		return
	}
	b.priorCwnd = f.Cwnd()
}
