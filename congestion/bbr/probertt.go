package bbr

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// checkProbeRTT empties the queue when the lowest round trip was measured too long ago, unless
// silence has done so. Section 5.3.4.
func (b *BBR) checkProbeRTT(f *congestion.Flow, a *congestion.Ack) {
	if b.state != ProbeRTT && b.rtt.expired && !b.idleRestart {
		b.saveCwnd(f)
		b.enter(ProbeRTT)
		b.rtt.doneStamp = 0
		b.probe.phase = acksProbeStopping
		b.rounds.begin(f)
	}
	if b.state == ProbeRTT {
		b.handleProbeRTT(f, a.Now)
	}
	if a.Rate.Delivered > 0 {
		b.idleRestart = false
	}
}

// handleProbeRTT waits, once the queue has drained, for as long as that lasts, and a round.
func (b *BBR) handleProbeRTT(f *congestion.Flow, now mono.Time) {
	f.MarkAppLimited() // what is delivered meanwhile shows nothing
	r := &b.rtt
	switch {
	case r.doneStamp == 0 && f.Flight <= b.probeRTTCwnd(f):
		r.doneStamp = now.Add(probeRTTDuration)
		r.roundDone = false
		b.rounds.begin(f)
	case r.doneStamp != 0:
		r.roundDone = r.roundDone || b.rounds.start
		if r.roundDone {
			b.checkProbeRTTDone(f, now)
		}
	}
}

func (b *BBR) checkProbeRTTDone(f *congestion.Flow, now mono.Time) {
	if b.rtt.doneStamp == 0 || now <= b.rtt.doneStamp {
		return
	}
	b.rtt.probeMinStamp = now // the next is an interval away
	b.restoreCwnd(f)
	b.exitProbeRTT(f, now)
}

// exitProbeRTT goes on in Cruise, for the queue is empty, or in Startup if the pipe was never
// full.
func (b *BBR) exitProbeRTT(f *congestion.Flow, now mono.Time) {
	b.resetShortTermModel()
	if !b.fullBW.reached {
		b.enterStartup()
		return
	}
	b.startProbeBWDown(f, now)
	b.enter(ProbeBWCruise)
}

func (b *BBR) probeRTTCwnd(f *congestion.Flow) int {
	return max(b.bdpMultiple(f, b.bw.bounded, probeRTTCwndGain), minPipeCwnd*f.MSS)
}
