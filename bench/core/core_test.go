package core_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/core"
)

// The octets are in full segments, but for what ends a write, and no segment allocates: what
// is allocated is the reading of the counters, and what grows at the start.
func TestRun(t *testing.T) {
	p, err := core.Open(1500)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	w := bench.Workload{Kind: bench.Bulk, Way: bench.Upload, Time: 100 * time.Millisecond}
	for i := range 2 {
		r, err := p.Run(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		if each := float64(r.Octets) / float64(r.Count); each < 1000 || each > 1448 || r.Elapsed < w.Time {
			t.Errorf("%d octets in %d segments, %.0f in each, in %v; want up to 1448", r.Octets, r.Count, each, r.Elapsed)
		}
		if i > 0 && r.Allocs > r.Count/10 {
			t.Errorf("%d allocations in %d segments", r.Allocs, r.Count)
		}
	}
	if _, err := p.Run(t.Context(), bench.Workload{Kind: bench.Connect}); err == nil {
		t.Error("connections without a stack are measured")
	}
}

// BenchmarkSegment is what Run reports as a segment, as the tool of benchmarks counts it.
func BenchmarkSegment(b *testing.B) {
	p, err := core.Open(1500)
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	w := bench.Workload{Kind: bench.Bulk, Way: bench.Upload, Time: 20 * time.Millisecond}
	b.ReportAllocs()
	n, took := 0, time.Duration(0)
	for n < b.N {
		r, err := p.Run(b.Context(), w)
		if err != nil {
			b.Fatal(err)
		}
		n += int(r.Count)
		took += r.Elapsed
	}
	b.ReportMetric(float64(took)/float64(n), "ns/op") // of all, not of the first b.N
}
