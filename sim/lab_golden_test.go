package sim

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// labRuns is small runs of what the laboratory offers, by name: one seed, half a minute, Reno.
var labRuns = []struct {
	name string
	spec Spec
	link string
}{
	{name: "tail-drop", link: "rate=10mbit,rtt=40ms,queue=1bdp"},
	{name: "deep", link: "rate=10mbit,rtt=40ms,queue=8bdp"},
	{name: "shallow", link: "rate=10mbit,rtt=40ms,queue=5pkt"},
	{name: "codel", link: "rate=10mbit,rtt=40ms,queue=8bdp,aqm=codel"},
	{name: "codel-marks", link: "rate=10mbit,rtt=40ms,queue=8bdp,aqm=codel,ecn=aqm"},
	{name: "red", link: "rate=10mbit,rtt=40ms,queue=4bdp,aqm=red"},
	{name: "red-marks", link: "rate=10mbit,rtt=40ms,queue=4bdp,aqm=red,ecn=aqm"},
	{name: "step-marks", link: "rate=10mbit,rtt=40ms,queue=4bdp,ecn=step:20pkt"},
	{name: "ce-threshold", link: "rate=10mbit,rtt=40ms,queue=4bdp,ecn=ce-threshold:5ms"},
	{name: "policer", link: "rate=100mbit,rtt=40ms,queue=1bdp,police=10mbit:50kb"},
	{name: "bucket", link: "rate=100mbit,rtt=40ms,queue=100kb,bucket=10mbit:15kb"},
	{name: "random-loss", link: "rate=10mbit,rtt=40ms,queue=1bdp,loss=0.005"},
	{name: "bursts", link: "rate=10mbit,rtt=40ms,queue=1bdp,burst=0.001:0.3"},
	{name: "acks", link: "rate=10mbit,rtt=40ms,queue=1bdp,ackagg=10ms,ackloss=0.1"},
	{name: "changes", link: "rate=10mbit,rtt=40ms,queue=1bdp,change=10s:rate:3mbit,change=20s:rtt:100ms"},
	{name: "outage", link: "rate=10mbit,rtt=40ms,queue=1bdp,down=10s:1s"},
	{name: "cross", link: "rate=10mbit,rtt=40ms,queue=1bdp", spec: Spec{Cross: []CrossSpec{
		{Rate: 2e6}, {Kind: CrossOnOff, Rate: 2e6}, {Kind: CrossFlows, Rate: 1e6},
	}}},
	{name: "four-flows", link: "rate=10mbit,rtt=40ms,queue=1bdp", spec: Spec{Flows: 4}},
	{name: "four-rtts", link: "rate=10mbit,rtt=40ms,queue=1bdp", spec: Spec{FlowSpecs: []FlowSpec{
		{RTT: 10 * time.Millisecond}, {RTT: 20 * time.Millisecond}, {}, {RTT: 80 * time.Millisecond},
	}}},
}

// labRow is what came of one.
type labRow struct {
	util, p50, p95, loss, marks, jain float64
}

func labRowOf(r *Result) labRow {
	return labRow{r.Link.Utilization, r.Link.QueueMillis.P50, r.Link.QueueMillis.P95, 100 * r.Link.Loss, float64(r.Link.Marks), r.Jain}
}

const labHead = `# What Reno makes of the laboratory's links, seed 1, half a minute each.
# Written by: go test ./sim -run LabGolden -args -update
#
# run         utilization  queue p50   p95 ms    loss %   marks    Jain
`

// TestLabGolden compares small runs with what they were. A change of behaviour on purpose
// rewrites the file, and its diff shows what it brought. The tolerances are what a change of
// nothing but the order of random draws moves.
func TestLabGolden(t *testing.T) {
	name := filepath.Join("testdata", "lab.golden")
	want := make(map[string]labRow)
	if !*updateFlag {
		want = readLab(t, name)
		if len(want) != len(labRuns) {
			t.Errorf("%s has %d rows, want %d", name, len(want), len(labRuns))
		}
	}
	var b bytes.Buffer
	b.WriteString(labHead)
	for _, run := range labRuns {
		run.spec.Link, run.spec.Time, run.spec.Seed = mustLink(t, run.link), 30*time.Second, 1
		got := labRowOf(mustRun(t, run.spec))
		fmt.Fprintf(&b, "%-14s %9.3f %10.1f %8.1f %9.3f %7.0f %7.3f\n", run.name, got.util, got.p50, got.p95, got.loss, got.marks, got.jain)
		if *updateFlag {
			continue
		}
		w := want[run.name]
		for _, v := range []struct {
			what           string
			got, want, off float64
		}{
			{"utilization", got.util, w.util, 0.06}, {"median queue", got.p50, w.p50, 0.4*w.p50 + 3}, {"p95 of the queue", got.p95, w.p95, 0.3*w.p95 + 3},
			{"loss", got.loss, w.loss, 0.5*w.loss + 0.1}, {"marks", got.marks, w.marks, 0.4*w.marks + 5}, {"Jain's index", got.jain, w.jain, 0.15},
		} {
			if math.Abs(v.got-v.want) > v.off {
				t.Errorf("%s: %s = %.4g, was %.4g (off by more than %.3g)", run.name, v.what, v.got, v.want, v.off)
			}
		}
	}
	if *updateFlag {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readLab(t *testing.T, name string) map[string]labRow {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatalf("%v\nwrite it: go test ./sim -run LabGolden -args -update", err)
	}
	defer f.Close()
	rows := make(map[string]labRow)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var run string
		var r labRow
		if line := lines.Text(); line == "" || line[0] == '#' {
			continue
		} else if _, err := fmt.Sscan(line, &run, &r.util, &r.p50, &r.p95, &r.loss, &r.marks, &r.jain); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		rows[run] = r
	}
	return rows
}
