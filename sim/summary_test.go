package sim

import (
	"math"
	"testing"
)

// Four values 1, 2, 3, 4: mean 2.5, deviation 1.290994, and 3.1824 of its half as the half
// width of the interval.
func TestMeanOf(t *testing.T) {
	m := MeanOf([]float64{4, 1, 3, 2})
	if m.Mean != 2.5 || m.Min != 1 || m.Max != 4 || math.Abs(m.CI95-3.1824*1.290994/2) > 1e-4 {
		t.Errorf("got %+v", m)
	}
	if m := MeanOf([]float64{7}); m.CI95 != 0 || m.Mean != 7 {
		t.Errorf("one value: %+v", m)
	}
	if m := MeanOf(nil); m != (Mean{}) {
		t.Errorf("no value: %+v", m)
	}
	for n, want := range map[int]float64{1: 12.7062, 30: 2.0423, 31: 2.0395, 60: 2.0003, 1000: 1.9623} {
		if got := quantile975(n); math.Abs(got-want) > 2e-4 {
			t.Errorf("%d degrees of freedom: %v, want %v", n, got, want)
		}
	}
}

// A summary has the mean of each value, and one seed's alone has no interval.
func TestSummarize(t *testing.T) {
	var all []*Result
	for seed := range uint64(4) {
		all = append(all, mustRun(t, Spec{
			Link: mustLink(t, "rate=10mbit,rtt=20ms"), Time: 1e10, Seed: seed,
			FlowSpecs: []FlowSpec{{}, {Octets: 100_000}},
		}))
	}
	s := Summarize(all)
	if len(s.Seeds) != 4 || len(s.Flows) != 2 || s.Flows[1].Completed != 4 || s.Flows[0].Completed != 0 {
		t.Fatalf("got %+v", s)
	}
	sum := 0.0
	for _, r := range all {
		sum += r.Flows[0].GoodputBPS
	}
	within(t, "mean goodput", s.Flows[0].Goodput.Mean, sum/4-1, sum/4+1)
	if s.Flows[0].Goodput.CI95 <= 0 || s.Total.Mean <= s.Flows[0].Goodput.Mean {
		t.Errorf("got %+v", s)
	}
}
