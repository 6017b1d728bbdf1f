package vegas_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/congestion/vegas"
)

const mss = congestiontest.MSS

func TestConformance(t *testing.T) { congestiontest.Run(t, vegas.New) }

// Of a window of 40 segments, 40*(1 - 100/RTT) lie in the queue: from 2 to 4 the window stays,
// below it grows by a segment a round, above it shrinks by one.
func TestAvoidance(t *testing.T) {
	for rtt, want := range map[time.Duration]int{
		100 * time.Millisecond: 41, // none
		105 * time.Millisecond: 41, // 1.9
		106 * time.Millisecond: 40, // 2.3
		110 * time.Millisecond: 40, // 3.6
		112 * time.Millisecond: 39, // 4.3
		200 * time.Millisecond: 39, // 20
	} {
		d := congestiontest.NewDriver(vegas.New())
		d.Round() // in which the shortest round trip is learnt
		d.SetWindow(40*mss, 40*mss)
		d.RTT = rtt
		d.Round()
		d.SetWindow(40*mss, 40*mss)
		d.Round()
		if d.Cwnd() != want*mss {
			t.Errorf("round trip %v: cwnd %d, want %d segments", rtt, d.Cwnd(), want)
		}
	}
}

// The options move the bounds: with 6 to 8 segments 4.3 are too few.
func TestOptions(t *testing.T) {
	d := congestiontest.NewDriver(vegas.Config{Alpha: 6, Beta: 8}.New())
	d.Round()
	d.SetWindow(40*mss, 40*mss)
	d.RTT = 112 * time.Millisecond
	d.Round()
	d.SetWindow(40*mss, 40*mss)
	d.Round()
	if d.Cwnd() != 41*mss {
		t.Errorf("cwnd %d, want 41000", d.Cwnd())
	}
}

// Slow start doubles every second round, and ends when more than a segment is queued, with a
// window that the path holds.
func TestSlowStart(t *testing.T) {
	d := congestiontest.NewDriver(vegas.New())
	for range 4 {
		d.Round()
	}
	if d.Cwnd() != 40*mss || !d.Flow.InSlowStart() {
		t.Fatalf("after 4 rounds cwnd %d, want 40000 and slow start", d.Cwnd())
	}
	d.RTT = 125 * time.Millisecond
	for range 2 {
		d.Round()
	}
	if d.Flow.InSlowStart() || d.Cwnd() > 80*mss*100/125+2*mss {
		t.Errorf("cwnd %d, slow start is %v; want at most 66000, and no slow start", d.Cwnd(), d.Flow.InSlowStart())
	}
}

// Too few samples say nothing: Reno grows the window.
func TestFewSamples(t *testing.T) {
	d := congestiontest.NewDriver(vegas.New())
	d.Round()
	d.SetWindow(2*mss, 2*mss)
	d.RTT = time.Second
	for range 3 {
		d.Round()
	}
	if d.Cwnd() < 4*mss || d.Flow.InSlowStart() {
		t.Errorf("cwnd %d, want at least 4000", d.Cwnd())
	}
	d.Congest(congestion.CauseLoss)
	if d.Cwnd() != 2*mss {
		t.Errorf("after a loss cwnd %d, want 2000", d.Cwnd())
	}
}
