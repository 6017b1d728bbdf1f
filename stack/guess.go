package stack

// guess is whether a worker without work spins for what comes next of connections of handlers
// that are too new to be known to take turns: the question after the handshake, the end after the
// answer, and the next connection of a client that makes one after the other. Where these come
// sooner than a thread is woken that pays; after each spin that was in vain the worker does without for
// longer, so that of clients far away it costs next to nothing.
type guess struct {
	made bool // something of a new connection was handled since the worker has slept
	vain int  // spins to leave out after the next one that is in vain
	skip int  // spins that are still left out
}

// vainMax is how many spins are left out at the most: of a client that never comes in time one
// in 65 chances costs 50 us.
const vainMax = 64

// spins says whether the worker is to spin.
func (g *guess) spins() bool { return g.made && g.skip == 0 }

// judge takes note of whether a spin has found something.
func (g *guess) judge(found bool) {
	switch {
	case !g.spins():
	case found:
		g.vain = 0
	default:
		g.vain = min(max(1, 2*g.vain), vainMax)
		g.skip = g.vain
		g.made = false
	}
}

// end is called when the worker is about to sleep.
func (g *guess) end() {
	if g.made && g.skip > 0 {
		g.skip--
	}
	g.made = false
}
