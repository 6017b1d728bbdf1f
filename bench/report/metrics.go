package report

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

const (
	gib = 1 << 30
	kib = 1 << 10
)

// metricsOf makes figures of the runs of a workload.
func metricsOf(w bench.Workload, runs []bench.Result) []Metric {
	m := metrics{runs: runs}
	switch w.Kind {
	case bench.Bulk, bench.Exact:
		m.add(Throughput, "bit/s", "more", bench.Result.BitsPerSecond)
		if runs[0].Count > 0 {
			m.add(Segment, "ns", "less", func(r bench.Result) float64 {
				return float64(r.CPU.Client.Busy()) / float64(r.Count)
			})
			m.add(Allocs, "1", "less", func(r bench.Result) float64 { return float64(r.Allocs) / float64(r.Count) })
		}
		m.cpu("s/GiB", func(r bench.Result) float64 { return float64(time.Second) * float64(r.Octets) / gib })
	case bench.RequestResponse, bench.Connect, bench.HTTP:
		m.add(Rate, "1/s", "more", bench.Result.PerSecond)
		if !runs[0].Latency.IsZero() {
			m.latency()
		}
		m.cpu("us", func(r bench.Result) float64 { return float64(time.Microsecond) * float64(r.Count) })
	case bench.Idle:
		each := func(octets func(bench.Memory) int64) func(bench.Result) float64 {
			return func(r bench.Result) float64 { return float64(octets(r.Memory)) / float64(r.Memory.Conns) / kib }
		}
		m.add(Resident, "KiB", "less", each(func(m bench.Memory) int64 { return m.Resident }))
		m.add(Live, "KiB", "less", each(func(m bench.Memory) int64 { return m.Live }))
		m.add(MachineHas, "KiB", "less", each(func(m bench.Memory) int64 { return m.Machine }))
		m.add(CPUServer, "%", "less", func(r bench.Result) float64 {
			return 100 * float64(r.CPU.Server.Busy()) / float64(r.Elapsed)
		})
	}
	return m.all
}

// metrics collects figures of runs.
type metrics struct {
	runs []bench.Result
	all  []Metric
}

func (m *metrics) add(name, unit, better string, value func(bench.Result) float64) {
	f := Metric{Name: name, Unit: unit, Better: better}
	for _, r := range m.runs {
		f.Values = append(f.Values, value(r))
	}
	f.sum()
	m.all = append(m.all, f)
}

// cpu adds what was used, for each of a number of units.
func (m *metrics) cpu(unit string, units func(bench.Result) float64) {
	for _, part := range []struct {
		name string
		used func(bench.CPU) time.Duration
	}{
		{CPU, func(c bench.CPU) time.Duration { return c.Machine.Busy() }},
		{CPUUser, func(c bench.CPU) time.Duration { return c.Machine.User }},
		{CPUSystem, func(c bench.CPU) time.Duration { return c.Machine.System }},
		{CPUSoftIRQ, func(c bench.CPU) time.Duration { return c.Machine.SoftIRQ + c.Machine.IRQ }},
		{CPUServer, func(c bench.CPU) time.Duration { return c.Server.Busy() }},
		{CPUClient, func(c bench.CPU) time.Duration { return c.Client.Busy() }},
	} {
		m.add(part.name, unit, "less", func(r bench.Result) float64 {
			if n := units(r); n > 0 {
				return float64(part.used(r.CPU)) / n
			}
			return 0
		})
	}
}

// tailLeast is how many times there must be beyond a percentile for it to say anything: p99.99
// takes 100,000.
const tailLeast = 10

// basis is how many times a percentile takes.
func basis(percentile float64) int64 {
	return int64(math.Round(tailLeast / (1 - percentile/100)))
}

// BasisMost is how many times the last of the percentiles takes.
const BasisMost = tailLeast * 10_000

// latency adds percentiles, in microseconds: of each run if each has the basis for it, of all
// runs together if they have, and else none.
func (m *metrics) latency() {
	var all bench.Latency
	least := int64(math.MaxInt64)
	for _, r := range m.runs {
		all.Merge(r.Latency)
		least = min(least, r.Latency.Count())
	}
	for _, name := range strings.Fields(percentiles) {
		p, _ := strconv.ParseFloat(name[1:], 64) // it is ours
		value := func(l bench.Latency) float64 { return float64(l.Percentile(p)) / float64(time.Microsecond) }
		switch need := basis(p); {
		case least >= need:
			m.add(name, "us", "less", func(r bench.Result) float64 { return value(r.Latency) })
		case all.Count() >= need:
			f := Metric{Name: name, Unit: "us", Better: "less", Values: []float64{value(all)}, Together: true}
			f.sum()
			m.all = append(m.all, f)
		}
	}
}
