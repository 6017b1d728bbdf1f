package spin

import (
	"math"
	"testing"
	"time"
)

// Who takes turns without a pause is looked after less often, up to a limit; with the first
// pause it is as at first, and with the first silence over.
func TestWatch(t *testing.T) {
	w := Watch{turns: math.MaxUint32}
	turns := w.turns
	want := func(more uint32, d time.Duration) {
		t.Helper()
		turns += more
		if got := w.Next(turns); got != d {
			t.Fatalf("after %d more turns: got %v, want %v", more, got, d)
		}
	}
	want(0, 0)
	want(1, WatchFirst)
	want(watchBusy-1, WatchFirst)
	want(watchBusy, 2*WatchFirst)
	for range 10 {
		turns += watchBusy
		w.Next(turns)
	}
	want(watchBusy, watchMost)
	want(1, WatchFirst)
	want(0, 0)
	want(watchBusy, WatchFirst)
}
