package spin

import (
	"testing"
	"time"
)

// A connection is alone when data has come for it and no other for a while, and not any more with
// the first step that brings some for another.
func TestAlone(t *testing.T) {
	var a Alone
	for n := range 10 * aloneSteps {
		if same := n%(aloneSteps-1) != 0; a.Came(same) {
			t.Fatalf("one of two that take turns is alone at step %d", n)
		}
	}
	a.Came(false)
	for n := 1; n < aloneSteps; n++ {
		if got, want := a.Came(true), n == aloneSteps-1; got != want {
			t.Fatalf("after %d more steps: alone = %v, want %v", n, got, want)
		}
	}
	if !a.Came(true) {
		t.Error("it is not alone any more, though nobody came")
	}
	if a.Came(false) {
		t.Error("the next one is alone with its first step")
	}
}

// A reader that is interrupted now and then is soon back, one that is slow is not, and one that
// becomes quicker is again.
func TestAloneReaderIsBack(t *testing.T) {
	var a Alone
	for n := range 1000 {
		d := 5 * time.Microsecond
		if n%10 == 0 {
			d = time.Second
		}
		if !a.Back(d) {
			t.Fatalf("one that was interrupted is too slow at read %d", n)
		}
	}
	wantWithin := func(reads int, want bool, d time.Duration) {
		t.Helper()
		for range reads {
			if a.Back(d) == want {
				return
			}
		}
		t.Errorf("%d reads, %v each: still %v", reads, d, !want)
	}
	wantWithin(20, false, 2*aloneBack)
	wantWithin(20, true, aloneBack/4)
	if a.Came(false); !a.Back(aloneAway) {
		t.Error("the next connection's reader is too slow with its first read")
	}
}
