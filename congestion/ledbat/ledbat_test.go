package ledbat_test

import (
	"math"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/congestion/ledbat"
)

const (
	mss = congestiontest.MSS
	ms  = time.Millisecond
)

func TestConformance(t *testing.T) { congestiontest.Run(t, ledbat.New) }

// steady is a flow in its steady state, with a window of segments, that knows a path of base.
func steady(base time.Duration, segments int) *congestiontest.Driver {
	d := congestiontest.NewDriver(ledbat.New())
	d.RTT = base
	d.Round()
	d.SetWindow(segments*mss, 2*mss)
	return d
}

// The window starts with two segments, and slow start grows it by GAIN: 1/2 for a base of
// 100 ms, 1/12 for 10 ms, 1/16 below 7.5 ms.
func TestSlowStart(t *testing.T) {
	for base, gain := range map[time.Duration]float64{100 * ms: 1. / 2, 10 * ms: 1. / 12, ms: 1. / 16, 300 * ms: 1} {
		d := congestiontest.NewDriver(ledbat.New())
		d.RTT = base
		if d.Cwnd() != 2*mss {
			t.Fatalf("cwnd is %d at first, want 2000", d.Cwnd())
		}
		d.Ack(mss)
		before := float64(d.Cwnd())
		d.Ack(mss)
		if got := float64(d.Cwnd()) - before; math.Abs(got-gain*mss) > 1 {
			t.Errorf("base %v: an ACK adds %v octets, want %v", base, got, gain*mss)
		}
	}
}

// Slow start ends when the queue takes more than three quarters of the target.
func TestSlowStartEnds(t *testing.T) {
	for queue, slow := range map[time.Duration]bool{45 * ms: true, 46 * ms: false} {
		d := congestiontest.NewDriver(ledbat.New())
		for range 4 {
			d.Round()
		}
		d.RTT += queue
		d.Round()
		d.Round()
		if d.Flow.InSlowStart() != slow {
			t.Errorf("a queue of %v: slow start is %v, want %v", queue, d.Flow.InSlowStart(), slow)
		}
	}
}

// Below the target a window of ACKs adds GAIN segments, above it takes away what the delay is
// above the target, at most a half.
func TestAvoidance(t *testing.T) {
	for _, tt := range []struct {
		queue time.Duration
		want  float64
	}{{0, 100.5}, {60 * ms, 100.5}, {66 * ms, 90.5}, {90 * ms, 50.5}, {time.Second, 50}} {
		d := steady(100*ms, 100)
		d.RTT += tt.queue
		for range 4 {
			d.AckWith(1, nil) // the filter of four samples is full
		}
		d.SetWindow(100*mss, 2*mss)
		d.Ack(100 * mss)
		if got := float64(d.Cwnd()) / mss; math.Abs(got-tt.want) > 0.02 {
			t.Errorf("a queue of %v: cwnd %v, want %v", tt.queue, got, tt.want)
		}
	}
}

// The first slowdown comes two round trips after slow start, holds two segments for two round
// trips, and ends in slow start to where the window was. The next comes after nine times as
// long.
func TestSlowdown(t *testing.T) {
	d := steady(100*ms, 64)
	var began, held, ended, next time.Duration
	start := d.Now
	for d.Now.Sub(start) < time.Minute && next == 0 {
		before := d.Cwnd()
		d.Round()
		now := d.Now.Sub(start)
		switch {
		case began == 0 && d.Cwnd() < before/2:
			began = now
		case began > 0 && held == 0 && d.Cwnd() > 2*mss:
			held = now
		case held > 0 && ended == 0 && d.Cwnd() >= 64*mss:
			ended = now
		case ended > 0 && d.Cwnd() < before/2:
			next = now
		}
	}
	if began < 200*ms || began > 400*ms || held-began < 200*ms || held-began > 400*ms {
		t.Errorf("slowed down at %v until %v, want for two round trips after two", began, held)
	}
	took := ended - began
	if share := float64(next-ended) / float64(took); ended == 0 || share < 8 || share > 10 {
		t.Errorf("back at %v, slowed down again at %v; want 9 times %v later", ended, next, took)
	}
}

// The delay of the path is forgotten after ten minutes.
func TestBaseIsForgotten(t *testing.T) {
	d := steady(100*ms, 100)
	d.RTT = 500 * ms
	for range 12 {
		d.AckWith(1, nil)
		d.Wait(time.Minute)
	}
	for range 8 {
		d.Round()
	}
	before := d.Cwnd()
	for d.Flow.InSlowStart() {
		d.Round()
	}
	d.Round()
	if d.Cwnd() < before {
		t.Errorf("cwnd went from %d to %d on a path that has become longer", before, d.Cwnd())
	}
}

// A loss halves the window, in a slowdown too, and silence leaves the initial window.
func TestLoss(t *testing.T) {
	d := steady(100*ms, 100)
	d.Round()
	before := d.Cwnd()
	d.Congest(congestion.CauseLoss)
	if d.Cwnd() != before/2 {
		t.Errorf("cwnd %d after a loss, want half of %d", d.Cwnd(), before)
	}
	d.Congest(congestion.CauseIdle)
	if d.Cwnd() != congestiontest.InitialWindow {
		t.Errorf("cwnd %d after silence, want 10000", d.Cwnd())
	}
}

// A connection that it takes over keeps its window, and what is known of the path.
func TestAdopt(t *testing.T) {
	d := steady(100*ms, 50)
	l := ledbat.New()
	l.(congestion.Adopter).Adopt(&d.Flow, d.Now, congestion.State{Name: "cubic"})
	d.Alg, d.RTT = l, 190*ms
	if d.Cwnd() != 50*mss {
		t.Errorf("cwnd is %d, want 50000", d.Cwnd())
	}
	d.Round()
	if d.Cwnd() >= 35*mss {
		t.Errorf("cwnd is %d after a round with 30 ms beyond the target, want half of it gone", d.Cwnd())
	}
}
