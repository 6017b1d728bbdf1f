package spin

const (
	// turnsTaken is how often in a row a connection must have waited for data after it had
	// written some, before its reader leads.
	turnsTaken = 2
	// turnsWaits is how often it may wait for one message: as often as 64 KiB have segments. With
	// the next wait data comes in bulk.
	turnsWaits = 45
)

// Turns counts how often in a row a connection has waited for the answer to something it has
// written.
type Turns struct{ taken, waits uint8 }

// Wait takes note of one more wait, with a write before it or not, and says whether the
// connection takes turns with its peer.
func (t *Turns) Wait(wrote bool) bool {
	t.waits++
	switch {
	case wrote:
		t.taken, t.waits = min(t.taken+1, turnsTaken), 0
	case t.taken < turnsTaken, t.waits > turnsWaits:
		t.taken, t.waits = 0, 0
	}
	return t.taken >= turnsTaken
}
