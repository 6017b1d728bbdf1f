package spin

import "testing"

// A connection takes turns once it has waited some times in a row after a write, and goes on
// to while a message takes several waits, as one of several segments does. Bulk ends it.
func TestTurns(t *testing.T) {
	var n Turns
	want := func(wrote, taking bool, what string) {
		t.Helper()
		if got := n.Wait(wrote); got != taking {
			t.Fatalf("%s: got %v, want %v", what, got, taking)
		}
	}
	for range 1000 {
		want(false, false, "data comes that answers nothing")
	}
	want(true, false, "the first answer")
	want(false, false, "data beside it")
	for range turnsTaken - 1 {
		want(true, false, "not often enough in a row")
	}
	for range 1000 {
		want(true, true, "turns")
		for range turnsWaits {
			want(false, true, "the rest of a message")
		}
	}
	for range 1000 {
		want(false, false, "bulk")
	}
	want(true, false, "the first answer after it")
}
