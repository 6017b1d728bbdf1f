package spin

import (
	"math"
	"testing"
	"time"
)

// Who waits for a peer spins long only where that has paid, and finds out when it does again.
func TestAnswers(t *testing.T) {
	const most = 160 * time.Microsecond
	e := NewAnswers(most)
	for _, tt := range []struct {
		answers int
		took    time.Duration
		want    time.Duration
	}{
		{100, 10 * time.Microsecond, most},
		{1, time.Millisecond, most / 2},
		{1, most, most},
		{100, time.Millisecond, most / answersLeast},
		{2, 100 * time.Microsecond, 4 * most / answersLeast},
		{2, 100 * time.Microsecond, most},
	} {
		for range tt.answers {
			e.Took(tt.took)
		}
		if e.For() != tt.want {
			t.Errorf("after %d answers that took %v it spins for %v, want %v", tt.answers, tt.took, e.For(), tt.want)
		}
	}
	never := NewAnswers(-1)
	for _, took := range []time.Duration{0, time.Microsecond, time.Second} {
		if never.Took(took); never.For() > 0 {
			t.Errorf("one that shall not spin spins for %v", never.For())
		}
	}
	forever := NewAnswers(math.MaxInt64)
	forever.Took(time.Hour)
	if forever.Took(time.Hour); forever.For() != math.MaxInt64 {
		t.Errorf("one that shall spin for ever spins for %v", forever.For())
	}
}
