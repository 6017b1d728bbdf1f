package spin

import "time"

// Alone says whether data comes in bulk for one connection and for no other, and whether that
// one's reader may receive for itself, which it does only while it is soon back for more: what it takes
// longer for than to copy what it has read had better be done beside the worker.
type Alone struct {
	steps int
	away  time.Duration // mostly, of late
}

const (
	// aloneSteps is how many steps in a row must bring data for one connection alone: of eight that
	// share a link each may have a dozen.
	aloneSteps = 64
	// aloneBack is how soon the reader must be back, mostly: half a megabyte, as much as applications
	// read at once, can be copied by then. Who is interrupted counts for aloneAway at the most, an eighth of
	// which is not too long.
	aloneBack = 60 * time.Microsecond
	aloneAway = 4 * aloneBack
)

// Came takes note of a step that brought data, for the same connection as the last or for another
// one, and says whether that connection is alone.
func (a *Alone) Came(same bool) bool {
	if !same {
		*a = Alone{}
	}
	a.steps = min(a.steps+1, aloneSteps)
	return a.steps == aloneSteps
}

// Back takes note of how long the reader has left the engine to itself, and says whether that
// was short enough.
func (a *Alone) Back(d time.Duration) bool {
	a.away += (min(d, aloneAway) - a.away) / 8
	return a.away <= aloneBack
}
