package stack

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

func wantHigh(t *testing.T, tide *tide, want bool, when string) {
	t.Helper()
	if tide.high() != want {
		t.Errorf("%s: high = %v, want %v (level %d)", when, tide.high(), want, tide.level)
	}
}

// The worker looks for more after some batches in a row, and sleeps when that is in vain too often.
func TestTide(t *testing.T) {
	var tide tide
	for range 100 {
		tide.came(tideFrames - 1)
	}
	wantHigh(t, &tide, false, "after ACKs and requests")
	for range tideLow {
		wantHigh(t, &tide, false, "at the start")
		tide.missed()
		tide.came(tideFrames)
	}
	wantHigh(t, &tide, true, "after batches in a row")
	for range 100 {
		for range 4 {
			tide.came(tideFrames)
		}
		tide.missed()
		wantHigh(t, &tide, true, "with one gap in five batches")
	}
	for range 2 * tideMax {
		tide.came(tideFrames)
		tide.missed()
		tide.missed()
	}
	wantHigh(t, &tide, false, "with a gap after each batch")
}

// A silence ends it at once: what comes after may be anything.
func TestTideEndsWithASilence(t *testing.T) {
	var tide tide
	for range tideMax {
		tide.came(tideFrames)
	}
	start := mono.Time(time.Second)
	tide.slept(start, start.Add(tideOut-1))
	wantHigh(t, &tide, true, "after a short sleep")
	tide.slept(start, start.Add(tideOut))
	wantHigh(t, &tide, false, "after a long one")
}

// With one processor who looks would keep those from it whom it waits for.
func TestNoTideOnOneProcessor(t *testing.T) {
	tide := tide{closed: true}
	for range tideMax {
		tide.came(tideFrames)
	}
	wantHigh(t, &tide, false, "on one processor")
}

// A reader that wants to receive for itself ends it at once: what came was a message.
func TestTideEbbs(t *testing.T) {
	var tide tide
	for range tideMax {
		tide.came(tideFrames)
	}
	tide.ebb()
	wantHigh(t, &tide, false, "when a reader wants to lead")
	for range tideLow {
		tide.came(tideFrames)
	}
	wantHigh(t, &tide, true, "when bulk comes after it")
}
