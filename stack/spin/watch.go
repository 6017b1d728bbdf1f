package spin

import "time"

// Watch says when to look whether readers still come. Frames for others that come after the last
// turn of a connection wait for that, at most twice as long; but each look wakes a thread, which
// takes the processor from one of the ends, or moves it to another. Over a veth, both ends ours
// on two processors, one in a hundred turns took 82 to 102 us with a look a millisecond, and 69 to 96 with
// an eighth of them. Half of them are fewer than one in a hundred turns at such a pace, and have nobody
// wait for more than 4 ms.
type Watch struct {
	turns uint32 // as it was seen last
	every time.Duration
}

const (
	// WatchFirst is how long it is to the next look at first, and watchMost at the most: twice as
	// long each time that watchBusy turns were seen. A connection that stops to think between
	// its turns has others wait as long as at first.
	WatchFirst = time.Millisecond
	watchMost  = 2 * time.Millisecond
	watchBusy  = 8
)

// Next takes note of how many turns there were altogether, and returns how long it is to the next
// look: 0 if there were none since the last.
func (w *Watch) Next(turns uint32) time.Duration {
	switch seen := turns - w.turns; {
	case seen >= watchBusy:
		w.every = min(max(2*w.every, WatchFirst), watchMost)
	case seen > 0:
		w.every = WatchFirst
	default:
		w.every = 0
	}
	w.turns = turns
	return w.every
}
