package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Flent collects the ticks of flows, and writes them as a data file of flent, version 4:
// throughput of each flow and round trips, as its test "tcp_nup" has them.
type Flent struct {
	title string
	at    time.Time
	step  time.Duration
	flows []flentFlow
}

type flentFlow struct {
	last Row
	rate []float64 // Mbit/s, of each step
	rtt  []float64 // ms
}

// flentStepsMax bounds a file: a hundred thousand steps are five hours of 200 ms.
const flentStepsMax = 100_000

// NewFlent begins a file of so many flows, with a value each step.
func NewFlent(title string, at time.Time, step time.Duration, flows int) *Flent {
	return &Flent{title: title, at: at, step: step, flows: make([]flentFlow, flows)}
}

// Put takes a tick.
func (f *Flent) Put(e *Entry) {
	if !e.Tick || e.Flow >= len(f.flows) {
		return
	}
	x := &f.flows[e.Flow]
	if e.At < x.last.At+f.step || len(x.rate) >= flentStepsMax {
		return
	}
	for x.last.At+2*f.step <= e.At && len(x.rate) < flentStepsMax {
		x.rate, x.rtt = append(x.rate, math.NaN()), append(x.rtt, math.NaN()) // nothing was heard
		x.last.At += f.step
	}
	seconds := (e.At - x.last.At).Seconds()
	x.rate = append(x.rate, float64(e.Delivered-x.last.Delivered)*8/seconds/1e6)
	x.rtt = append(x.rtt, float64(e.SRTT)/1e6)
	x.last = e.Row
}

// Write writes the file.
func (f *Flent) Write(w io.Writer) error {
	steps := 0
	for i := range f.flows {
		steps = max(steps, len(f.flows[i].rate))
	}
	x := make([]float64, steps)
	for i := range x {
		x[i] = float64(i+1) * f.step.Seconds()
	}
	results := make(map[string][]*float64)
	for i := range f.flows {
		results[fmt.Sprintf("TCP upload::%d", i+1)] = padded(f.flows[i].rate, steps)
	}
	if len(f.flows) > 0 {
		results["Ping (ms) ICMP"] = padded(f.flows[0].rtt, steps)
	}
	stamp := f.at.UTC().Format("2006-01-02T15:04:05.000000Z")
	err := json.NewEncoder(w).Encode(map[string]any{
		"version": 4, "x_values": x, "results": results, "raw_values": map[string]any{},
		"metadata": map[string]any{
			"NAME": "tcp_nup", "TITLE": f.title, "TIME": stamp, "T0": stamp, "LOCAL_HOST": "millrace", "HOST": "millrace",
			"LENGTH": int(math.Ceil(float64(steps) * f.step.Seconds())), "TOTAL_LENGTH": int(math.Ceil(float64(steps) * f.step.Seconds())),
			"STEP_SIZE": f.step.Seconds(), "DATA_FILENAME": "", "NOTE": nil, "FLENT_VERSION": "2.1.1", "IP_VERSION": 4,
			"TEST_PARAMETERS": map[string]any{"upload_streams": fmt.Sprint(len(f.flows))}, "SERIES_META": map[string]any{},
		},
	})
	if err != nil {
		return fmt.Errorf("trace: write flent data: %w", err)
	}
	return nil
}

// padded is values with as many at the end as are missing; what is no number is null.
func padded(v []float64, n int) []*float64 {
	out := make([]*float64, n)
	for i := range min(n, len(v)) {
		if !math.IsNaN(v[i]) {
			out[i] = &v[i]
		}
	}
	return out
}
