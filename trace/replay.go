package trace

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// Replayed is what another algorithm made of recorded events.
type Replayed struct {
	Recorded string        // the algorithm that was at work
	Name     string        // the other
	Events   int           // that it heard
	Took     time.Duration // from the first to the last
	// Mean windows over time, in octets, and the mean of how far they were apart, as a share of
	// the recorded one.
	MeanRecorded, MeanReplayed float64
	Apart                      float64
	Clamps                     uint64 // values of the other that were out of bounds
}

// Replay has an algorithm hear what a file of events says, and puts what was recorded to
// sink as flow 0, and what the algorithm would have set as flow 1, with a tick each interval.
// The events are those that another window brought about: this shows how an algorithm
// judges, not how a network would have answered it.
func Replay(r io.Reader, alg congestion.Algorithm, sink Sink, every time.Duration) (*Replayed, error) {
	p := &replay{alg: alg, sink: sink, every: max(every, time.Millisecond)}
	p.result.Name = congestion.NameOf(alg)
	p.undoer, _ = alg.(congestion.Undoer)
	p.sent, _ = alg.(congestion.SentObserver)
	p.lost, _ = alg.(congestion.LostObserver)
	p.over, _ = alg.(congestion.RecoveryObserver)
	if o, ok := alg.(congestion.RecoveryOwner); ok {
		p.owner = o.OwnsRecovery()
	}
	if err := ReadEvents(r, p.event); err != nil {
		return nil, err
	}
	p.end()
	return &p.result, nil
}

type replay struct {
	alg    congestion.Algorithm
	undoer congestion.Undoer
	sent   congestion.SentObserver
	lost   congestion.LostObserver
	over   congestion.RecoveryObserver
	owner  bool

	flow           congestion.Flow
	begun          bool
	start, last    mono.Time
	cwnd, ssthresh int // before the last episode
	sink           Sink
	every          time.Duration
	next           mono.Time
	was            int // the recorded window since last

	recorded, replayed, apart float64 // octets, and shares, times seconds
	result                    Replayed
}

// event takes one. An algorithm that panics ends the replay.
func (p *replay) event(e *Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("trace: replay: %s panics at %v: %.200v", p.result.Name, time.Duration(e.Now), v)
		}
	}()
	if !p.begun {
		p.begin(e)
	}
	p.weigh(e.Now)
	p.flow.Measure(&e.Flow)
	p.tell(e)
	p.result.Events++
	p.was = e.Cwnd
	p.put(e)
	if p.flow.Absurd() {
		return errors.New("trace: replay: " + p.result.Name + " set a value below zero")
	}
	return nil
}

// begin starts the algorithm where the record begins: with the initial window if that is the
// beginning of the connection, else with the window that there was.
func (p *replay) begin(e *Event) {
	p.begun = true
	p.start, p.last, p.next = e.Now, e.Now, e.Now
	p.flow = e.Flow
	window := e.Cwnd
	if e.Event == congestion.EventOpen && e.Flow.IW > 0 {
		window = e.Flow.IW
	}
	p.flow.SetCwnd(window)
	p.flow.SetSsthresh(congestion.SsthreshMax)
	p.was = e.Cwnd
	p.result.Recorded = e.Name
	p.alg.Init(&p.flow, e.Now)
}

// tell has the algorithm hear an event, as the stack would.
func (p *replay) tell(e *Event) {
	f := &p.flow
	switch e.Event {
	case congestion.EventAck:
		p.alg.OnAck(f, e.Ack)
	case congestion.EventCongestion:
		p.cwnd, p.ssthresh = f.Cwnd(), f.Ssthresh()
		p.alg.OnCongestion(f, e.Episode)
		switch {
		case e.Episode.Cause != congestion.CauseRTO:
		case p.owner:
			f.SetCwnd(min(f.Cwnd(), f.MSS+f.Flight))
		default:
			f.SetCwnd(f.MSS) // the loss window (RFC 5681, section 3.1)
		}
	case congestion.EventRecovered:
		if p.over != nil {
			p.over.OnRecovered(f, e.Episode)
		}
	case congestion.EventUndo:
		if p.undoer != nil {
			p.undoer.Undo(f)
		}
		if !p.owner {
			f.SetSsthresh(p.ssthresh)
			f.SetCwnd(max(f.Cwnd(), p.cwnd))
		}
	case congestion.EventSent:
		if p.sent != nil {
			p.sent.OnSent(f, e.Sent)
		}
	case congestion.EventLost:
		if p.lost != nil {
			p.lost.OnLost(f, e.Lost)
		}
	case congestion.EventOpen, congestion.EventLimit, congestion.EventSwitch, congestion.EventReplaced, congestion.EventClosed:
	}
}

// weigh adds the time since the last event to the means.
func (p *replay) weigh(now mono.Time) {
	s := now.Sub(p.last).Seconds()
	p.last = now
	own := float64(p.flow.Cwnd())
	p.recorded += s * float64(p.was)
	p.replayed += s * own
	if p.was > 0 {
		p.apart += s * math.Abs(own-float64(p.was)) / float64(p.was)
	}
}

// put makes the entries of an event.
func (p *replay) put(e *Event) {
	tick := e.Now >= p.next
	if tick {
		p.next = p.start.Add((e.Now.Sub(p.start)/p.every + 1) * p.every)
	}
	if p.sink == nil || e.Event == congestion.EventSent || e.Event == congestion.EventLost {
		return
	}
	row := e.row(Row{}, p.start)
	p.sink.Put(&Entry{Row: row, Event: e.Event, Name: p.result.Recorded, Tick: tick})
	row.Cwnd, row.Ssthresh, row.Pacing = p.flow.Cwnd(), p.flow.Ssthresh(), p.flow.Pacing()
	p.sink.Put(&Entry{Row: row, Flow: 1, Event: e.Event, Name: p.result.Name, Tick: tick})
}

// end makes means of sums.
func (p *replay) end() {
	p.result.Took = p.last.Sub(p.start)
	p.result.Clamps = p.flow.Clamps()
	if s := p.result.Took.Seconds(); s > 0 {
		p.result.MeanRecorded, p.result.MeanReplayed, p.result.Apart = p.recorded/s, p.replayed/s, p.apart/s
	}
}
