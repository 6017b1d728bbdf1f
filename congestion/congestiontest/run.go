package congestiontest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

// New makes an algorithm for a connection, as stack.Config takes it.
type New = func() congestion.Algorithm

// Run checks an algorithm, and logs a short report:
//
//   - whatever happens, it does not panic, and what it sets lies within bounds by itself, so
//     that nothing is ever clamped but at the upper end (and a rate at the lower one);
//   - the same events lead to the same decisions, whatever other connections do meanwhile, and
//     whatever becomes of an event after it was handled;
//   - nothing is allocated after Init;
//   - if it is an Adopter, all that holds for a live connection that it takes over, and if it
//     is an Inspector, it shows the same names always, and numbers;
//   - if it goes by its window, without pacing: the rules of RFC 5681 that hold for every such
//     algorithm, as steps.
func Run(t *testing.T, alg New) {
	t.Helper()
	run(t, alg)
}

func run(t tester, alg New) {
	t.Helper()
	r := &report{tester: t, name: name(alg())}
	r.all(alg)
	t.Log(r.String())
}

func (r *report) all(alg New) {
	r.Helper()
	if !r.bounds(alg) {
		return // one that panics would end the test
	}
	r.deterministic(alg)
	r.allocations(alg)
	r.adopts(alg)
	if paced(alg) {
		r.note("steps", "not applicable, as it paces")
	} else {
		for _, s := range steps {
			r.step(alg, s)
		}
	}
	r.note("OnAck", fmt.Sprintf("%.1f ns", onAckNanos(alg)))
}

func name(a congestion.Algorithm) string {
	if n := congestion.NameOf(a); n != "" {
		return n
	}
	return fmt.Sprintf("%T", a)
}

// tester is what of testing.T is used.
type tester interface {
	Helper()
	Log(args ...any)
	Errorf(format string, args ...any)
}

// report collects what was found.
type report struct {
	tester
	name  string
	lines []string
}

func (r *report) note(what, how string) {
	r.lines = append(r.lines, fmt.Sprintf("  %-42s %s", what, how))
}

// verdict notes what came of a check; problem is empty if all is well.
func (r *report) verdict(what, good, problem string) {
	r.Helper()
	if problem == "" {
		r.note(what, good)
		return
	}
	r.note(what, "FAILED")
	r.Errorf("%s: %s: %s", r.name, what, problem)
}

// String is the report.
func (r *report) String() string { return r.name + "\n" + strings.Join(r.lines, "\n") }

// How much is tried.
const (
	seeds         = 8
	eventsOfASeed = 30_000
)

// bounds plays chance events and looks at what was set after each.
func (r *report) bounds(alg New) (ok bool) {
	r.Helper()
	low, high := congestion.CwndMax, 0
	for seed := range uint64(seeds) {
		p := newPlay(alg(), seed)
		problem := p.run(eventsOfASeed, func() string {
			low, high = min(low, p.Cwnd()), max(high, p.Cwnd())
			return p.outOfBounds()
		})
		if problem != "" {
			r.verdict("bounds", "", fmt.Sprintf("seed %d, %s", seed, problem))
			return false
		}
	}
	r.verdict("bounds", fmt.Sprintf("%d events of %d seeds, cwnd %d to %d", seeds*eventsOfASeed, seeds, low, high), "")
	return true
}

// deterministic plays the same events several times, disturbed in ways that must not matter.
func (r *report) deterministic(alg New) {
	r.Helper()
	const events = 5000
	once := newPlay(alg(), 1)
	problem := once.run(events, nil)
	other, again := newPlay(alg(), 2), newPlay(alg(), 1)
	again.spoil = true
	for i := 0; i < events && problem == ""; i++ {
		if problem = again.run(1, nil); problem == "" {
			problem = other.run(1, nil)
		}
	}
	if problem == "" && again.digest != once.digest {
		problem = "the same events led to other decisions, while another connection was at work, and events were overwritten after use"
	}
	r.verdict("deterministic", fmt.Sprintf("digest %016x", once.digest), problem)
}

func (r *report) allocations(alg New) {
	r.Helper()
	p := newPlay(alg(), 3)
	problem := p.run(1000, nil)
	if problem == "" {
		const events = 100 // at a time, as the average is rounded down
		p.outOfBounds()    // which makes room for what is shown
		if n := testing.AllocsPerRun(20, func() { p.run(events, p.outOfBounds) }); n != 0 {
			problem = fmt.Sprintf("%v in %d events, want 0", n, events)
		}
	}
	r.verdict("allocations", "none", problem)
}

// paced says whether the algorithm goes by a rate.
func paced(alg New) bool {
	d := NewDriver(alg())
	for range 3 {
		d.Round()
	}
	return d.Flow.Pacing() > 0
}

// onAckNanos is what an ACK costs in congestion avoidance, through the interface: the best of
// several runs.
func onAckNanos(alg New) float64 {
	const acks = 20_000
	d := NewDriver(alg())
	d.SetWindow(100*MSS, 100*MSS)
	d.Ack(MSS)
	best := time.Duration(1 << 62)
	for range 10 {
		a := d.ack
		began := time.Now()
		for range acks {
			a.Now = a.Now.Add(time.Millisecond)
			d.Alg.OnAck(&d.Flow, &a)
		}
		best = min(best, time.Since(began))
		d.Congest(congestion.CauseLoss)
	}
	return float64(best) / acks
}
