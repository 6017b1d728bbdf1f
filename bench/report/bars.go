package report

import (
	"fmt"
	"slices"

	"github.com/millrace-tcp/millrace/bench/testbed"
)

// Bar is a claim of the project about its speed, and what was measured of it on one of its
// stacks. All are ratios of medians that were measured by turns, but for those of the core and
// of idle connections.
type Bar struct {
	Work     string  `json:"work"`
	Stack    string  `json:"stack"`
	Expected string  `json:"expected"`
	Measured float64 `json:"measured"`
	// Spread is half of the range of the rounds, as a share of what is measured; 0 where there
	// is but one figure of them all.
	Spread  float64 `json:"spread"`
	Against string  `json:"against,omitempty"` // what was divided by what, or which of them stalled
	Verdict string  `json:"verdict"`           // "ok", "short" or "not measured"
}

// The verdicts.
const (
	OK          = "ok"
	Short       = "short"
	NotMeasured = "not measured"
)

// figure is where to find a number: a metric of a stack on a link under a workload.
type figure struct {
	kind   string
	mtu    int
	queues int
	work   string
	flows  int
	size   int
	stack  string
	metric string
}

// of returns a figure.
func (r *Report) of(f figure) (Metric, bool) {
	c, ok := r.cell(f)
	if !ok {
		return Metric{}, false
	}
	return c.Metric(f.metric)
}

// has says whether it was tried to measure a figure.
func (r *Report) has(f figure) bool {
	_, ok := r.cell(f)
	return ok
}

// cell returns what came of the workload of a figure on its stack. What was measured in two
// sections was so in the later one for what it stands beside there.
func (r *Report) cell(f figure) (Cell, bool) {
	for _, row := range slices.Backward(r.Rows) {
		if row.Link.Kind != f.kind || row.Link.MTU != f.mtu || row.Link.Queues != f.queues ||
			row.Work != f.work || row.Flows != f.flows || row.Size != f.size {
			continue
		}
		for _, c := range row.Cells {
			if c.Stack == f.stack {
				return c, true
			}
		}
	}
	return Cell{}, false
}

// on returns a figure of another stack.
func (f figure) on(stack string) figure {
	f.stack = stack
	return f
}

// at returns a figure of a link with other queues.
func (f figure) at(queues int) figure {
	f.queues = queues
	return f
}

// The stacks that bars are measured on, by what they can.
var (
	onBulk     = []string{testbed.Millrace, testbed.MillraceInPlace, testbed.MillraceHandler}
	onMessages = []string{testbed.Millrace, testbed.MillraceHandler, testbed.MillraceBoth, testbed.MillraceBothHandler}
	onServer   = []string{testbed.Millrace, testbed.MillraceHandler}
)

// IdleConns is how many connections the bar of idle ones has.
const IdleConns = 10_000

// Judge fills in the bars.
func (r *Report) Judge() {
	r.Bars = nil
	for _, way := range []string{"receive", "send"} {
		r.judgeBulk(way, bulk(1500, "bulk-"+way))
	}
	for _, mtu := range []int{9000, 65000} {
		for _, way := range []string{"receive", "send"} {
			f := bulk(mtu, "bulk-"+way)
			work := fmt.Sprintf("veth, MTU %d, bulk %s, beside kernel TCP ", mtu, way)
			r.least(onBulk[:2], work+"with XDP attached", 1, f, f.on(testbed.KernelXDP))
			r.least(onBulk[:2], work+"as it is", 1, f, f.on(testbed.Kernel))
		}
	}
	for _, p := range []string{"p50", "p99"} {
		f := figure{testbed.Lab, 1500, 1, "rr", 1, 1, "", p}
		r.most(onMessages, "veth, request-response 1 B, "+p+", beside kernel TCP", 0.5, f, f.on(testbed.Kernel))
	}
	crr := figure{testbed.Lab, 1500, 1, "crr", 1, 1, "", Rate}
	r.least(onServer, "veth, connect-request-response, beside kernel TCP", 1.5, crr, crr.on(testbed.Kernel))
	pipe := figure{testbed.Pipe, 1500, 0, "bulk-receive", 1, 0, "", Throughput}
	r.least(onBulk, "pipe, MTU 1500, bulk, beside gVisor's pipe", 8, pipe, pipe.on(testbed.GVisor))
	r.least(onBulk, "pipe, MTU 1500, bulk, of copying memory", 0.25, pipe, pipe.on(testbed.MemoryCopy))
	core := []string{testbed.Core}
	pipe.metric = Segment
	r.limit(core, "core alone, pipe, ns a full segment, both ends", 400, pipe)
	pipe.metric = Allocs
	r.limit(core, "core alone, pipe, allocations a segment", 0.001, pipe)
	web := figure{testbed.Lab, 1500, 1, "http", 64, 0, "", Rate}
	r.least(onBulk[:1], "veth, net/http hello, wrk -c64, beside kernel TCP", 1.2, web, web.on(testbed.Kernel))
	for _, way := range []string{"receive", "send"} {
		f := figure{testbed.Lab, 1500, 1, "bulk-" + way, 8, 0, "", Throughput}
		for _, s := range []string{testbed.Millrace, testbed.MillraceNative} {
			r.least([]string{s}, "veth, bulk "+way+", 8 flows, 2 queues beside 1", 1, f.at(2), f.on(s))
		}
	}
	idle := figure{testbed.Lab, 1500, 1, "idle", IdleConns, 0, "", CPUServer}
	r.limit(onServer, fmt.Sprintf("%d idle connections, %% of a core", IdleConns), 2, idle)
	idle.metric = Resident
	r.limit(onServer, fmt.Sprintf("%d idle connections, KiB each", IdleConns), 4, idle)
}

// judgeBulk judges the bars of a transfer at MTU 1500.
func (r *Report) judgeBulk(way string, f figure) {
	work := "veth, MTU 1500, bulk " + way + ", "
	r.least(onBulk, work+"of raw AF_XDP or of kernel TCP there, whichever is less", 0.85,
		f, f.on(testbed.Raw), f.on(testbed.KernelXDP))
	gvisor := f.on(testbed.GVisorXDP)
	if _, ok := r.of(gvisor); !ok {
		// It does not get through in each mode.
		if native := f.on(testbed.GVisorNative); r.has(native) {
			gvisor = native
		}
	}
	r.least(onBulk, work+"beside gVisor on AF_XDP", 5, f, gvisor)
	r.least(onBulk, work+"beside kernel TCP with XDP attached", 1, f, f.on(testbed.KernelXDP))
}

// bulk is a transfer on one connection over a veth.
func bulk(mtu int, work string) figure {
	return figure{testbed.Lab, mtu, 1, work, 1, 0, "", Throughput}
}

// least judges a ratio that has a lower bound; of several divisors the least counts.
func (r *Report) least(stacks []string, work string, bound float64, f figure, by ...figure) {
	for _, s := range stacks {
		b := Bar{Work: work, Stack: s, Expected: fmt.Sprintf("≥ %g", bound)}
		r.ratio(&b, f.on(s), by, func(v float64) bool { return v >= bound })
	}
}

// most judges a ratio that has an upper bound.
func (r *Report) most(stacks []string, work string, bound float64, f figure, by ...figure) {
	for _, s := range stacks {
		b := Bar{Work: work, Stack: s, Expected: fmt.Sprintf("≤ %g", bound)}
		r.ratio(&b, f.on(s), by, func(v float64) bool { return v <= bound })
	}
}

// ratio measures and judges. All figures must have been measured.
func (r *Report) ratio(b *Bar, f figure, by []figure, ok func(float64) bool) {
	defer func() { r.Bars = append(r.Bars, *b) }()
	b.Verdict = NotMeasured
	m, found := r.of(f)
	var least Metric
	against := ""
	for i, d := range by {
		dm, known := r.of(d)
		if !known || dm.Median == 0 {
			if c, _ := r.cell(d); c.Stalled {
				b.Against = d.name() + " stalled"
			}
			return
		}
		if i == 0 || dm.Median < least.Median {
			least, against = dm, fmt.Sprintf("%s over %s", f.name(), d.name())
		}
	}
	if !found {
		return
	}
	b.Measured, b.Against = m.Median/least.Median, against
	b.Spread = spreadOf(m, least, b.Measured)
	b.judge(ok(b.Measured))
}

// spreadOf is half of the range of the ratios of all rounds, as a share of a ratio: what both
// met in one round is compared. It is 0 where there are no figures of each round.
func spreadOf(m, by Metric, ratio float64) float64 {
	if len(m.Values) != len(by.Values) || m.Together || by.Together || ratio == 0 {
		return 0
	}
	var each Metric
	for i, v := range m.Values {
		if by.Values[i] == 0 {
			return 0
		}
		each.Values = append(each.Values, v/by.Values[i])
	}
	each.sum()
	return (each.Max - each.Min) / 2 / ratio
}

func (b *Bar) judge(ok bool) {
	b.Verdict = Short
	if ok {
		b.Verdict = OK
	}
}

// name says which figure it is beside the other of a ratio.
func (f figure) name() string {
	if f.queues > 1 {
		return fmt.Sprintf("%s with %d queues", f.stack, f.queues)
	}
	return f.stack
}

// limit judges a figure by itself.
func (r *Report) limit(stacks []string, work string, bound float64, f figure) {
	for _, s := range stacks {
		b := Bar{Work: work, Stack: s, Expected: fmt.Sprintf("≤ %g", bound), Verdict: NotMeasured}
		if m, ok := r.of(f.on(s)); ok {
			b.Measured, b.Spread = m.Median, m.Spread()
			b.judge(m.Median <= bound)
		}
		r.Bars = append(r.Bars, b)
	}
}

// barTable is the bars, a line for each claim, a column for each of the stacks that it is
// measured on.
func barTable(bars []Bar) (header []string, lines [][]string) {
	column := make(map[string]int)
	header = []string{"bar", "limit"}
	for _, b := range bars {
		name := barColumn(b.Stack)
		if _, known := column[name]; !known {
			column[name] = len(header)
			header = append(header, name)
		}
	}
	work := ""
	for _, b := range bars {
		if b.Work != work {
			work = b.Work
			line := make([]string, len(header))
			line[0], line[1] = b.Work, b.Expected
			lines = append(lines, line)
		}
		lines[len(lines)-1][column[barColumn(b.Stack)]] = b.measured()
	}
	return header, lines
}

// barColumn names the column of a stack. What is measured of the core has no other.
func barColumn(stack string) string {
	if stack == testbed.Core {
		return testbed.Millrace
	}
	return stack
}

// measured is what was measured, and whether it is enough.
func (b Bar) measured() string {
	verdict := map[string]string{OK: "met", Short: "NOT met"}[b.Verdict]
	switch {
	case verdict == "" && b.Against != "":
		return b.Against
	case verdict == "":
		return b.Verdict
	}
	if b.Spread == 0 {
		return digits(b.Measured) + " " + verdict
	}
	return fmt.Sprintf("%s ±%.0f%% %s", digits(b.Measured), 100*b.Spread, verdict)
}
