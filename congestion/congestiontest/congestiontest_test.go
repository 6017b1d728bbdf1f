package congestiontest

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

func TestReno(t *testing.T) { Run(t, reno.New) }

// recorder is a test that may fail.
type recorder struct {
	failed []string
	logged string
}

func (r *recorder) Helper()         {}
func (r *recorder) Log(args ...any) { r.logged += fmt.Sprint(args...) }
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// wrong is Reno, but for what onAck and onCongestion do after it.
type wrong struct {
	congestion.Algorithm
	acks         int
	kept         *congestion.Ack
	garbage      []byte
	onAck        func(w *wrong, f *congestion.Flow, a *congestion.Ack)
	onCongestion func(w *wrong, f *congestion.Flow)
}

func (w *wrong) Init(f *congestion.Flow, now mono.Time) {
	w.Algorithm = reno.New()
	w.Algorithm.Init(f, now)
}

func (w *wrong) OnAck(f *congestion.Flow, a *congestion.Ack) {
	w.Algorithm.OnAck(f, a)
	w.acks++
	if w.onAck != nil {
		w.onAck(w, f, a)
	}
}

func (w *wrong) OnCongestion(f *congestion.Flow, e *congestion.Congestion) {
	w.Algorithm.OnCongestion(f, e)
	if w.onCongestion != nil {
		w.onCongestion(w, f)
	}
}

// Each mistake is found, and named.
func TestMistakesAreFound(t *testing.T) {
	shared := 0
	for want, w := range map[string]wrong{
		"panic: at the 1000th": {onAck: func(w *wrong, _ *congestion.Flow, _ *congestion.Ack) {
			if w.acks == 1000 {
				panic("at the 1000th")
			}
		}},
		"a value below zero": {onAck: func(_ *wrong, f *congestion.Flow, a *congestion.Ack) {
			f.SetCwnd(-f.Cwnd())
		}},
		"set below its least": {onAck: func(_ *wrong, f *congestion.Flow, a *congestion.Ack) {
			f.SetCwnd(f.MSS - 1)
		}},
		"octets a second": {onAck: func(_ *wrong, f *congestion.Flow, a *congestion.Ack) {
			f.SetPacing(math.MaxInt64)
		}},
		"other decisions": {onAck: func(_ *wrong, f *congestion.Flow, _ *congestion.Ack) {
			shared++
			f.SetCwnd(f.Cwnd() + shared%7)
		}},
		"overwritten after use": {onAck: func(w *wrong, f *congestion.Flow, a *congestion.Ack) {
			if w.kept == nil {
				w.kept = a
			}
		}, onCongestion: func(w *wrong, f *congestion.Flow) {
			if w.kept != nil {
				f.SetQuantum(max(0, w.kept.CumAcked))
			}
		}},
		"in 100 events, want 0": {onAck: func(w *wrong, _ *congestion.Flow, _ *congestion.Ack) {
			w.garbage = make([]byte, 10)
		}},
		"slow start at most doubles": {onAck: func(_ *wrong, f *congestion.Flow, _ *congestion.Ack) {
			f.SetCwnd(f.Cwnd() + 2*f.MSS)
		}},
		"a loss takes away": {onCongestion: func(_ *wrong, f *congestion.Flow) { f.SetCwnd(1 << 20) }},
		"silence does not":  {onCongestion: func(_ *wrong, f *congestion.Flow) { f.SetCwnd(1 << 20) }},
	} {
		r := &recorder{}
		run(r, func() congestion.Algorithm { v := w; return &v })
		if !strings.Contains(strings.Join(r.failed, "\n"), want) || !strings.Contains(r.logged, "FAILED") {
			t.Errorf("failed with %q, want %q; the report:\n%s", r.failed, want, r.logged)
		}
	}
}

// shower is Reno that shows what show returns.
type shower struct {
	wrong
	show func(w *wrong, v []congestion.Value) []congestion.Value
}

func (s *shower) Inspect(v []congestion.Value) []congestion.Value { return s.show(&s.wrong, v) }

// What an Inspector shows has always the same names, and is not made anew each time.
func TestMistakesOfInspectorsAreFound(t *testing.T) {
	for want, show := range map[string]func(w *wrong, v []congestion.Value) []congestion.Value{
		"at most 16 are": func(w *wrong, v []congestion.Value) []congestion.Value {
			for range 17 {
				v = append(v, congestion.Value{Name: "x"})
			}
			return v
		},
		"want a number": func(w *wrong, v []congestion.Value) []congestion.Value {
			return append(v, congestion.Value{Name: "x", Number: math.Log(float64(100 - w.acks))})
		},
		`want a number for "x0"`: func(w *wrong, v []congestion.Value) []congestion.Value {
			return append(v, congestion.Value{Name: fmt.Sprint("x", w.acks/10)})
		},
		"in 100 events, want 0": func(_ *wrong, v []congestion.Value) []congestion.Value {
			return append(make([]congestion.Value, 0, 1), congestion.Value{Name: "x"})
		},
	} {
		r := &recorder{}
		run(r, func() congestion.Algorithm { return &shower{show: show} })
		if !strings.Contains(strings.Join(r.failed, "\n"), want) {
			t.Errorf("failed with %q, want %q", r.failed, want)
		}
	}
}

// listener counts what all of its kind are told beyond the three methods.
type listener struct {
	wrong
	*told
}

type told struct{ sent, lost, recovered, adopted int }

func (l *listener) OnSent(*congestion.Flow, *congestion.Sent)            { l.sent++ }
func (l *listener) OnLost(*congestion.Flow, *congestion.Lost)            { l.lost++ }
func (l *listener) OnRecovered(*congestion.Flow, *congestion.Congestion) { l.recovered++ }
func (l *listener) Adopt(f *congestion.Flow, now mono.Time, _ congestion.State) {
	l.adopted++
	l.Init(f, now)
}

// Who listens is told, and passes.
func TestOptionalInterfaces(t *testing.T) {
	l := &told{}
	Run(t, func() congestion.Algorithm { return &listener{told: l} })
	if l.sent == 0 || l.lost == 0 || l.recovered == 0 || l.adopted != 1 {
		t.Errorf("told of %d segments sent, %d lost, %d recoveries, %d adoptions; want some, some, some, 1",
			l.sent, l.lost, l.recovered, l.adopted)
	}
}

// The driver is the stack's part of the game: rounds take a round trip, and a time-out leaves
// one segment.
func TestDriver(t *testing.T) {
	d := NewDriver(reno.New())
	began := d.Now
	d.Round()
	if got := d.Now.Sub(began); got != RTT || d.Cwnd() != 20*MSS || d.Flow.SRTT != RTT || d.Flow.Delivered != 10*MSS {
		t.Errorf("a round took %v: cwnd %d, SRTT %v, %d delivered; want %v, 20000, %v, 10000",
			got, d.Cwnd(), d.Flow.SRTT, d.Flow.Delivered, RTT, RTT)
	}
	d.Congest(congestion.CauseRTO)
	if d.Cwnd() != MSS || d.Flow.Ssthresh() != 10*MSS {
		t.Errorf("after a time-out cwnd %d, ssthresh %d; want 1000, 10000", d.Cwnd(), d.Flow.Ssthresh())
	}
	d.Undo(20*MSS, 30*MSS)
	if d.Cwnd() != 20*MSS || d.Flow.Ssthresh() != 30*MSS {
		t.Errorf("taken back: cwnd %d, ssthresh %d; want 20000, 30000", d.Cwnd(), d.Flow.Ssthresh())
	}
}

// estimator is Reno that goes down to what it takes the path to hold, as Westwood does.
type estimator struct{ wrong }

func (e *estimator) OnCongestion(f *congestion.Flow, c *congestion.Congestion) {
	if c.Cause == congestion.CauseIdle {
		f.SetCwnd(min(f.Cwnd(), f.IW))
		return
	}
	f.SetSsthresh(max(min(f.Cwnd(), 15_000), 2*f.MSS))
	f.SetCwnd(min(f.Cwnd(), f.Ssthresh()))
}

// Who goes by an estimate need not come down to two segments, however often it is told of loss.
func TestEstimatesMayHold(t *testing.T) {
	r := &recorder{}
	run(r, func() congestion.Algorithm { return new(estimator) })
	if failed := strings.Join(r.failed, "\n"); strings.Contains(failed, "loss upon loss") {
		t.Errorf("failed with %q", failed)
	}
}
