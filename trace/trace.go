// Package trace writes down what happened to the windows of connections, in virtual time or
// on a NIC: tables, qlog, captures, queue logs, and a page with plots. A Recorder turns what
// the stack tells into entries; sinks write them.
package trace

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// Row is the state of a sender at a time. Sizes are octets, rates octets a second.
type Row struct {
	At             time.Duration // since the beginning of the trace
	Cwnd, Ssthresh int           // Cwnd is the one in force: the governor's during recovery
	InFlight       int
	SRTT, RTTVar   time.Duration
	MinRTT, RTT    time.Duration // RTT is the last measured
	RTO            time.Duration
	Pacing         int64 // 0: it does not pace
	Delivery       int64 // the last delivery rate sample
	Delivered      int64
	Lost           int64
	Retransmits    int64
	Recovery       congestion.Recovery
	Limit          congestion.Limit
	// Queue and QueueDelay are of the bottleneck, where it is known.
	Queue      int
	QueueDelay time.Duration
}

// State is what the sender is doing, in a word.
func (r *Row) State() string {
	switch {
	case r.Recovery == congestion.RecoveryFast:
		return "recovery"
	case r.Recovery == congestion.RecoveryLoss:
		return "loss"
	case r.Cwnd < r.Ssthresh:
		return "slow-start"
	}
	return "avoidance"
}

// Entry is something that happened to a flow, and the state after it.
type Entry struct {
	Row
	Flow  int
	Name  string // of the algorithm
	Event congestion.Event
	Cause congestion.Cause // of EventCongestion and EventRecovered
	// Tick marks the entries that tables and plots are made of: one in each interval.
	Tick bool
	// Values is the state of the algorithm, of a tick, if it shows any: valid during Put.
	Values []congestion.Value
}

// Sink takes entries. They are its own, but for Values; those of one flow come in the order of
// time.
type Sink interface {
	Put(e *Entry)
}

// Recorders passes records on to several.
type Recorders []congestion.Recorder

// Record gives the record to each.
func (r Recorders) Record(rec *congestion.Record) {
	for _, one := range r {
		one.Record(rec)
	}
}

// Sinks passes entries on to several.
type Sinks []Sink

// Put gives the entry to each.
func (s Sinks) Put(e *Entry) {
	for _, sink := range s {
		sink.Put(e)
	}
}

// Recorder is a congestion.Recorder of one flow that makes entries of records. It belongs to
// the worker of the connection.
type Recorder struct {
	sink  Sink
	start mono.Time
	every time.Duration
	next  mono.Time
	entry Entry
	kept  Event

	values [congestion.InspectMax]congestion.Value // the last that an event had
	shown  int
}

var _ congestion.Recorder = (*Recorder)(nil)

// NewRecorder returns a recorder of a flow by number. Times in the trace are counted from
// start; a tick comes with the first event after each interval, or none if that is 0.
func NewRecorder(sink Sink, flow int, start mono.Time, every time.Duration) *Recorder {
	return &Recorder{sink: sink, start: start, every: every, next: start, entry: Entry{Flow: flow}}
}

// Record makes an entry of what ACKs, episodes and other turns tell. Single segments make
// none; they are counted.
func (r *Recorder) Record(rec *congestion.Record) {
	r.kept.Keep(rec)
	if r.every > 0 && rec.Now >= r.next {
		r.kept.Inspect(rec)
	}
	r.Event(&r.kept)
}

// Event does what Record does, with a record that was kept.
func (r *Recorder) Event(v *Event) {
	e := &r.entry
	if len(v.Values) > 0 {
		r.shown = copy(r.values[:], v.Values)
	}
	switch v.Event {
	case congestion.EventSent:
		if v.Sent.Resent {
			e.Retransmits++
		}
		return
	case congestion.EventLost:
		return
	case congestion.EventAck:
		if v.Ack.Rate.OctetsPerSec > 0 {
			e.Delivery = v.Ack.Rate.OctetsPerSec
		}
	case congestion.EventCongestion, congestion.EventRecovered:
		e.Cause = v.Episode.Cause
	case congestion.EventOpen, congestion.EventSwitch, congestion.EventReplaced:
		if e.Name != v.Name {
			r.shown = copy(r.values[:], v.Values) // what the algorithm before showed is past
		}
		e.Name = v.Name
	case congestion.EventUndo, congestion.EventLimit, congestion.EventClosed:
	}
	e.Row = v.row(e.Row, r.start)
	e.Event = v.Event
	if e.Tick = r.every > 0 && (v.Now >= r.next || v.Event == congestion.EventClosed); e.Tick {
		// The next is on the grid of intervals, so that traces of flows can be laid side by side.
		r.next = r.start.Add((v.Now.Sub(r.start)/r.every + 1) * r.every)
	}
	out := *e
	if out.Tick {
		out.Values = r.values[:r.shown]
	}
	r.sink.Put(&out)
}

// row is the state after an event; what the event does not say stays as it was.
func (e *Event) row(was Row, start mono.Time) Row {
	f := &e.Flow
	was.At = e.Now.Sub(start)
	was.Cwnd, was.Ssthresh, was.InFlight, was.Pacing = e.Window, e.Ssthresh, f.Flight, e.Pacing
	was.SRTT, was.RTTVar, was.MinRTT, was.RTT, was.RTO = f.SRTT, f.RTTVar, f.MinRTT, f.LatestRTT, e.RTO
	was.Delivered, was.Lost = int64(f.Delivered), int64(f.Lost)
	was.Recovery, was.Limit = e.Recovery, e.Limit
	return was
}
