package stack

const (
	// leadTurns is how often in a row a connection must have waited for data after it had
	// written some, before its reader leads.
	leadTurns = 2
	// leadWaits is how often it may wait for one message: as often as 64 KiB have segments. With
	// the next wait data comes in bulk.
	leadWaits = 45
)

// turns counts how often in a row a connection has waited for the answer to something it has
// written.
type turns struct{ taken, waits uint8 }

// wait takes note of one more wait, with a write before it or not, and says whether the
// connection takes turns with its peer.
func (t *turns) wait(wrote bool) bool {
	t.waits++
	switch {
	case wrote:
		t.taken, t.waits = min(t.taken+1, leadTurns), 0
	case t.taken < leadTurns, t.waits > leadWaits:
		t.taken, t.waits = 0, 0
	}
	return t.taken >= leadTurns
}
