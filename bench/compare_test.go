package bench_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// Targets take turns at being first, rates are medians, and latencies are merged.
func TestCompare(t *testing.T) {
	var order []string
	target := func(name string, octets ...int64) bench.Target {
		return bench.Target{Name: name, Run: func(context.Context, bench.Workload) (bench.Result, error) {
			order = append(order, name)
			r := bench.Result{Octets: octets[0], Count: octets[0], Elapsed: time.Second}
			r.Latency.Record(time.Duration(octets[0]) * time.Millisecond)
			octets = octets[1:]
			return r, nil
		}}
	}
	var seen []string
	got, err := bench.Compare(t.Context(), 3, []bench.Workload{{Kind: bench.Bulk}},
		[]bench.Target{target("a", 1, 100, 3), target("b", 10, 30, 20)},
		func(done, total int, target bench.Target, _ bench.Workload) {
			seen = append(seen, fmt.Sprintf("%s %d/%d", target.Name, done, total))
		})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "b", "a", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if seen[0] != "a 0/6" || seen[5] != "b 5/6" {
		t.Errorf("progress %v", seen)
	}
	a, b := got[0][0], got[0][1]
	if a.BitsPerSecond != 24 || a.PerSecond != 3 || b.BitsPerSecond != 160 || b.PerSecond != 20 {
		t.Errorf("a %v bit/s, %v/s; b %v bit/s, %v/s; want 24, 3, 160, 20", a.BitsPerSecond, a.PerSecond, b.BitsPerSecond, b.PerSecond)
	}
	if n, most := a.Latency.Count(), a.Latency.Percentile(100).Round(time.Millisecond); n != 3 || most != 100*time.Millisecond {
		t.Errorf("a: %d times up to %v, want 3 up to 100ms", n, most)
	}
}

func TestCompareNamesWhatFails(t *testing.T) {
	broken := bench.Target{Name: "b", Run: func(context.Context, bench.Workload) (bench.Result, error) {
		return bench.Result{}, errors.New("no way")
	}}
	_, err := bench.Compare(t.Context(), 1, []bench.Workload{{Kind: bench.Connect, Size: 1, Time: time.Second}},
		[]bench.Target{broken}, nil)
	if err == nil || !strings.Contains(err.Error(), "b: crr of 1 octets for 1s: no way") {
		t.Errorf("got %v", err)
	}
}
