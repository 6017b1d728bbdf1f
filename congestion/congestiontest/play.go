package congestiontest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// play drives an algorithm through chance events: mostly those of a healthy connection, with
// whatever a broken path, a hostile peer and a stack at its limits can add.
type play struct {
	*Driver
	rng    *rand.Rand
	rough  int // of 1000 episodes that could begin, how many do
	digest uint64
	spoil  bool   // overwrite each event after it was handled
	did    string // the last event
	left   int    // ACKs of recovery yet to come
	clamps uint64 // when last looked
	undoTo [2]int // cwnd and ssthresh before the last episode
	shown  inspection
}

func newPlay(alg congestion.Algorithm, seed uint64) *play {
	p := playOn(NewDriver(alg), seed)
	// So that windows of every size come about.
	p.rough = 1000 >> (seed % seeds * 2)
	if seed%seeds >= seeds/2 {
		p.Flow.SetCwnd(congestion.CwndMax >> (seed % 2 * 8))
	}
	return p
}

func playOn(d *Driver, seed uint64) *play {
	p := &play{Driver: d, rng: rand.New(rand.NewPCG(seed, 9438)), rough: 100, clamps: d.Flow.Clamps()}
	p.Flow.Rand = seed
	p.undoTo = [2]int{p.Flow.Cwnd(), p.Flow.Ssthresh()}
	return p
}

// run plays n events and returns what went wrong, by itself or by what look says.
func (p *play) run(n int, look func() string) (problem string) {
	i := 0
	defer func() {
		if v := recover(); v != nil {
			problem = fmt.Sprintf("event %d, %s: panic: %v", i, p.did, v)
		}
	}()
	for ; i < n; i++ {
		p.event()
		if look == nil {
			continue
		}
		if problem = look(); problem != "" {
			return fmt.Sprintf("event %d, %s: %s", i, p.did, problem)
		}
	}
	return ""
}

// outOfBounds says what is wrong with what was set.
func (p *play) outOfBounds() string {
	f := &p.Flow
	clamped := f.Clamps() != p.clamps
	p.clamps = f.Clamps()
	switch {
	case f.Absurd():
		return "a value below zero was set, as overflow and NaN make it: the stack would replace the algorithm"
	case clamped && f.Pacing() == congestion.PacingMax:
		return fmt.Sprintf("pacing of %d octets a second", f.Pacing())
	case clamped && f.Cwnd() != congestion.CwndMax && f.Ssthresh() != congestion.SsthreshMax:
		return fmt.Sprintf("something was set below its least, and clamped: cwnd %d, ssthresh %d, pacing %d, quantum %d with an MSS of %d",
			f.Cwnd(), f.Ssthresh(), f.Pacing(), f.Quantum(), f.MSS)
	}
	return p.shown.look(p.Alg)
}

// event plays one event.
func (p *play) event() {
	switch k := p.rng.IntN(1000); {
	case p.left > 0:
		p.left--
		p.did = "an ACK in recovery"
		p.ackOf(func(a *congestion.Ack) { a.InRecovery = true })
		if p.left == 0 {
			p.did = "the end of recovery"
			p.Recovered(congestion.CauseLoss)
		}
	case k < 900:
		p.did = "an ACK"
		p.ackOf(nil)
	case k < 950:
		p.did = "an odd ACK"
		p.ackOf(p.odd)
	case k < 985 && p.rng.IntN(1000) < p.rough:
		p.congest()
	case k < 985:
		p.did = "an ACK for a whole window"
		p.ackOf(func(a *congestion.Ack) { a.Acked, a.CumAcked = p.Cwnd(), p.Cwnd() })
	case k < 990:
		p.did = "an undo"
		p.Driver.Undo(p.undoTo[0], p.undoTo[1])
	case k < 994:
		p.did = "silence"
		p.Wait(time.Duration(p.rng.Int64N(int64(time.Hour))))
		p.Flow.Flight = 0
		p.Sent(p.Flow.MSS, true)
	case k < 999:
		p.did = "a window lowered by the stack"
		p.Flow.SetCwnd(max(p.Flow.Cwnd()/8*7, p.Flow.MSS))
	default:
		p.did = "a smaller MSS"
		p.Flow.MSS = max(p.Flow.MSS-p.rng.IntN(50), 88)
	}
	f := &p.Flow
	p.mix(uint64(f.Cwnd()), uint64(f.Ssthresh()), uint64(f.Pacing()), uint64(f.Quantum()))
}

// mix adds values to the digest (FNV-1a).
func (p *play) mix(values ...uint64) {
	for _, v := range values {
		p.digest = (p.digest ^ v) * 0x100000001b3
	}
}

// ackOf plays an ACK of one or two segments, a round trip that varies, and a round of a
// window; edit, if not nil, changes it.
func (p *play) ackOf(edit func(*congestion.Ack)) {
	f := &p.Flow
	p.RTT = RTT + time.Duration(p.rng.Int64N(int64(RTT)))
	p.Wait(time.Duration(p.rng.Int64N(int64(RTT/4) + 1)))
	begins := p.rng.IntN(max(1, f.Cwnd()/f.MSS)) == 0
	p.AckWith((1+p.rng.IntN(2))*f.MSS, func(a *congestion.Ack) {
		if begins {
			a.Round++
			a.RoundStart = true
		}
		a.CwndLimited = p.rng.IntN(8) > 0
		if edit != nil {
			edit(a)
		}
	})
	if p.spoil {
		p.ack = congestion.Ack{Now: -1, Acked: -1, CumAcked: -1, RTT: -1, PriorFlight: -1, Round: 1 << 60}
	}
}

// odd makes an ACK what it hardly ever is.
func (p *play) odd(a *congestion.Ack) {
	switch p.rng.IntN(10) {
	case 0:
		a.RTT, a.Rate = 0, congestion.RateSample{}
	case 1:
		a.RTT = 1
	case 2:
		a.RTT = time.Hour
	case 3:
		a.Acked, a.CumAcked = congestion.CwndMax, congestion.CwndMax
	case 4:
		a.Acked, a.CumAcked = 1, 1
	case 5:
		a.CumAcked = 0 // by SACK alone
	case 6:
		a.ECE, a.CEOctets = true, a.Acked
	case 7:
		a.ECE, a.CEOctets, a.Acked, a.CumAcked = true, p.Flow.MSS, 0, 0
	case 8:
		a.NewlyLost = p.rng.IntN(congestion.CwndMax)
		a.Rate.Lost = a.NewlyLost
	case 9:
		a.PriorFlight = 0
		a.Rate.OctetsPerSec, a.Rate.Interval, a.Rate.AppLimited = 1<<36, 1, true
	}
}

// congest plays the beginning of an episode, and has it go on for some ACKs.
func (p *play) congest() {
	f := &p.Flow
	cause := congestion.Cause(p.rng.IntN(4))
	p.did = "congestion by " + cause.String()
	p.undoTo = [2]int{f.Cwnd(), f.Ssthresh()}
	flight := f.Cwnd()
	switch p.rng.IntN(4) {
	case 0:
		flight = 0
	case 1:
		flight = 2 * f.Cwnd()
	}
	p.CongestWith(cause, flight)
	if cause == congestion.CauseLoss {
		p.left = p.rng.IntN(20)
	}
	if p.spoil {
		p.episode = congestion.Congestion{Now: -1, Flight: -1, Lost: -1}
	}
}
