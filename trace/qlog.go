package trace

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"encoding/json"

	"github.com/millrace-tcp/millrace/congestion"
)

// Qlog writes one flow as qlog, in JSON text sequences (RFC 7464): a record for each change
// of the metrics of recovery, with what caused it, and one for each change of state. Its form
// is that of the drafts that tools read, version 0.3 of the main schema, with the names of
// the events for QUIC; fields that TCP has no use for are left out.
// https://datatracker.ietf.org/doc/html/draft-ietf-quic-qlog-main-schema-02
// https://datatracker.ietf.org/doc/html/draft-ietf-quic-qlog-quic-events-01
type Qlog struct {
	w     *bufio.Writer
	buf   []byte
	last  Row
	begun bool
	state string
}

// QlogHead is what a qlog says of itself.
type QlogHead struct {
	Title, Description string
	Flow               string // names the connection
	Virtual            bool   // times count from the beginning of a simulation
	Reference          time.Time
}

// recordSeparator begins each text of a sequence. https://www.rfc-editor.org/rfc/rfc7464.html#section-2.2
const recordSeparator = 0x1e

// NewQlog begins a log.
func NewQlog(w io.Writer, head QlogHead) *Qlog {
	type vantage struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	common := map[string]any{"time_format": "relative", "protocol_type": []string{"TCP"}, "group_id": head.Flow}
	common["reference_time"] = 0
	if !head.Virtual {
		common["reference_time"] = float64(head.Reference.UnixMicro()) / 1e3
	}
	q := &Qlog{w: bufio.NewWriter(w)}
	q.put(map[string]any{
		"qlog_version": "0.3", "qlog_format": "JSON-SEQ", "title": head.Title, "description": head.Description,
		"trace": map[string]any{"vantage_point": vantage{"millrace", "server"}, "title": head.Flow, "common_fields": common},
	})
	return q
}

// put writes a record of any form; an error waits for Close.
func (q *Qlog) put(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: trace: " + err.Error()) // what is handed in is made here
	}
	_ = q.w.WriteByte(recordSeparator)
	_, _ = q.w.Write(append(b, '\n'))
}

// Put writes what has changed with an entry.
func (q *Qlog) Put(e *Entry) {
	if s := e.State(); s != q.state {
		q.event(e.At, "recovery:congestion_state_updated")
		if q.state != "" {
			q.text("old", q.state)
		}
		q.text("new", s)
		q.text("trigger", trigger(e))
		q.end()
		q.state = s
	}
	q.metrics(e)
	q.last, q.begun = e.Row, true
}

// metrics is recovery:metrics_updated: "emitted when one or more of the observable recovery
// metrics changes value"; what has not changed is left out.
func (q *Qlog) metrics(e *Entry) {
	l := &q.last
	changed := !q.begun || e.MinRTT != l.MinRTT || e.SRTT != l.SRTT || e.RTT != l.RTT || e.RTTVar != l.RTTVar ||
		e.Cwnd != l.Cwnd || e.InFlight != l.InFlight || e.Ssthresh != l.Ssthresh || e.Pacing != l.Pacing
	if !changed {
		return
	}
	q.event(e.At, "recovery:metrics_updated")
	millis := func(name string, now, was time.Duration) {
		if now != was {
			q.key(name)
			q.buf = strconv.AppendFloat(q.buf, float64(now)/1e6, 'f', -1, 64)
		}
	}
	number := func(name string, now, was int64) {
		if now != was {
			q.key(name)
			q.buf = strconv.AppendInt(q.buf, now, 10)
		}
	}
	millis("min_rtt", e.MinRTT, l.MinRTT)
	millis("smoothed_rtt", e.SRTT, l.SRTT)
	millis("latest_rtt", e.RTT, l.RTT)
	millis("rtt_variance", e.RTTVar, l.RTTVar)
	number("congestion_window", int64(e.Cwnd), int64(l.Cwnd))
	number("bytes_in_flight", int64(e.InFlight), int64(l.InFlight))
	if e.Ssthresh < math.MaxInt32 {
		number("ssthresh", int64(e.Ssthresh), int64(l.Ssthresh)) // what is arbitrarily high is no number yet
	}
	number("pacing_rate", 8*e.Pacing, 8*l.Pacing) // "in bits per second"
	q.text("trigger", trigger(e))
	q.end()
}

// trigger is the cause of a change.
func trigger(e *Entry) string {
	if e.Event == congestion.EventCongestion {
		return e.Cause.String()
	}
	return e.Event.String()
}

// event begins an event. What follows are the members of its data.
func (q *Qlog) event(at time.Duration, name string) {
	q.buf = append(q.buf[:0], recordSeparator)
	q.buf = append(q.buf, `{"time":`...)
	q.buf = strconv.AppendFloat(q.buf, float64(at)/1e6, 'f', -1, 64)
	q.buf = append(q.buf, `,"name":"`...)
	q.buf = append(q.buf, name...)
	q.buf = append(q.buf, `","data":{`...)
}

func (q *Qlog) key(name string) {
	if q.buf[len(q.buf)-1] != '{' {
		q.buf = append(q.buf, ',')
	}
	q.buf = append(append(append(q.buf, '"'), name...), '"', ':')
}

// text writes a word, which needs no escape.
func (q *Qlog) text(name, word string) {
	q.key(name)
	q.buf = append(append(append(q.buf, '"'), word...), '"')
}

func (q *Qlog) end() {
	q.buf = append(q.buf, "}}\n"...)
	_, _ = q.w.Write(q.buf)
}

// Close ends the log. The writer below stays open.
func (q *Qlog) Close() error {
	if err := q.w.Flush(); err != nil {
		return fmt.Errorf("trace: write qlog: %w", err)
	}
	return nil
}
