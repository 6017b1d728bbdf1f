package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
)

// benchLabs returns the labs of a measurement's process.
func benchLabs(t *testing.T, pid int) (names []string) {
	t.Helper()
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if strings.HasPrefix(name, fmt.Sprintf("bench-%d-", pid)) {
			names = append(names, name)
		}
	}
	return names
}

// measured is what the tests look at of a report.
type measured struct {
	Rows []struct {
		Name  string
		Cells []struct {
			Stack, About, Failure string
			Runs                  int
			Metrics               []struct {
				Name, Unit string
				Median     float64
				Values     []float64
			}
		}
	}
	Bars []struct{ Work, Expected, Verdict string }
}

// wantMeasured checks a report: rows, of stacks, each with so many runs and figures.
func wantMeasured(t *testing.T, out string, rows, runs int, stacks ...string) (m measured) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
	if len(m.Rows) != rows {
		t.Fatalf("%d rows, want %d", len(m.Rows), rows)
	}
	for _, row := range m.Rows {
		if len(row.Cells) != len(stacks) {
			t.Fatalf("%s: %d stacks, want %d", row.Name, len(row.Cells), len(stacks))
		}
		for i, c := range row.Cells {
			if c.Stack != stacks[i] || c.Failure != "" || c.Runs != runs || len(c.Metrics) == 0 ||
				c.Metrics[0].Median <= 0 || len(c.Metrics[0].Values) != runs {
				t.Errorf("%s: %+v, want %d runs of %s", row.Name, c, runs, stacks[i])
			}
		}
	}
	return m
}

// quick makes runs short.
var quick = []string{"--rounds", "2", "--time", "50ms", "--warm", "10ms"}

func TestBenchPipe(t *testing.T) {
	for _, args := range []string{"throughput --flows 1,2 --way receive", "rr --size 1,1000"} {
		stdout, stderr, status := run(t, append(append([]string{"bench"}, strings.Fields(args+" --link pipe --stack millrace --json")...), quick...)...)
		if status != 0 || stderr != "" {
			t.Fatalf("%s: status %d: %s", args, status, stderr)
		}
		wantMeasured(t, stdout, 2, 2, "millrace")
	}
}

// What was saved is a table, and goes between the marks of a text; the README has them.
func TestBenchTable(t *testing.T) {
	dir := t.TempDir()
	saved, text := filepath.Join(dir, "bench.json"), filepath.Join(dir, "text.md")
	args := strings.Fields("bench throughput --link pipe --stack millrace,millrace-handler,millrace-in-place --save " + saved)
	if _, stderr, status := run(t, append(args, quick...)...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	stdout, stderr, status := run(t, "bench", "table", saved)
	if status != 0 || !strings.Contains(stdout, "| in memory, bulk, Gbit/s |") || !strings.Contains(stdout, "`millrace bench throughput") {
		t.Fatalf("status %d: %s%s", status, stderr, stdout)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, readme, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, status := run(t, "bench", "table", saved, "--into", text); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if got, err := os.ReadFile(text); err != nil || !strings.Contains(string(got), report.MarkBegin+stdout+report.MarkEnd) {
		t.Errorf("%v: no table between the marks of\n%s", err, got)
	}
}

// All commands on a lab, and all that they write.
func TestBenchLab(t *testing.T) {
	testutil.Privileged(t)
	dir := t.TempDir()
	for _, tt := range []struct {
		args   string
		rows   int
		stacks []string
	}{
		{"throughput --stack millrace,kernel,raw --mtu 1500,3000", 4, []string{"millrace", "kernel", "raw"}},
		{"rr --stack millrace,millrace-both,kernel-xdp,raw --queues 2", 1, []string{"millrace", "millrace-both", "kernel-xdp", "raw"}},
		{"crr --stack millrace,kernel", 1, []string{"millrace", "kernel"}},
		{"idle --stack millrace --conns 100", 1, []string{"millrace"}},
	} {
		name := filepath.Join(dir, strings.Fields(tt.args)[0])
		args := append(append([]string{"bench"}, strings.Fields(tt.args)...), quick...)
		args = append(args, "--json", "--csv", name+".csv", "--benchfmt", name+".txt", "--html", name+".html")
		stdout, stderr, status := run(t, args...)
		if status != 0 || stderr != "" {
			t.Fatalf("%s: status %d: %s\n%s", tt.args, status, stderr, stdout)
		}
		wantMeasured(t, stdout, tt.rows, 2, tt.stacks...)
		for ending, want := range map[string]string{".csv": "link,mtu,", ".txt": "BenchmarkLab/", ".html": "<svg"} {
			if b, err := os.ReadFile(name + ending); err != nil || !strings.Contains(string(b), want) {
				t.Errorf("%s%s: %v, want %q in it", name, ending, err, want)
			}
		}
	}
}

// The comparison prints a verdict for each bar, and only what was measured is judged.
func TestBenchCompare(t *testing.T) {
	testutil.Privileged(t)
	stdout, stderr, status := run(t, append([]string{"bench", "compare", "--only", "pipe,veth-queues", "--json"}, quick...)...)
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var m measured
	if err := json.Unmarshal([]byte(stdout), &m); err != nil {
		t.Fatal(err)
	}
	verdicts := make(map[string]int)
	for _, b := range m.Bars {
		verdicts[b.Verdict]++
	}
	if n := verdicts["ok"] + verdicts["short"]; n != 9 || verdicts["not measured"] != len(m.Bars)-n {
		t.Errorf("verdicts %v, want 9 of the pipe, the core and two queues in both modes", verdicts)
	}
}

// serveBench starts millrace bench serve on kernel TCP in b, on port 5001. What it returns ends
// that, and wants it to end well.
func serveBench(t *testing.T, l *lab.Lab) (stop func()) {
	t.Helper()
	server := l.B.Command(t.Context(), binary, "bench", "serve", "--stack", "kernel", "--listen", ":5001")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 10*time.Second, func() bool {
		c, err := l.A.Dial(context.Background(), "tcp", net.JoinHostPort(l.B.IP4.Addr().String(), "5001"))
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	}, "the server")
	return func() {
		t.Helper()
		if err := server.Process.Signal(syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		if err := server.Wait(); err != nil {
			t.Errorf("the server ends: %v, want status 0", err)
		}
	}
}

// Over a NIC, the other end is a server on another machine.
func TestBenchNIC(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	stop := serveBench(t, l)
	args := append(strings.Fields("bench throughput --link nic --nic veth-a --to 10.77.0.2:5001 --json"), quick...)
	out, err := l.A.Command(t.Context(), binary, args...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m := wantMeasured(t, string(out), 2, 2, "millrace", "kernel")
	if about := m.Rows[0].Cells[0].About; !strings.Contains(about, "veth-a") {
		t.Errorf("about millrace: %q, want its NIC", about)
	}
	stop()
}

// The modes of an interface are measured against a server elsewhere, and what was found is what
// --mode auto takes and doctor tells. The server outlives that the interface is closed between runs.
func TestBenchModes(t *testing.T) {
	testutil.Privileged(t)
	state := t.TempDir()
	l := lab.ForTest(t, lab.Config{})
	stop := serveBench(t, l)
	ask := func(args ...string) []byte {
		t.Helper()
		cmd := l.A.Command(t.Context(), binary, args...)
		cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+state)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return out
	}
	args := append(strings.Fields("bench modes --link nic --nic veth-a --to 10.77.0.2:5001 --record --json"), quick...)
	out := ask(args...)
	m := wantMeasured(t, string(out), 3, 2, "millrace-native", "millrace-generic")
	for i, want := range []string{"XDP native", "XDP generic"} {
		if about := m.Rows[0].Cells[i].About; !strings.Contains(about, want) {
			t.Errorf("it was measured on %q, want %s", about, want)
		}
	}
	var found struct {
		Modes struct{ Driver, Best string }
	}
	if err := json.Unmarshal(out, &found); err != nil || found.Modes.Driver != "veth" || found.Modes.Best == "" {
		t.Fatalf("%v: %+v", err, found)
	}
	records, err := loader.ModeRecords(state)
	if err != nil || len(records) != 1 || records[0].Best != found.Modes.Best || len(records[0].Modes) != 2 {
		t.Fatalf("recorded: %+v, %v", records, err)
	}
	// Whichever is the best on this machine, auto goes by the record.
	for best, said := range map[string]string{loader.CopyMode: "XDP in the driver: measured on", loader.GenericMode: "XDP in the network core: measured on"} {
		records[0].Best = best
		if err := loader.RecordMode(state, records[0]); err != nil {
			t.Fatal(err)
		}
		if out := ask("doctor", "--nic", "veth-a"); !strings.Contains(string(out), said) {
			t.Errorf("doctor lacks %q:\n%s", said, out)
		}
	}
	stop()
}

// A signal stops a measurement at once: status 0, nothing printed, nothing left.
func TestBenchStops(t *testing.T) {
	testutil.Privileged(t)
	cmd := exec.CommandContext(t.Context(), binary, "bench", "rr", "--stack", "millrace,kernel-xdp", "--time", "10m")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 20*time.Second, func() bool { return len(benchLabs(t, cmd.Process.Pid)) == 2 }, "the labs")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "" {
		t.Errorf("%v, %q, want status 0 and nothing", err, out.String())
	}
	if left := benchLabs(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("labs %v are left", left)
	}
}
