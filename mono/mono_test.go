package mono_test

import (
	"math"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

func TestAdd(t *testing.T) {
	for _, tt := range []struct {
		name string
		at   mono.Time
		d    time.Duration
		want mono.Time
	}{
		{"forward", 5, 7, 12},
		{"backward", 5, -7, -2},
		{"never stays never", mono.Never, -time.Hour, mono.Never},
		{"a sum past the end is never", mono.Never - 1, time.Hour, mono.Never},
		{"the largest duration from zero", 0, math.MaxInt64, mono.Never},
	} {
		if got := tt.at.Add(tt.d); got != tt.want {
			t.Errorf("%s: %d.Add(%d) = %d, want %d", tt.name, tt.at, tt.d, got, tt.want)
		}
	}
}

func TestSubAndOrder(t *testing.T) {
	a, b := mono.Time(3*time.Millisecond), mono.Time(5*time.Millisecond)
	if got := b.Sub(a); got != 2*time.Millisecond {
		t.Errorf("Sub = %v, want 2ms", got)
	}
	if !a.Before(b) || b.Before(a) || a.Before(a) {
		t.Error("Before is not a strict order")
	}
	if got := (b + 999_999).Millis(); got != 5 {
		t.Errorf("Millis = %d, want 5", got)
	}
}
