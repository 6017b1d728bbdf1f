package main

import (
	"testing"

	"github.com/millrace-tcp/millrace/congestion/congestiontest"
)

// What every algorithm must pass, in a line.
func TestMyCC(t *testing.T) {
	_, maker, err := algorithms().Parse("mycc?beta=0.8")
	if err != nil {
		t.Fatal(err)
	}
	congestiontest.Run(t, maker)
}

// Against CUBIC on a link of 20 Mbit/s both get their share, and the link is used.
func TestSharesWithCubic(t *testing.T) {
	r, err := race("mycc", "cubic", 1)
	if err != nil {
		t.Fatal(err)
	}
	if r.Link.Utilization < 0.85 || r.Jain < 0.6 {
		t.Errorf("utilization %.2f, Jain %.2f", r.Link.Utilization, r.Jain)
	}
}
