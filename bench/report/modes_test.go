package report_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/bench/usage"
)

// rates is what a mode does in a second: octets each way, messages, and the processors' time.
type rates struct {
	receive, send, messages int64
	busy                    time.Duration
	refused                 error
}

// modesReport is a report of the three works that modes are judged by.
func modesReport(modes map[string]rates) *report.Report {
	r := &report.Report{Rounds: 1}
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload}, {Kind: bench.Bulk, Way: bench.Download}, {Kind: bench.RequestResponse, Size: 1},
	} {
		var runs []bench.Runs
		for stack, m := range modes {
			res := bench.Result{Elapsed: time.Second, CPU: bench.CPU{Machine: usage.Machine{User: m.busy}}}
			switch w.Way {
			case bench.Upload:
				res.Octets = m.receive
			case bench.Download:
				res.Octets = m.send
			default:
				res.Count = m.messages
			}
			one := bench.Runs{Target: stack, Results: []bench.Result{res}, Failure: m.refused}
			runs = append(runs, one)
		}
		r.Add(testbed.Link{Kind: testbed.Lab, MTU: 1500, Queues: 1}, w, runs, nil)
	}
	return r
}

// The fastest mode is the best, unless another is about as fast and takes less.
func TestJudgeModes(t *testing.T) {
	native, generic, zero := testbed.MillraceNative, testbed.MillraceGeneric, testbed.MillraceZeroCopy
	slow := rates{receive: 1e9, send: 1e9, messages: 10_000, busy: time.Second}
	for _, tt := range []struct {
		name  string
		modes map[string]rates
		want  string
	}{
		{"one receives more", map[string]rates{native: slow, generic: {receive: 2e9, send: 1e9, messages: 10_000, busy: time.Second}}, "generic"},
		{"alike, and one takes less", map[string]rates{
			native: slow, zero: {receive: 1e9, send: 1e9, messages: 9900, busy: time.Second / 2}, generic: slow,
		}, "zerocopy"},
		{"cheap and slow", map[string]rates{native: slow, generic: {receive: 5e8, send: 5e8, messages: 5000, busy: time.Second / 10}}, "copy"},
		{"refused", map[string]rates{zero: {refused: errors.New("no zero-copy")}, native: slow}, "copy"},
		{"none works", map[string]rates{zero: {refused: errors.New("no zero-copy")}}, ""},
	} {
		m := modesReport(tt.modes).JudgeModes("ice")
		if m.Best != tt.want || len(m.Modes) != len(tt.modes) {
			t.Errorf("%s: got %+v, want %q of %d", tt.name, m, tt.want, len(tt.modes))
		}
		said := m.String()
		if tt.want != "" && !strings.Contains(said, "the best for ice: "+tt.want+"\n") {
			t.Errorf("%s: it says\n%s", tt.name, said)
		}
		for _, f := range m.Modes {
			if f.Refused == "" && f.Cost < 1 {
				t.Errorf("%s: %s costs %v, less than the cheapest", tt.name, f.Mode, f.Cost)
			}
		}
	}
}
