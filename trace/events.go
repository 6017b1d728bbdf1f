package trace

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
)

// Event is a congestion.Record that can be kept: a copy of all that it points to, but for the
// algorithm, of which it has the name.
type Event struct {
	Now       mono.Time
	Event     congestion.Event
	Name      string          `json:",omitempty"` // of EventOpen, EventSwitch and EventReplaced
	Flow      congestion.Flow // the measurements
	Cwnd      int             // and the controls
	Ssthresh  int
	Pacing    int64                  `json:",omitempty"`
	Window    int                    // cwnd in force
	RTO       time.Duration          `json:",omitempty"`
	Recovery  congestion.Recovery    `json:",omitempty"`
	Limit     congestion.Limit       `json:",omitempty"`
	Ack       *congestion.Ack        `json:",omitempty"`
	Episode   *congestion.Congestion `json:",omitempty"`
	Sent      *congestion.Sent       `json:",omitempty"`
	Lost      *congestion.Lost       `json:",omitempty"`
	Values    []congestion.Value     `json:"-"` // of Inspect: what the algorithm shows of its state
	keptAck   congestion.Ack
	keptOther struct {
		episode congestion.Congestion
		sent    congestion.Sent
		lost    congestion.Lost
		values  [congestion.InspectMax]congestion.Value
	}
}

// Keep makes the event a copy of a record. It points into itself: it is not to be copied.
func (e *Event) Keep(r *congestion.Record) {
	e.Now, e.Event, e.Flow = r.Now, r.Event, *r.Flow
	e.Cwnd, e.Ssthresh, e.Pacing = r.Flow.Cwnd(), r.Flow.Ssthresh(), r.Flow.Pacing()
	e.Window, e.RTO, e.Recovery, e.Limit = r.Window, r.RTO, r.Recovery, r.Limit
	e.Name, e.Ack, e.Episode, e.Sent, e.Lost, e.Values = "", nil, nil, nil, nil, nil
	if r.Ack != nil {
		e.keptAck = *r.Ack
		e.Ack = &e.keptAck
	}
	if r.Congestion != nil {
		e.keptOther.episode = *r.Congestion
		e.Episode = &e.keptOther.episode
	}
	if r.Sent != nil {
		e.keptOther.sent = *r.Sent
		e.Sent = &e.keptOther.sent
	}
	if r.Lost != nil {
		e.keptOther.lost = *r.Lost
		e.Lost = &e.keptOther.lost
	}
	switch r.Event {
	case congestion.EventOpen, congestion.EventSwitch, congestion.EventReplaced:
		e.Name = congestion.NameOf(r.Algorithm)
	case congestion.EventAck, congestion.EventCongestion, congestion.EventRecovered, congestion.EventUndo,
		congestion.EventSent, congestion.EventLost, congestion.EventLimit, congestion.EventClosed:
	}
}

// Inspect adds what the algorithm of a record shows of its state, if it does. One that panics
// shows nothing.
func (e *Event) Inspect(r *congestion.Record) {
	defer func() {
		if recover() != nil {
			e.Values = nil
		}
	}()
	if i, ok := r.Algorithm.(congestion.Inspector); ok {
		v := i.Inspect(e.keptOther.values[:0])
		e.Values = v[:min(len(v), congestion.InspectMax)]
	}
}

// Events writes the events of one flow, for Replay: JSON, one a line, compressed by gzip.
type Events struct {
	zip  *gzip.Writer
	enc  *json.Encoder
	kept Event
	err  error
}

var _ congestion.Recorder = (*Events)(nil)

// NewEvents begins a file of events.
func NewEvents(w io.Writer) *Events {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic("BUG: trace: " + err.Error()) // the level is a good one
	}
	return &Events{zip: zip, enc: json.NewEncoder(zip)}
}

// Record writes a record, in virtual time; a worker on a NIC keeps an Event instead, for
// another goroutine to Write.
func (v *Events) Record(r *congestion.Record) {
	v.kept.Keep(r)
	v.Write(&v.kept)
}

// Write writes an event. What goes wrong is found by Close.
func (v *Events) Write(e *Event) {
	if v.err == nil {
		v.err = v.enc.Encode(e)
	}
}

// Close ends the file. The writer below stays open.
func (v *Events) Close() error {
	if err := errors.Join(v.err, v.zip.Close()); err != nil {
		return fmt.Errorf("trace: write events: %w", err)
	}
	return nil
}

// lineMax bounds a line of a file of events; one takes about a kilooctet.
const lineMax = 16 << 10

// ReadEvents calls f for each event of a file, in order, until it returns an error. It
// refuses what no connection could have recorded.
func ReadEvents(r io.Reader, f func(e *Event) error) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("trace: read events: %w", err)
	}
	lines := bufio.NewScanner(zip)
	lines.Buffer(make([]byte, 0, 4<<10), lineMax)
	last := mono.Time(0)
	no := 0
	for lines.Scan() {
		no++
		e := new(Event)
		if err := json.Unmarshal(lines.Bytes(), e); err != nil {
			return fmt.Errorf("trace: read events: line %d: %w", no, err)
		}
		if err := e.check(last); err != nil {
			return fmt.Errorf("trace: read events: line %d: %w", no, err)
		}
		last = e.Now
		if err := f(e); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case err != nil:
		return fmt.Errorf("trace: read events: line %d: %w", no+1, err)
	case no == 0:
		return errors.New("trace: read events: there are none")
	}
	return nil
}

// check says what is wrong with an event that follows one of a time.
func (e *Event) check(last mono.Time) error {
	f := &e.Flow
	switch {
	case e.Now < last:
		return fmt.Errorf("%d ns is before the event above", e.Now)
	case e.Event > congestion.EventClosed:
		return fmt.Errorf("there is no event %d", e.Event)
	case e.Event == congestion.EventAck && e.Ack == nil, e.Event == congestion.EventSent && e.Sent == nil,
		e.Event == congestion.EventLost && e.Lost == nil,
		(e.Event == congestion.EventCongestion || e.Event == congestion.EventRecovered) && e.Episode == nil:
		return fmt.Errorf("an event %q lacks what it is about", e.Event)
	case f.MSS < 1 || f.MSS > 1<<16 || f.IW < 0 || f.Flight < 0 || e.Cwnd < 0 || e.Window < 0 || e.Ssthresh < 0:
		return errors.New("a size is out of bounds")
	case f.SRTT < 0 || f.RTTVar < 0 || f.MinRTT < 0 || f.LatestRTT < 0:
		return errors.New("a round trip is negative")
	}
	return nil
}
