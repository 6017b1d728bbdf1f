package tcp

import "testing"

// A window that the sender was blocked by once does not grow while what is in flight leaves more
// than half of it empty: something else, such as a link without free frames, holds data back.
func TestWindowThatIsNotUsedIsNotLimiting(t *testing.T) {
	var c Conn
	c.flow.MSS = 1000
	c.flow.SetCwnd(100_000)
	c.flow.SetSsthresh(100_000) // slow start is over
	want := func(limited bool, flight int) {
		t.Helper()
		if got := c.cwndLimited(flight); got != limited {
			t.Errorf("cwndLimited with %d in flight: got %v, want %v", flight, got, limited)
		}
	}
	want(false, 100_000) // nobody was blocked
	c.rec.cwndLimited = true
	want(true, 100_000)
	want(true, 50_000)
	want(false, 49_000)
	// Of ACKs that come at once, all are those of a full window.
	c.valid.most = 100_000
	want(true, 1000)
	c.valid.most, c.valid.before = 0, 100_000
	want(true, 1000)
	c.valid.before = 0
	want(false, 1000)
}

// Slow start goes on while more than half of the window is used, whoever holds back the rest.
func TestHalfOfTheWindowIsEnoughForSlowStart(t *testing.T) {
	var c Conn
	c.flow.MSS = 1000
	c.flow.SetCwnd(10_000)
	c.flow.SetSsthresh(64_000)
	for _, tt := range []struct {
		flight int
		want   bool
	}{{5000, false}, {6000, true}, {10_000, true}} {
		if got := c.cwndLimited(tt.flight); got != tt.want {
			t.Errorf("cwndLimited with %d of 10000 in flight: got %v, want %v", tt.flight, got, tt.want)
		}
	}
	c.flow.SetPacing(1_000_000)
	if c.cwndLimited(10_000) {
		t.Error("cwndLimited of an algorithm that paces: got true, want false")
	}
}
