package sim

import (
	"testing"
	"time"
)

// Quantiles are those of the sorted times: what a share of them does not exceed.
func TestCompletion(t *testing.T) {
	var took []time.Duration
	for i := 200; i > 0; i-- {
		took = append(took, time.Duration(i)*time.Millisecond)
	}
	if got, want := completion(took), (Completion{Mean: 100.5, P50: 100, P95: 190, P99: 198}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := completion(nil); got != (Completion{}) {
		t.Errorf("of none: %+v", got)
	}
}

// Short flows are told apart by size: the bounds are inclusive, and a class without flows is
// left out.
func TestBySize(t *testing.T) {
	got := bySize([]ShortFlow{
		{Octets: 10_000, Completed: true, Completion: 20 * time.Millisecond},
		{Octets: 1, Completed: true, Completion: 10 * time.Millisecond},
		{Octets: 100_001},
		{Octets: 1_000_001, Completed: true, Completion: time.Second},
	})
	if len(got) != 3 {
		t.Fatalf("%d classes, want 3: %+v", len(got), got)
	}
	for i, want := range []SizeClass{
		{Above: 0, To: 10_000, Flows: 2, Completed: 2, CompletionMS: Completion{15, 10, 20, 20}},
		{Above: 100_000, To: 1_000_000, Flows: 1},
		{Above: 1_000_000, To: 0, Flows: 1, Completed: 1, CompletionMS: Completion{1000, 1000, 1000, 1000}},
	} {
		if got[i] != want {
			t.Errorf("class %d: got %+v, want %+v", i, got[i], want)
		}
	}
}

// A short flow alone takes what its handshake, its slow start and its octets take.
func TestShortFlowAlone(t *testing.T) {
	s := Spec{
		Link: mustLink(t, "rate=100mbit,rtt=100ms,queue=1bdp,jitter=0"), Time: time.Minute, Seed: 1,
		FlowSpecs: []FlowSpec{{CC: "reno", Octets: 1}},
		Cross:     []CrossSpec{{Kind: CrossFlows, Rate: 16_000, Size: 10_000, CC: "reno"}},
	}
	r := mustRun(t, s)
	c := r.Cross
	if c.Flows < 5 || c.Completed != c.Flows || len(c.Short) != c.Flows {
		t.Fatalf("%d of %d completed, %d told", c.Completed, c.Flows, len(c.Short))
	}
	for i, f := range c.Short {
		// The SYN and its answer take 100 ms, the way of the data 50, and what exceeds an
		// initial window of ten segments 100 more a round.
		rounds, window := 0, int64(10*1448)
		for left := f.Octets - window; left > 0; left -= window {
			window *= 2
			rounds++
		}
		want := time.Duration(150+100*rounds) * time.Millisecond
		if !f.Completed || f.Completion < want || f.Completion > want+8*time.Millisecond {
			t.Errorf("%d octets took %v, want %v and what they take to send", f.Octets, f.Completion, want)
		}
		if i > 0 && f.Start < c.Short[i-1].Start {
			t.Error("they are not in the order in which they opened")
		}
	}
	summary := Summarize([]*Result{r, r})
	if s := summary.Short; s == nil || s.Completed.Mean != 1 || s.P99.Mean != c.CompletionMS.P99 || s.P99.CI95 != 0 {
		t.Errorf("summary %+v", summary.Short)
	}
}
