// Package report says what measurements found: as a table, as JSON, as CSV, in the format
// that benchstat reads, and as a page with plots; and judges it by the bars that the project
// has set itself.
package report

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/testbed"
)

// Schema is the version of the JSON: keys are added under one number, and changed or taken
// away only with another.
const Schema = 1

// Report is all that one command measured.
type Report struct {
	Schema  int       `json:"schema"`
	Command string    `json:"command"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"` // that all of it took
	Machine Machine   `json:"machine"`
	// Rounds is how often each was measured, and RunSeconds how long a run was.
	Rounds     int     `json:"rounds"`
	RunSeconds float64 `json:"run_seconds"`
	Rows       []Row   `json:"rows"`
	Bars       []Bar   `json:"bars,omitempty"`
	Modes      *Modes  `json:"modes,omitempty"`
}

// Row is one workload on one link. Its cells were measured by turns.
type Row struct {
	Name  string       `json:"name"` // "lab/mtu=1500/queues=1/work=bulk-receive/flows=1"
	Title string       `json:"title"`
	Link  testbed.Link `json:"on"`
	Work  string       `json:"work"` // "bulk-receive", "bulk-send", "rr", "crr", "idle", "http"
	Flows int          `json:"flows"`
	Size  int          `json:"size,omitempty"` // of a message, in octets
	Cells []Cell       `json:"cells"`
}

// Cell is a stack in a row. If a run failed there are no metrics, but the failure.
type Cell struct {
	Stack   string   `json:"stack"`
	About   string   `json:"about,omitempty"`
	Failure string   `json:"failure,omitempty"`
	Stalled bool     `json:"stalled,omitempty"` // and that is the failure
	Runs    int      `json:"runs"`
	Metrics []Metric `json:"metrics"`
	// Latency is the distribution of all runs together, in the encoding of HdrHistogram.
	Latency bench.Latency `json:"latency,omitzero"`
}

// Metric is one figure, of each of the runs and summed up.
type Metric struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Better string    `json:"better"` // "more" or "less"
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"`
	// Together says that the value is that of all runs together, as one alone has too few
	// messages for it.
	Together bool `json:"together,omitempty"`
}

// Spread is how far apart the runs are: half of the range, as a share of the median.
func (m Metric) Spread() float64 {
	if m.Median == 0 {
		return 0
	}
	return (m.Max - m.Min) / 2 / m.Median
}

// sum sums the values up.
func (m *Metric) sum() {
	m.Median, m.Min, m.Max = bench.Median(m.Values), slices.Min(m.Values), slices.Max(m.Values)
}

// The names of metrics.
const (
	Throughput  = "throughput" // bit/s of payload
	Segment     = "segment"    // ns of the process's time for a frame, or a segment of both ends, where they are counted
	Allocs      = "allocs"     // objects a segment
	Rate        = "rate"       // 1/s: messages, connections, requests
	CPU         = "cpu"        // of the whole machine, both ends, for a GiB, or a message, or of one core
	CPUUser     = "cpu-user"
	CPUSystem   = "cpu-system"
	CPUSoftIRQ  = "cpu-softirq"
	CPUServer   = "cpu-server" // of the serving process
	CPUClient   = "cpu-client"
	Resident    = "resident" // memory of a connection: of the process
	Live        = "live"     // reachable, after a collection
	MachineHas  = "machine"  // of the whole machine, both ends
	percentiles = "p50 p90 p99 p99.9 p99.99"
)

// Add adds a row of what came of a workload on a link's stacks.
func (r *Report) Add(link testbed.Link, w bench.Workload, runs []bench.Runs, about map[string]string) {
	row := Row{Link: link, Work: workOf(w), Flows: max(1, w.Flows), Size: w.Size, Title: titleOf(w)}
	row.Name = fmt.Sprintf("%v/work=%s/flows=%d", link, row.Work, row.Flows)
	if row.Size > 0 {
		row.Name += fmt.Sprintf("/size=%d", row.Size)
	}
	for _, one := range runs {
		c := Cell{
			Stack: one.Target, About: about[link.String()+" "+one.Target], Runs: len(one.Results), Metrics: []Metric{},
		}
		if one.Failure != nil {
			c.Failure, c.Stalled = one.Failure.Error(), errors.Is(one.Failure, bench.ErrStalled)
		} else {
			c.Metrics, c.Latency = metricsOf(w, one.Results), one.Summary().Latency
		}
		row.Cells = append(row.Cells, c)
	}
	r.Rows = append(r.Rows, row)
}

// Failures is how many cells have no figures, those of other people's stacks not counted.
func (r *Report) Failures() (n int) {
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			if c.Failure != "" && !testbed.NeedsPeers(c.Stack) {
				n++
			}
		}
	}
	return n
}

// Metric returns a figure of a stack.
func (r Row) Metric(stack, name string) (Metric, bool) {
	for _, c := range r.Cells {
		if c.Stack == stack {
			return c.Metric(name)
		}
	}
	return Metric{}, false
}

// Metric returns a figure.
func (c Cell) Metric(name string) (Metric, bool) {
	for _, m := range c.Metrics {
		if m.Name == name {
			return m, true
		}
	}
	return Metric{}, false
}

// workOf names a workload as the stack sees it.
func workOf(w bench.Workload) string {
	if w.Kind != bench.Bulk && w.Kind != bench.Exact {
		return string(w.Kind)
	}
	if w.Way == bench.Upload {
		return string(w.Kind) + "-receive"
	}
	return string(w.Kind) + "-send"
}

// titleOf names a workload for people.
func titleOf(w bench.Workload) string {
	flows := ""
	if w.Flows > 1 {
		flows = fmt.Sprintf(", %d flows", w.Flows)
	}
	switch w.Kind {
	case bench.Bulk, bench.Exact:
		if w.Way == bench.Upload {
			return "bulk receive" + flows
		}
		return "bulk send" + flows
	case bench.RequestResponse:
		return fmt.Sprintf("request-response %d B%s", w.Size, flows)
	case bench.Connect:
		return fmt.Sprintf("connect, ask %d B, close%s", w.Size, flows)
	case bench.Idle:
		return fmt.Sprintf("%d idle connections", max(1, w.Flows))
	case bench.HTTP:
		return "net/http hello, wrk" + flows
	}
	return string(w.Kind)
}
