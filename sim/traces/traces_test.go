package traces_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/traces"
)

// Every trace can be read back, stays within its bounds, and is the same for the same seed.
func TestGenerate(t *testing.T) {
	const length = 2 * time.Minute
	for _, m := range traces.Models() {
		got := m.Generate(length, 1)
		if !slices.Equal(got, m.Generate(length, 1)) || slices.Equal(got, m.Generate(length, 2)) && len(m.Steps) == 0 {
			t.Errorf("%s: does not follow from the seed", m.Name)
		}
		name := filepath.Join(t.TempDir(), m.Name)
		var b bytes.Buffer
		if err := traces.Write(&b, got); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		back, err := sim.ReadTrace(name)
		if err != nil || !slices.Equal(back, got) || got[len(got)-1] != length {
			t.Errorf("%s: %v, or it is not what was written", m.Name, err)
		}
		low, high := m.Min, m.Max
		if len(m.Steps) > 0 {
			low, high = slices.Min(m.Steps), slices.Max(m.Steps)
		}
		mean := float64(len(got)) * 1500 * 8 / length.Seconds()
		if mean < low || mean > high {
			t.Errorf("%s: %.0f bit/s in the mean, want %.0f to %.0f", m.Name, mean, low, high)
		}
	}
}

// Steps carry exactly what they say, and the last opportunity is at the end.
func TestSteps(t *testing.T) {
	m, err := traces.ByName("steps")
	if err != nil {
		t.Fatal(err)
	}
	count := make([]int, 4)
	for _, at := range m.Generate(8*time.Second, 0) {
		count[min(3, (at-1)/(2*time.Second))]++
	}
	if want := []int{1000, 333, 1333, 168}; !slices.Equal(count, want) {
		t.Errorf("packets in steps of 6, 2, 8 and 1 Mbit/s: %v, want %v", count, want)
	}
	if _, err := traces.ByName("x"); err == nil || !strings.Contains(err.Error(), "cellular, driving, steps") {
		t.Errorf("got %v", err)
	}
}

// An outage lasts as long as the model says, in the mean, and comes as often.
func TestOutages(t *testing.T) {
	m, err := traces.ByName("driving")
	if err != nil {
		t.Fatal(err)
	}
	trace := m.Generate(time.Hour, 3)
	silent, last := time.Duration(0), time.Duration(0)
	for _, at := range trace {
		if gap := at - last; gap > 200*time.Millisecond {
			silent += gap
		}
		last = at
	}
	// Of 6.5 s half a second is silent: 277 s of an hour, less those that are too short to see.
	if silent < 180*time.Second || silent > 320*time.Second {
		t.Errorf("silent for %v of an hour", silent)
	}
}
