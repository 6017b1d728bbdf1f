package stack

import "testing"

// chances has a worker handle something of a new connection n times, and counts its spins.
func chances(g *guess, n int, found bool) (spins int) {
	for range n {
		g.made = true
		if g.spins() {
			spins++
			g.judge(found)
		}
		g.end()
	}
	return spins
}

// A client that comes in time each time is always waited for, also after one that did not.
func TestGuessRight(t *testing.T) {
	var g guess
	if got := chances(&g, 100, true); got != 100 {
		t.Errorf("%d spins at 100 chances, want 100", got)
	}
	chances(&g, 1, false)
	if got := chances(&g, 100, true); got != 99 {
		t.Errorf("%d spins at 100 chances after one in vain, want 99", got)
	}
}

// One that never does costs a spin at the first chances, and then seldom.
func TestGuessWrong(t *testing.T) {
	var g guess
	if got, most := chances(&g, 127, false), 7; got != most {
		t.Errorf("%d spins at the first 127 chances, want %d", got, most)
	}
	if got := chances(&g, 6500, false); got > 101 {
		t.Errorf("%d spins at 6500 chances, want at most 101", got)
	}
	chances(&g, vainMax+1, true)
	if got := chances(&g, 100, true); got != 100 {
		t.Errorf("%d spins at 100 chances when clients are quick again, want 100", got)
	}
}

// Of what nothing is known there is no guess.
func TestNoGuess(t *testing.T) {
	var g guess
	g.judge(false)
	g.end()
	if g.spins() || g.vain != 0 || g.skip != 0 {
		t.Errorf("got %+v, want nothing", g)
	}
}
