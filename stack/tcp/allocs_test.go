//go:build !race

// Under the race detector sync.Pool drops things at random, and nothing is free of allocations.

package tcp_test

import "testing"

func TestBulkAllocatesNothing(t *testing.T) {
	step := bulk(t)
	for range 2000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, func() { step() }); n != 0 {
		t.Errorf("allocs = %v, want 0", n)
	}
}
