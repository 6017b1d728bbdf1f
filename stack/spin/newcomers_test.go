package spin

import "testing"

// chances has a worker handle something of a new connection n times, and counts its spins.
func chances(g *Newcomers, n int, found bool) (spins int) {
	for range n {
		g.Met()
		if g.Due() {
			spins++
			g.Judge(found)
		}
		g.Rest()
	}
	return spins
}

// A client that comes in time each time is always waited for, also after one that did not.
func TestNewcomersInTime(t *testing.T) {
	var g Newcomers
	if got := chances(&g, 100, true); got != 100 {
		t.Errorf("%d spins at 100 chances, want 100", got)
	}
	chances(&g, 1, false)
	if got := chances(&g, 100, true); got != 99 {
		t.Errorf("%d spins at 100 chances after one in vain, want 99", got)
	}
}

// One that never does costs a spin at the first chances, and then seldom.
func TestNewcomersLate(t *testing.T) {
	var g Newcomers
	if got, most := chances(&g, 127, false), 7; got != most {
		t.Errorf("%d spins at the first 127 chances, want %d", got, most)
	}
	if got := chances(&g, 6500, false); got > 101 {
		t.Errorf("%d spins at 6500 chances, want at most 101", got)
	}
	chances(&g, newcomersVain+1, true)
	if got := chances(&g, 100, true); got != 100 {
		t.Errorf("%d spins at 100 chances when clients are quick again, want 100", got)
	}
}

// Of what nothing is known there is no guess.
func TestNoNewcomers(t *testing.T) {
	var g Newcomers
	g.Judge(false)
	g.Rest()
	if g.Due() || g.vain != 0 || g.skip != 0 {
		t.Errorf("got %+v, want nothing", g)
	}
}
