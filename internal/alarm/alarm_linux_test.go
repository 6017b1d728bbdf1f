package alarm_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/alarm"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// It rings once for each time that it was set to, not before, and not after it was closed.
func TestAlarm(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	rang := make(chan time.Time, 10)
	a, err := alarm.New(func() { rang <- time.Now() })
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 5 * time.Millisecond} {
		begun := time.Now()
		if err := a.Set(time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := a.Set(d); err != nil {
			t.Fatal(err)
		}
		if took := (<-rang).Sub(begun); took < d {
			t.Errorf("set to %v, it rang after %v", d, took)
		} else {
			t.Logf("set to %v, it rang after %v", d, took)
		}
	}
	if err := a.Set(time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if len(rang) != 0 {
		t.Errorf("it rang %d times too often", len(rang))
	}
}
