package tcp

import (
	"fmt"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

// guard is deferred around each call of the algorithm. One that panics, or has set what no
// working algorithm sets, is replaced by Reno, which goes on from the window there is. A defer
// on the hot path is against the style; there is no other way to survive a panic, and it
// costs a nanosecond or two.
//
// It cannot help against one that does not return, nor against what Go makes fatal.
func (c *Conn) guard(now mono.Time) {
	if v := recover(); v != nil {
		c.replace(now, fmt.Sprintf("panic: %.200v", v))
	} else if c.flow.Absurd() {
		c.replace(now, "it set a value below zero")
	}
}

// replace puts Reno in the algorithm's place.
func (c *Conn) replace(now mono.Time, why string) {
	c.p.Stats.TCPAlgorithmReplaced++
	c.events |= Replaced
	p := c.plugged()
	p.replaced = nameOf(c.alg) + ": " + why
	c.undo.active = false // the snapshot is of what cannot be trusted
	c.flow.Forgive()
	c.flow.SetPacing(0)
	c.flow.SetQuantum(0)
	c.attach(reno.New())
	c.alg.Init(&c.flow, now)
	c.looked(now, congestion.EventReplaced)
}

// nameOf asks an algorithm for its name, which may go wrong as all else.
func nameOf(alg congestion.Algorithm) (name string) {
	defer func() {
		if recover() != nil {
			name = "unnamed"
		}
	}()
	if name = congestion.NameOf(alg); name == "" {
		name = fmt.Sprintf("%T", alg)
	}
	return name
}

// Replaced says which algorithm the guard replaced by Reno last, and why; "": none.
func (c *Conn) Replaced() string {
	if c.plug == nil {
		return ""
	}
	return c.plug.replaced
}

// SetAlgorithm has another algorithm take over. It keeps the window and ssthresh, and what
// an Adopter takes of the other's state. Before the handshake is done it is the first.
func (c *Conn) SetAlgorithm(now mono.Time, alg congestion.Algorithm) {
	if c.alg == nil {
		c.p.Congestion = func() congestion.Algorithm { return alg }
		return
	}
	state := congestion.State{
		From: c.alg, Name: nameOf(c.alg), Pacing: c.flow.Pacing(), Quantum: c.flow.Quantum(),
		Rate: c.ack.Rate.OctetsPerSec, InRecovery: c.rec.mode != modeOpen, Cause: c.rec.episode.Cause,
		Round: c.rate.round,
	}
	c.undo.active = false // what the other has set is not to be restored
	c.flow.SetPacing(0)
	c.flow.SetQuantum(0)
	c.flow.Flight = c.pipe()
	c.adopt(now, alg, state)
	c.looked(now, congestion.EventSwitch)
}

func (c *Conn) adopt(now mono.Time, alg congestion.Algorithm, from congestion.State) {
	defer c.guard(now)
	c.attach(alg)
	if a, ok := alg.(congestion.Adopter); ok {
		a.Adopt(&c.flow, now, from)
		return
	}
	alg.Init(&c.flow, now)
}

// Configure sets an option of the algorithm while it runs.
func (c *Conn) Configure(now mono.Time, name, value string) (err error) {
	a, ok := c.alg.(congestion.Configurable)
	if !ok {
		return fmt.Errorf("tcp: configure %s: it takes no options while it runs", nameOf(c.alg))
	}
	err = fmt.Errorf("tcp: configure %s: it was replaced", nameOf(c.alg))
	defer c.guard(now)
	err = a.Configure(&c.flow, name, value)
	return err
}

// Inspect appends the state of the algorithm to v, if it shows any, and returns it.
func (c *Conn) Inspect(now mono.Time, v []congestion.Value) (all []congestion.Value) {
	a, ok := c.alg.(congestion.Inspector)
	if !ok {
		return v
	}
	all = v
	defer c.guard(now)
	return a.Inspect(v)
}
