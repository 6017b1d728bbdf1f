package spin

import "time"

// Newcomers says whether a worker without work, or the reader of such a connection, is to look for
// what comes next of connections that are too new to be known to take turns: the question after
// the handshake, the end after the answer, and the next connection of a client that makes one
// after the other. Where these come sooner than a thread is woken that pays; after each look in
// vain there are none for longer, so that of clients far away it costs next to nothing.
type Newcomers struct {
	made bool // something of a new connection was handled since the worker has slept
	vain int  // spins to leave out after the next one that is in vain
	skip int  // spins that are still left out
}

const (
	// NewcomersFor is how long to look at the most. What a kernel's client does between two of its
	// segments takes it 40 to 60 us over a veth, and half as much again where it has to be
	// woken on a processor that was halted.
	NewcomersFor = 100 * time.Microsecond
	// newcomersVain is how many looks are left out at the most: of a client that never comes in
	// time one in 65 chances costs NewcomersFor.
	newcomersVain = 64
)

// Met says that something of a new connection was handled.
func (n *Newcomers) Met() { n.made = true }

// Due says whether to look.
func (n *Newcomers) Due() bool { return n.made && n.skip == 0 }

// Judge takes note of whether a spin has found something.
func (n *Newcomers) Judge(found bool) {
	switch {
	case !n.Due():
	case found:
		n.vain = 0
	default:
		n.vain = min(max(1, 2*n.vain), newcomersVain)
		n.skip = n.vain
		n.made = false
	}
}

// Rest is called when the worker is about to sleep.
func (n *Newcomers) Rest() {
	if n.made && n.skip > 0 {
		n.skip--
	}
	n.made = false
}
