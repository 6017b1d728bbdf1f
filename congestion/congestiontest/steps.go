package congestiontest

import (
	"fmt"

	"github.com/millrace-tcp/millrace/congestion"
)

// step is a rule for every algorithm that goes by its window. check returns what happened, and
// whether that is right.
type step struct {
	name  string
	check func(d *Driver) (got string, ok bool)
}

// steps are the rules. https://www.rfc-editor.org/rfc/rfc5681.html#section-3.1
var steps = []step{
	{"no more than the initial window at first", initialStep},
	{"slow start at most doubles a round", slowStartStep},
	{"no growth that the application did not use", unusedStep},
	{"a loss takes away some of the window", lossStep},
	{"no growth in recovery", recoveryStep},
	{"loss upon loss: two segments, or an estimate", lossesStep},
	{"a time-out lowers ssthresh", timeoutStep},
	{"silence does not widen the window", idleStep},
}

func (r *report) step(alg New, s step) {
	r.Helper()
	got, ok := s.check(NewDriver(alg()))
	if ok {
		r.verdict(s.name, got, "")
	} else {
		r.verdict(s.name, "", "got "+got)
	}
}

// moved describes a window before and after.
func moved(before, after int) string { return fmt.Sprintf("cwnd %d, then %d", before, after) }

func initialStep(d *Driver) (string, bool) {
	return fmt.Sprintf("cwnd %d", d.Cwnd()), d.Cwnd() <= InitialWindow
}

// O2, the upper bound of what slow start may do: 10, 20, 40, 80, 160, 320 segments.
func slowStartStep(d *Driver) (string, bool) {
	got := fmt.Sprint(d.Cwnd() / MSS)
	ok := true
	for range 5 {
		before := d.Cwnd()
		d.Round()
		got += fmt.Sprintf(", %d", d.Cwnd()/MSS)
		ok = ok && d.Cwnd() <= 2*before
	}
	return got, ok
}

// "a TCP ... SHOULD NOT" grow what was not filled (RFC 7661, RFC 2861).
func unusedStep(d *Driver) (string, bool) {
	before := d.Cwnd()
	for range 5 {
		d.RoundWith(func(a *congestion.Ack) { a.CwndLimited = false })
	}
	return moved(before, d.Cwnd()), d.Cwnd() <= before
}

func lossStep(d *Driver) (string, bool) {
	grow(d)
	before := d.Cwnd()
	d.Congest(congestion.CauseLoss)
	got := fmt.Sprintf("%s, ssthresh %d", moved(before, d.Cwnd()), d.Flow.Ssthresh())
	return got, d.Cwnd() < before && d.Flow.Ssthresh() < before
}

func recoveryStep(d *Driver) (string, bool) {
	grow(d)
	d.Congest(congestion.CauseLoss)
	before := d.Cwnd()
	for range 2 {
		d.RoundWith(func(a *congestion.Ack) { a.InRecovery = true })
	}
	return moved(before, d.Cwnd()), d.Cwnd() <= before
}

// O3: ssthresh is never below 2*SMSS, and who goes by the window comes down to that. Who goes by
// an estimate of the path, which no ACK has changed meanwhile, stays there.
func lossesStep(d *Driver) (string, bool) {
	grow(d)
	d.Congest(congestion.CauseLoss)
	first := d.Cwnd()
	for range 200 {
		d.Congest(congestion.CauseLoss)
	}
	got := fmt.Sprintf("cwnd %d and in the end %d, ssthresh %d", first, d.Cwnd(), d.Flow.Ssthresh())
	return got, d.Flow.Ssthresh() >= 2*MSS && (d.Cwnd() == 2*MSS || d.Cwnd() == first)
}

func timeoutStep(d *Driver) (string, bool) {
	grow(d)
	before := d.Cwnd()
	d.Congest(congestion.CauseRTO)
	got := fmt.Sprintf("ssthresh %d of %d", d.Flow.Ssthresh(), before)
	return got, d.Flow.Ssthresh() < before && d.Flow.Ssthresh() >= 2*MSS
}

func idleStep(d *Driver) (string, bool) {
	grow(d)
	before := d.Cwnd()
	d.Congest(congestion.CauseIdle)
	return moved(before, d.Cwnd()), d.Cwnd() <= before
}

// grow opens the window to where a loss can be felt.
func grow(d *Driver) {
	for range 3 {
		d.Round()
	}
	d.SetWindow(max(d.Cwnd(), 40*MSS), max(d.Cwnd(), 40*MSS))
	d.Round()
}
