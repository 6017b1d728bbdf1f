// Package scenarios_test runs the scenarios of this directory.
package scenarios_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/scenario"
	"github.com/millrace-tcp/millrace/sim/traces"
)

// Each scenario can be read and run, and carries something.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, name := range files {
		s, err := scenario.Load(name, catalog.All().Creators())
		if err != nil {
			t.Error(err)
			continue
		}
		r, err := sim.Run(s.Spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%-14s utilization %.3f, queue p95 %6.1f ms, %d drops, %d marks, Jain %.3f", name, r.Link.Utilization,
			r.Link.QueueMillis.P95, r.Link.Drops, r.Link.Marks, r.Jain)
		for i, f := range r.Flows {
			if f.Octets == 0 || f.RTTMillis.Min <= 0 {
				t.Errorf("%s: flow %d carried nothing: %+v", name, i, f)
			}
		}
	}
}

// The traces are what their model makes of seed 1: "millrace sim trace NAME --time 20s".
func TestTracesAreGenerated(t *testing.T) {
	for _, m := range traces.Models() {
		var want bytes.Buffer
		if err := traces.Write(&want, m.Generate(20*time.Second, 1)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(m.Name + ".trace")
		if err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s.trace: %v, or it is not what the model makes", m.Name, err)
		}
	}
}
