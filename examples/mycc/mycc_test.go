package main

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/sim"
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
	link, err := sim.ParseLink("rate=20mbit,rtt=40ms,queue=1bdp")
	if err != nil {
		t.Fatal(err)
	}
	r, err := sim.Run(sim.Spec{
		Link: link, CC: []string{"mycc", "cubic"}, Algorithms: algorithms().Creators(),
		Flows: 2, Time: time.Minute, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Link.Utilization < 0.85 || r.Jain < 0.6 {
		t.Errorf("utilization %.2f, Jain %.2f", r.Link.Utilization, r.Jain)
	}
}
