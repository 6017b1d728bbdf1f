package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/study"
)

const scenarioFile = `
title = "a test"
time = "10s"
seed = 3

[link]
rate = "10mbit"
rtt = "40ms"
aqm = "codel"

[[flow]]
cc = "reno"

[[flow]]
cc = "reno?L=1"
start = "1s"
size = "1mb"

[[cross]]
rate = "1mbit"
`

func writeScenario(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "scenario.toml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A scenario runs as its file says, and every file that was asked for is written.
func TestSimRun(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	args := []string{
		"run", writeScenario(t, scenarioFile), "--json", "--csv", in("csv"), "--qlog", in("qlog"), "--html", in("page.html"),
		"--pcap", in("packets.pcapng"), "--queue-log", in("queue.log"), "--flent", in("data.flent"),
	}
	status, out, diag := runSim(t, args...)
	if status != 0 || diag != "" {
		t.Fatalf("status %d, %s", status, diag)
	}
	var r sim.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Seed != 3 || r.TimeS != 10 || len(r.Flows) != 2 || r.Flows[1].CC != "reno?L=1" || r.Flows[1].StartS != 1 ||
		r.Flows[1].CompletionS == nil || r.Cross == nil || r.Cross.Packets < 700 {
		t.Errorf("got %s", out)
	}
	for name, holds := range map[string]string{
		"csv/flow-1.csv": "slow-start", "csv/flows.csv": "1,reno?L=1,1,", "qlog/flow-0.sqlog": "recovery:metrics_updated", "page.html": "<h1>a test</h1>",
		"queue.log": "# base timestamp", "data.flent": `"TCP upload::2"`, "packets.pcapng": "millrace sim",
	} {
		b, err := os.ReadFile(in(name))
		if err != nil || !strings.Contains(string(b), holds) {
			t.Errorf("%s: %v, %d octets without %q", name, err, len(b), holds)
		}
	}
	// What is written changes nothing of what is simulated.
	if _, plain, _ := runSim(t, args[:3]...); !strings.Contains(plain, r.Digest) {
		t.Errorf("another digest without files: %s", plain)
	}
	if _, other, _ := runSim(t, append(args[:3:3], "--seed", "4", "--time", "5s")...); strings.Contains(other, r.Digest) ||
		!strings.Contains(other, `"seed":4,"time_s":5,`) {
		t.Errorf("--seed and --time are of no account: %s", other)
	}
}

// Several seeds are summarized.
func TestSimSeeds(t *testing.T) {
	status, out, diag := runSim(t, "--seeds", "3", "--time", "5s", "--json", "--cc", "reno")
	if status != 0 || diag != "" {
		t.Fatalf("status %d, %s", status, diag)
	}
	var got struct {
		Summary sim.Summary   `json:"summary"`
		Runs    []*sim.Result `json:"runs"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Runs) != 3 || got.Runs[2].Seed != 3 || got.Summary.Total.Mean <= 0 || got.Summary.Total.CI95 <= 0 {
		t.Errorf("got %s", out)
	}
	status, out, _ = runSim(t, "--seeds", "2", "--time", "5s")
	if status != 0 || !strings.Contains(out, "±") || !strings.Contains(out, "2 seeds from 1 on") {
		t.Errorf("status %d, %s", status, out)
	}
}

func TestSimCompare(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	args := []string{"compare", "--cc", "reno,cubic", "--time", "5s", "--seeds", "2", "--html", page}
	status, out, diag := runSim(t, args...)
	if status != 0 || diag != "" || !strings.Contains(out, "reno") || !strings.Contains(out, "delay p95, ms") {
		t.Errorf("status %d, %s%s", status, out, diag)
	}
	if b, err := os.ReadFile(page); err != nil || strings.Count(string(b), "<circle") != 2 {
		t.Errorf("page: %v, want two dots", err)
	}
	_, out, _ = runSim(t, append(args, "--json")...)
	var c study.Comparison
	if err := json.Unmarshal([]byte(out), &c); err != nil || len(c.Algorithms) != 2 || c.Algorithms[1].CC != "cubic" {
		t.Errorf("%v: %s", err, out)
	}
}

// The flows of a file for which it names no algorithm are those that change, and short flows
// are told of.
func TestSimCompareScenario(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file.toml")
	write := func(flows string) {
		text := "time = \"5s\"\n[link]\nrate = \"10mbit\"\nrtt = \"40ms\"\n" + flows
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[[flow]]\n[[flow]]\ncc = \"vegas\"\n[[cross]]\nkind = \"flows\"\nrate = \"1mbit\"\n")
	status, out, diag := runSim(t, "compare", "--scenario", file, "--cc", "reno,cubic", "--seeds", "1", "--json")
	var c study.Comparison
	if err := json.Unmarshal([]byte(out), &c); err != nil || status != 0 || len(c.Algorithms) != 2 {
		t.Fatalf("status %d, %v: %s%s", status, err, out, diag)
	}
	for i, cc := range []string{"reno", "cubic"} {
		a := c.Algorithms[i]
		if a.Flows[0].CC != cc || a.Flows[1].CC != "vegas" || a.Short == nil || a.Short.P50.Mean <= 40 {
			t.Errorf("%s: %+v", cc, a)
		}
	}
	if _, out, _ := runSim(t, "compare", "--scenario", file, "--cc", "reno"); !strings.Contains(out, "short p50, ms") {
		t.Errorf("no column of short flows: %s", out)
	}
	if _, out, _ := runSim(t, "run", file, "--seeds", "2"); !strings.Contains(out, "short flows: ") {
		t.Errorf("no line of short flows: %s", out)
	}
	if status, _, diag := runSim(t, "compare", "--scenario", file, "--flows", "3"); status != statusUsage || !strings.Contains(diag, "--flows means nothing") {
		t.Errorf("status %d, %s", status, diag)
	}
	write("[[flow]]\ncc = \"reno\"\n")
	if status, _, diag := runSim(t, "compare", "--scenario", file); status != statusUsage || !strings.Contains(diag, "nothing to compare") {
		t.Errorf("status %d, %s", status, diag)
	}
}

func TestSimCard(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some twenty simulations, twice")
	}
	page := filepath.Join(t.TempDir(), "card.html")
	status, out, diag := runSim(t, "card", "--cc", "reno", "--seeds", "1", "--html", page)
	if status != 0 || diag != "" || !strings.Contains(out, "5.1.2") || !strings.Contains(out, "not judged:") {
		t.Errorf("status %d, %s%s", status, out, diag)
	}
	if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), "Report card: reno") {
		t.Errorf("page: %v", err)
	}
}

// An algorithm that hears what it was told sets the windows that it set, and each change in
// the qlog has its cause.
func TestSimReplay(t *testing.T) {
	dir := t.TempDir()
	args := []string{"--cc", "cubic", "--time", "10s", "--json", "--link", "rate=10mbit,rtt=40ms,loss=0.001"}
	_, plain, _ := runSim(t, args...)
	status, out, diag := runSim(t, append(args, "--events", dir, "--qlog", dir, "--html", filepath.Join(dir, "page.html"))...)
	if status != 0 || diag != "" || out[strings.Index(out, "digest"):] != plain[strings.Index(plain, "digest"):] {
		t.Fatalf("status %d, %s, or another digest", status, diag)
	}
	for _, c := range []struct {
		cc          string
		least, most float64
	}{{"cubic", 0, 0}, {"reno", 0.01, 2}} {
		page := filepath.Join(dir, c.cc+".html")
		_, out, diag := runSim(t, "replay", filepath.Join(dir, "flow-0.events.gz"), "--cc", c.cc, "--json", "--html", page)
		var r replayed
		if err := json.Unmarshal([]byte(out), &r); err != nil || r.Recorded != "cubic" || r.Events < 10_000 || r.Apart < c.least || r.Apart > c.most {
			t.Errorf("%s: %v: %s%s", c.cc, err, out, diag)
		}
		if b, err := os.ReadFile(page); err != nil || !strings.Contains(string(b), c.cc+", replayed") {
			t.Errorf("%s: page: %v", c.cc, err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "flow-0.sqlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"new":"recovery","trigger":"loss"`, `"new":"avoidance","trigger":"recovered"`, `"trigger":"ack"`} {
		if !strings.Contains(string(log), want) {
			t.Errorf("the qlog has no %s", want)
		}
	}
	page, err := os.ReadFile(filepath.Join(dir, "page.html"))
	if err != nil || !strings.Contains(string(page), `class="band fast"`) {
		t.Errorf("page: %v, or no recovery is shaded", err)
	}
}

// A trace that was made can be simulated over.
func TestSimTrace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "made.trace")
	if status, out, diag := runSim(t, "trace", "cellular", "--time", "5s", "-o", name); status != 0 || out+diag != "" {
		t.Fatalf("status %d, %s%s", status, out, diag)
	}
	status, out, _ := runSim(t, "--link", "trace="+name+",rtt=20ms,queue=50pkt", "--time", "10s", "--json")
	var r sim.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || r.Link.Utilization < 0.7 || r.Link.Utilization > 1.001 {
		t.Errorf("status %d, %v: %s", status, err, out)
	}
	if _, out, _ := runSim(t, "trace", "steps", "--time", "1s"); !strings.HasPrefix(out, "2\n4\n6\n") {
		t.Errorf("6 Mbit/s: got %.20q", out)
	}
}

// What is wrong is one line and status 2, if it is the user's.
func TestSimStudiesRefuse(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"run"}, 2, "a file"},
		{[]string{"run", "/does/not/exist"}, 2, "no such file"},
		{[]string{"run", writeScenario(t, "[link]\nrate = \"20\"\n")}, 2, "scenario.toml:2: link.rate"},
		{[]string{"run", writeScenario(t, scenarioFile), "--time", "500ms"}, 2, "flow 1: starts at 1s"},
		{[]string{"run", writeScenario(t, scenarioFile), "--seeds", "0"}, 2, "--seeds 0"},
		{[]string{"compare", "--cc", "nonesuch"}, 2, "there is no"},
		{[]string{"card", "--cc", "nonesuch"}, 2, "there is no"},
		{[]string{"card", "reno"}, 2, "no argument"},
		{[]string{"replay", "/does/not/exist"}, 2, "no such file"},
		{[]string{"replay", writeScenario(t, "these are no events at all")}, 1, "gzip"},
		{[]string{"trace", "nonesuch"}, 2, "cellular, driving, steps"},
		{[]string{"trace", "steps", "--time", "1ms"}, 2, "100ms"},
		{[]string{"--seeds", "5000"}, 2, "want 1 to 1000"},
		{[]string{"--time", "1s", "--html", "/does/not/exist/page"}, 1, "no such file"},
		{[]string{"--time", "1s", "--qlog", "/dev/null/x"}, 1, "directory"},
	} {
		status, out, diag := runSim(t, c.args...)
		if status != c.want || out != "" || !strings.Contains(diag, c.says) || strings.Count(diag, "\n") != 1 {
			t.Errorf("%q: status %d, %q, %q; want status %d and a line with %q", c.args, status, out, diag, c.want, c.says)
		}
	}
}
