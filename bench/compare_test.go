package bench_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// result is a run that moved so much.
func result(n int64) bench.Result {
	r := bench.Result{Octets: n, Count: n, Elapsed: time.Second}
	r.Latency.Record(time.Duration(n) * time.Millisecond)
	return r
}

// Targets take turns at being first, rates are medians, latencies are merged, and what warms
// up does not count.
func TestCompare(t *testing.T) {
	var order []string
	target := func(name string, octets ...int64) bench.Target {
		return bench.Target{Name: name, Run: func(_ context.Context, w bench.Workload) (bench.Result, error) {
			order = append(order, name)
			if w.Time == time.Millisecond {
				return result(1e6), nil
			}
			r := result(octets[0])
			octets = octets[1:]
			return r, nil
		}}
	}
	var seen []string
	plan := bench.Plan{Rounds: 3, Warm: time.Millisecond, Progress: func(done, total int, target bench.Target, _ bench.Workload) {
		seen = append(seen, fmt.Sprintf("%s %d/%d", target.Name, done, total))
	}}
	got, err := plan.Compare(t.Context(), []bench.Experiment{{
		Workload: bench.Workload{Kind: bench.Bulk, Time: time.Second},
		Targets:  []bench.Target{target("a", 1, 100, 3), target("b", 10, 30, 20)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "a", "b", "b", "a", "a", "b"}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	if seen[0] != "a 0/8" || seen[7] != "b 7/8" {
		t.Errorf("progress %v", seen)
	}
	a, b := got[0][0].Summary(), got[0][1].Summary()
	if a.BitsPerSecond != 24 || a.PerSecond != 3 || b.BitsPerSecond != 160 || b.PerSecond != 20 {
		t.Errorf("a %v bit/s, %v/s; b %v bit/s, %v/s; want 24, 3, 160, 20", a.BitsPerSecond, a.PerSecond, b.BitsPerSecond, b.PerSecond)
	}
	if n, most := a.Latency.Count(), a.Latency.Percentile(100).Round(time.Millisecond); n != 3 || most != 100*time.Millisecond {
		t.Errorf("a: %d times up to %v, want 3 up to 100ms", n, most)
	}
}

// One run that fails leaves no number to be taken for a result, is told as it was, and keeps
// nobody else from being measured.
func TestAFailureIsNotAveraged(t *testing.T) {
	tries := 0
	fails := errors.New("no way")
	broken := bench.Target{Name: "broken", Run: func(context.Context, bench.Workload) (bench.Result, error) {
		if tries++; tries == 2 {
			return bench.Result{}, fails
		}
		return result(7), nil
	}}
	good := bench.Target{Name: "good", Run: func(context.Context, bench.Workload) (bench.Result, error) {
		return result(7), nil
	}}
	got, err := bench.Plan{Rounds: 5}.Compare(t.Context(), []bench.Experiment{{Targets: []bench.Target{broken, good}}})
	if err != nil {
		t.Fatal(err)
	}
	if b := got[0][0]; !errors.Is(b.Failure, fails) || len(b.Results) != 0 || tries != 2 {
		t.Errorf("%d results, %v after %d tries, want none and %v after 2", len(b.Results), b.Failure, tries, fails)
	}
	if g := got[0][1]; g.Failure != nil || len(g.Results) != 5 {
		t.Errorf("the other: %d results, %v, want 5", len(g.Results), g.Failure)
	}
}

func TestCompareEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	target := bench.Target{Run: func(context.Context, bench.Workload) (bench.Result, error) {
		cancel(stop)
		return result(1), nil
	}}
	_, err := bench.Plan{Rounds: 5}.Compare(ctx, []bench.Experiment{{Targets: []bench.Target{target}}})
	if !errors.Is(err, stop) {
		t.Errorf("%v, want %v", err, stop)
	}
}
