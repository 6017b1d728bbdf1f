package stack

import (
	"testing"
	"time"
)

// Who waits for a peer spins long only where that has paid, and finds out when it does again.
func TestEager(t *testing.T) {
	const most = 160 * time.Microsecond
	e := newEager(most)
	for _, tt := range []struct {
		answers int
		took    time.Duration
		want    time.Duration
	}{
		{100, 10 * time.Microsecond, most},
		{1, time.Millisecond, most / 2},
		{1, most, most},
		{100, time.Millisecond, most / eagerLeast},
		{2, 100 * time.Microsecond, 4 * most / eagerLeast},
		{2, 100 * time.Microsecond, most},
	} {
		for range tt.answers {
			e.waited(tt.took)
		}
		if e.long != tt.want {
			t.Errorf("after %d answers that took %v it spins for %v, want %v", tt.answers, tt.took, e.long, tt.want)
		}
	}
	never := newEager(-1)
	for _, took := range []time.Duration{0, time.Microsecond, time.Second} {
		if never.waited(took); never.long > 0 {
			t.Errorf("one that shall not spin spins for %v", never.long)
		}
	}
	forever := newEager(SpinForever)
	forever.waited(time.Hour)
	if forever.waited(time.Hour); forever.long != SpinForever {
		t.Errorf("one that shall spin for ever spins for %v", forever.long)
	}
}
