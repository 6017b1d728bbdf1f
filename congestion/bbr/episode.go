package bbr

import "github.com/millrace-tcp/millrace/congestion"

// undoState is the state that an episode of loss has ended, to be gone back to if the losses
// prove none.
type undoState uint8

const (
	undoNone undoState = iota
	undoStartup
	undoProbeBWUp
)

// episode is a recovery from loss, from the first segment that was given up on.
type episode struct {
	open       bool // since the first loss
	fast       bool // fast recovery, no time-out
	startRound uint64

	ranges  int    // places of the stream where this round lost data
	lastEnd uint32 // where the last of them ends

	undo                    undoState
	bwShortterm             int64
	inflightShort, inflight int // shortterm and longterm
}

// noteRange counts the places of the stream that are lost: neighbours are one.
func (e *episode) noteRange(l *congestion.Lost) {
	if e.ranges == 0 || l.Seq != e.lastEnd {
		e.ranges++
	}
	e.lastEnd = l.Seq + uint32(l.Octets)
}

// saveStateUponLoss keeps what an undo restores: once an episode, at its first loss. The
// draft has it again in each round, and for the stack's episode too; what the first round
// has changed would be lost by that.
func (b *BBR) saveStateUponLoss(f *congestion.Flow) {
	b.saveCwnd(f)
	e := &b.episode
	if e.open {
		return
	}
	*e = episode{
		open: true, ranges: e.ranges, lastEnd: e.lastEnd,
		bwShortterm: b.bw.shortterm, inflightShort: b.inflight.shortterm, inflight: b.inflight.longterm,
	}
}

func (b *BBR) endEpisode() { b.episode.open, b.episode.fast, b.episode.undo = false, false, undoNone }

// saveCwnd remembers the last window that is known to be good.
func (b *BBR) saveCwnd(f *congestion.Flow) {
	if !b.episode.open && b.state != ProbeRTT {
		b.priorCwnd = f.Cwnd()
		return
	}
	b.priorCwnd = max(b.priorCwnd, f.Cwnd())
}

func (b *BBR) restoreCwnd(f *congestion.Flow) { f.SetCwnd(max(f.Cwnd(), b.priorCwnd)) }

// Undo is HandleSpuriousLossDetection of section 5.5.11.2.
func (b *BBR) Undo(f *congestion.Flow) {
	e := b.episode
	b.endEpisode()
	b.restoreCwnd(f)
	b.latest.lossInRound = false
	b.fullBW.reset(0)
	b.bw.shortterm = max(b.bw.shortterm, e.bwShortterm)
	b.inflight.shortterm = max(b.inflight.shortterm, e.inflightShort)
	b.inflight.longterm = max(b.inflight.longterm, e.inflight)
	switch {
	case e.undo == undoStartup && b.state != Startup:
		b.fullBW.reached = false
		if b.state != ProbeRTT {
			b.enterStartup()
		}
	case e.undo == undoProbeBWUp && b.state != ProbeBWUp && b.state != ProbeRTT:
		b.startProbeBWRefill(f)
	}
}
