package main

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/mono"
)

// MyCC grows as Reno does, keeps more of its window at a loss, and spreads the window over
// the round trip instead of sending it in bursts. It is a place to begin, not advice.
type MyCC struct {
	beta  float64 // what a loss leaves of the window
	acked int     // octets acknowledged since the window last grew
}

// entry makes it known by name, with its option.
func entry() catalog.Entry {
	return catalog.Entry{
		Name:    "mycc",
		About:   "Reno that gives less away and is paced",
		Options: []catalog.Option{{Name: "beta", Values: "0.1 to 0.95", Default: "0.7", About: "what a loss leaves of the window"}},
		New: func(v catalog.Values) (catalog.Maker, error) {
			beta, err := v.Float("beta", 0.7, 0.1, 0.95)
			return func() congestion.Algorithm { return &MyCC{beta: beta} }, err
		},
	}
}

// algorithms is those of millrace, and this one.
func algorithms() catalog.Table { return append(catalog.All(), entry()) }

// Name is what Info and plots call it.
func (m *MyCC) Name() string { return "mycc" }

// Init starts from the window that the stack has set.
func (m *MyCC) Init(f *congestion.Flow, _ mono.Time) {
	m.acked = 0
	m.pace(f)
}

// OnAck grows the window while it is what limits the connection.
func (m *MyCC) OnAck(f *congestion.Flow, a *congestion.Ack) {
	defer m.pace(f)
	switch {
	case a.InRecovery || !a.CwndLimited:
	case f.InSlowStart():
		f.SetCwnd(f.Cwnd() + min(a.CumAcked, 2*f.MSS))
	default:
		m.acked += a.CumAcked
		if m.acked >= f.Cwnd() {
			m.acked -= f.Cwnd()
			f.SetCwnd(f.Cwnd() + f.MSS)
		}
	}
}

// OnCongestion is called once an episode.
func (m *MyCC) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	m.acked = 0
	if e.Cause == congestion.CauseIdle {
		f.SetCwnd(min(f.Cwnd(), f.IW))
		return
	}
	f.SetSsthresh(max(int(m.beta*float64(e.Flight)), 2*f.MSS))
	f.SetCwnd(f.Ssthresh())
}

// pace spreads a window and a quarter over a round trip, two windows in slow start.
func (m *MyCC) pace(f *congestion.Flow) {
	if f.SRTT == 0 {
		return
	}
	window := int64(f.Cwnd()) * 5 / 4
	if f.InSlowStart() {
		window = int64(f.Cwnd()) * 2
	}
	f.SetPacing(max(congestion.PacingMin, window*int64(time.Second)/int64(f.SRTT)))
}

// Inspect shows its state in plots and traces.
func (m *MyCC) Inspect(v []congestion.Value) []congestion.Value {
	return append(v, congestion.Value{Name: "acked", Number: float64(m.acked)})
}
