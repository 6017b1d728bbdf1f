//go:build !race

// Under the race detector sync.Pool drops things at random, and nothing is free of allocations.

package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

func TestBulkAllocatesNothing(t *testing.T) {
	wantNoAllocs(t, tcp.Config{}, nil)
}

// A shadow, a recorder, an algorithm that hears everything, and the pacer allocate nothing.
func TestOnlookersAllocateNothing(t *testing.T) {
	r := &counter{}
	wantNoAllocs(t, tcp.Config{Shadow: reno.New, Pace: true, Congestion: func() congestion.Algorithm {
		return &mistaken{}
	}}, r)
	if r.records < 1000 {
		t.Errorf("%d records", r.records)
	}
}

func wantNoAllocs(t *testing.T, cfg tcp.Config, r congestion.Recorder) {
	t.Helper()
	step := bulkOf(t, cfg, r)
	for range 2000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, func() { step() }); n != 0 {
		t.Errorf("allocs = %v, want 0", n)
	}
}
