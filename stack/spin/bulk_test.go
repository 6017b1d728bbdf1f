package spin

import "testing"

func wantDue(t *testing.T, b *Bulk, want bool, when string) {
	t.Helper()
	if b.Due() != want {
		t.Errorf("%s: Due = %v, want %v (level %d)", when, b.Due(), want, b.level)
	}
}

// The worker looks for more after some batches in a row, and sleeps when that is in vain too often.
func TestBulk(t *testing.T) {
	var b Bulk
	for range 100 {
		b.Came(bulkFrames - 1)
	}
	wantDue(t, &b, false, "after ACKs and requests")
	for range bulkLow {
		wantDue(t, &b, false, "at the start")
		b.Missed()
		b.Came(bulkFrames)
	}
	wantDue(t, &b, true, "after batches in a row")
	for range 100 {
		for range 4 {
			b.Came(bulkFrames)
		}
		b.Missed()
		wantDue(t, &b, true, "with one gap in five batches")
	}
	for range 2 * bulkMax {
		b.Came(bulkFrames)
		b.Missed()
		b.Missed()
	}
	wantDue(t, &b, false, "with a gap after each batch")
}

// A silence ends it at once: what comes after may be anything.
func TestBulkEndsWithASilence(t *testing.T) {
	var b Bulk
	for range bulkMax {
		b.Came(bulkFrames)
	}
	b.Slept(bulkOut - 1)
	wantDue(t, &b, true, "after a short sleep")
	b.Slept(bulkOut)
	wantDue(t, &b, false, "after a long one")
}

// With one processor who looks would keep those from it whom it waits for.
func TestNoBulkOnOneProcessor(t *testing.T) {
	b := NewBulk(1)
	for range bulkMax {
		b.Came(bulkFrames)
	}
	wantDue(t, &b, false, "on one processor")
}

// A reader that wants to receive for itself ends it at once: what came was a message.
func TestBulkIsOver(t *testing.T) {
	var b Bulk
	for range bulkMax {
		b.Came(bulkFrames)
	}
	b.Over()
	wantDue(t, &b, false, "when a reader wants to lead")
	for range bulkLow {
		b.Came(bulkFrames)
	}
	wantDue(t, &b, true, "when bulk comes after it")
}
