package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/congestion/reno"
)

// runSim runs a command line to its end.
func runSim(t *testing.T, args ...string) (status int, out, diag string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
	status = a.run(t.Context(), append([]string{"sim"}, args...))
	return status, stdout.String(), stderr.String()
}

// The keys of the JSON are those that scripts rely on, and the same seed gives the same digest.
func TestSimJSON(t *testing.T) {
	args := []string{"--link", "rate=10mbit,rtt=40ms,queue=1bdp", "--cc", "reno,reno", "--time", "20s", "--seed", "7", "--json"}
	status, out, diag := runSim(t, args...)
	if status != 0 || diag != "" {
		t.Fatalf("status %d, %s", status, diag)
	}
	var got struct {
		Seed  uint64  `json:"seed"`
		TimeS float64 `json:"time_s"`
		WallS float64 `json:"wall_s"`
		Flows []struct {
			CC          string             `json:"cc"`
			Goodput     float64            `json:"goodput_bps"`
			Bytes       int64              `json:"bytes"`
			Retransmits *uint64            `json:"retransmits"`
			Timeouts    *uint64            `json:"timeouts"`
			RTT         map[string]float64 `json:"rtt_ms"`
			Cwnd        map[string]float64 `json:"cwnd_pkts"`
		} `json:"flows"`
		Link struct {
			Utilization float64            `json:"utilization"`
			Drops       *uint64            `json:"drops"`
			Queue       map[string]float64 `json:"queue_ms"`
		} `json:"link"`
		Jain   float64 `json:"jain"`
		Digest string  `json:"digest"`
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Seed != 7 || got.TimeS != 20 || got.WallS <= 0 || len(got.Flows) != 2 || got.Digest == "" {
		t.Errorf("got %s", out)
	}
	for _, f := range got.Flows {
		if f.CC != "reno" || f.Goodput <= 0 || f.Bytes <= 0 || f.Retransmits == nil || f.Timeouts == nil ||
			f.RTT["min"] < 40 || f.RTT["p50"] < f.RTT["min"] || f.RTT["p95"] < f.RTT["p50"] ||
			f.Cwnd["min"] <= 0 || f.Cwnd["avg"] < f.Cwnd["min"] || f.Cwnd["max"] < f.Cwnd["avg"] {
			t.Errorf("flow %+v", f)
		}
	}
	if got.Link.Utilization < 0.9 || got.Link.Utilization > 1.001 || got.Link.Drops == nil ||
		got.Link.Queue["p95"] <= 0 || got.Link.Queue["p50"] <= 0 || got.Jain < 0.5 {
		t.Errorf("link %+v, jain %v", got.Link, got.Jain)
	}
	_, again, _ := runSim(t, args...)
	if !strings.Contains(again, got.Digest) {
		t.Errorf("another digest: %s", again)
	}
}

func TestSimTableAndCSV(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	status, out, diag := runSim(t, "--flows", "2", "--time", "5s", "--csv", dir)
	if status != 0 || diag != "" || !strings.Contains(out, "utilization") || strings.Count(out, "cubic") != 2 {
		t.Errorf("status %d, %s%s", status, out, diag)
	}
	for _, name := range []string{"flow-0.csv", "flow-1.csv"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSpace(string(b)), "\n")
		if len(rows) != 1+5000 || !strings.HasPrefix(rows[0], "t,cwnd,ssthresh,inflight,srtt") {
			t.Errorf("%s: %d rows, the first %q", name, len(rows), rows[0])
		}
		if last := rows[len(rows)-1]; !strings.HasPrefix(last, "5.000000,") || strings.Count(last, ",") != strings.Count(rows[0], ",") {
			t.Errorf("%s: the last row is %q", name, last)
		}
	}
}

// A wrong flag is one line and status 2; a place where nothing can be written is status 1.
func TestSimRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{"--link", "rate=20"}, 2, "mbit"},
		{[]string{"--link", "rate=20mbit"}, 2, "rtt"},
		{[]string{"--cc", "nonesuch"}, 2, "there is cubic"},
		{[]string{"--cc", "reno?x=1"}, 2, `no option "x"`},
		{[]string{"--flows", "-1"}, 2, "want 1 to"},
		{[]string{"--time", "0s"}, 2, "more than 0"},
		{[]string{"--seed", "x"}, 2, "seed"},
		{[]string{"extra"}, 2, "no argument"},
		{[]string{"--csv", filepath.Join(file, "dir")}, 1, "directory"},
	} {
		status, out, diag := runSim(t, c.args...)
		if status != c.want || out != "" || !strings.Contains(diag, c.says) || strings.Count(diag, "\n") != 1 {
			t.Errorf("%q: status %d, %q, %q; want status %d and a line with %q", c.args, status, out, diag, c.want, c.says)
		}
	}
}

// A signal ends a long run with status 0, and nothing is printed.
func TestSimStops(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStopped)
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr}
	if status := a.run(ctx, []string{"sim", "--time", "100s"}); status != 0 || stdout.Len() > 0 || stderr.Len() > 0 {
		t.Errorf("status %d, %q, %q", status, &stdout, &stderr)
	}
}

// What cc list names can be simulated, with the options that it names.
func TestSimKnowsTheAlgorithms(t *testing.T) {
	for _, alg := range algorithms(catalog.All()) {
		specs := []string{alg.Name}
		for _, o := range alg.Options {
			specs = append(specs, alg.Name+"?"+o.Name+"="+o.Default)
		}
		for _, spec := range specs {
			status, out, diag := runSim(t, "--time", "2s", "--cc", spec, "--json")
			if status != 0 || !strings.Contains(out, `"cc":"`+alg.Name) {
				t.Errorf("%s: status %d, %s%s", spec, status, out, diag)
			}
		}
	}
}

// A program with algorithms of its own has them in every command, beside those of millrace.
func TestOwnAlgorithms(t *testing.T) {
	own := catalog.Entry{
		Name: "mine", About: "Reno by another name",
		New: func(catalog.Values) (catalog.Maker, error) { return reno.New, nil },
	}
	for _, args := range []string{
		"cc list",
		"sim --cc mine,cubic --time 2s",
		"sim compare --cc mine --time 2s --seeds 1",
	} {
		var out, diag syncBuffer
		a := &app{algorithms: append(catalog.All(), own), stdout: &out, stderr: &diag}
		if status := a.run(t.Context(), strings.Fields(args)); status != 0 || !strings.Contains(out.String(), "mine") {
			t.Errorf("%s: status %d, %s%s", args, status, out.String(), diag.String())
		}
	}
	var out, diag syncBuffer
	a := &app{stdout: &out, stderr: &diag}
	if status := a.run(t.Context(), []string{"sim", "--cc", "mine"}); status != statusUsage {
		t.Errorf("status %d for an algorithm that is not there: %s", status, diag.String())
	}
}
