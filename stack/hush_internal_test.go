package stack

import (
	"math"
	"testing"
	"time"
)

// Who takes turns without a pause is looked after less often, up to a limit; with the first
// pause it is as at first, and with the first silence over.
func TestWatch(t *testing.T) {
	w := watch{turns: math.MaxUint32}
	turns := w.turns
	want := func(more uint32, d time.Duration) {
		t.Helper()
		turns += more
		if got := w.next(turns); got != d {
			t.Fatalf("after %d more turns: got %v, want %v", more, got, d)
		}
	}
	want(0, 0)
	want(1, watchFirst)
	want(watchBusy-1, watchFirst)
	want(watchBusy, 2*watchFirst)
	for range 10 {
		turns += watchBusy
		w.next(turns)
	}
	want(watchBusy, watchMost)
	want(1, watchFirst)
	want(0, 0)
	want(watchBusy, watchFirst)
}
