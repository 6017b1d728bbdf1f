package report

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/millrace-tcp/millrace/bench/testbed"
)

// Bar is a claim of the project about its speed, and what was measured of it. All are
// ratios of medians that were measured by turns, but for those of idle connections.
type Bar struct {
	Work     string  `json:"work"`
	Expected string  `json:"expected"`
	Measured float64 `json:"measured"`
	Against  string  `json:"against,omitempty"` // what was divided by what
	Verdict  string  `json:"verdict"`           // "ok", "short" or "not measured"
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

// of returns the median of a figure.
func (r *Report) of(f figure) (float64, bool) {
	for _, row := range r.Rows {
		if row.Link.Kind == f.kind && row.Link.MTU == f.mtu && row.Link.Queues == f.queues &&
			row.Work == f.work && row.Flows == f.flows && row.Size == f.size {
			if m, ok := row.Metric(f.stack, f.metric); ok {
				return m.Median, true
			}
		}
	}
	return 0, false
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

func bulk(mtu int, work string) figure {
	return figure{testbed.Lab, mtu, 1, work, 1, 0, testbed.Millrace, Throughput}
}

// Judge fills in the bars.
func (r *Report) Judge() {
	r.Bars = nil
	ways := []string{"bulk-receive", "bulk-send"}
	for _, way := range ways {
		f := bulk(1500, way)
		r.least("veth, MTU 1500, "+way+", of raw AF_XDP or of kernel TCP there, whichever is less", 0.85,
			f, f.on(testbed.Raw), f.on(testbed.KernelXDP))
	}
	for _, way := range ways {
		f := bulk(1500, way)
		r.least("veth, MTU 1500, "+way+", beside gVisor on AF_XDP", 5, f, f.on(testbed.GVisorXDP))
	}
	for _, mtu := range []int{1500, 9000, 65000} {
		for _, way := range ways {
			f := bulk(mtu, way)
			r.least(fmt.Sprintf("veth, MTU %d, %s, beside kernel TCP with XDP attached", mtu, way), 1, f, f.on(testbed.KernelXDP))
			if mtu > 1500 {
				r.least(fmt.Sprintf("veth, MTU %d, %s, beside kernel TCP as it is", mtu, way), 1, f, f.on(testbed.Kernel))
			}
		}
	}
	for _, p := range []string{"p50", "p99"} {
		f := figure{testbed.Lab, 1500, 1, "rr", 1, 1, testbed.Millrace, p}
		r.most("veth, request-response 1 B, "+p+", beside kernel TCP", 0.5, f, f.on(testbed.Kernel))
		r.most("veth, request-response 1 B, "+p+", millrace at both ends", 0.5, f.on(testbed.MillraceBoth), f.on(testbed.Kernel))
	}
	crr := figure{testbed.Lab, 1500, 1, "crr", 1, 1, testbed.Millrace, Rate}
	r.least("veth, connect-request-response, beside kernel TCP", 1.5, crr, crr.on(testbed.Kernel))
	pipe := figure{testbed.Pipe, 1500, 0, "bulk-receive", 1, 0, testbed.Millrace, Throughput}
	r.least("pipe, MTU 1500, bulk, beside gVisor's pipe", 8, pipe, pipe.on(testbed.GVisor))
	r.least("pipe, MTU 1500, bulk, of copying memory", 0.25, pipe, pipe.on(testbed.MemoryCopy))
	pipe.stack, pipe.metric = testbed.Core, Segment
	r.limit("core alone, pipe, ns a full segment, both ends", 400, pipe)
	pipe.metric = Allocs
	r.limit("core alone, pipe, allocations a segment", 0.001, pipe)
	web := figure{testbed.Lab, 1500, 1, "http", 64, 0, testbed.Millrace, Rate}
	r.least("veth, net/http hello, wrk -c64, beside kernel TCP", 1.2, web, web.on(testbed.Kernel))
	for _, way := range ways {
		f := figure{testbed.Lab, 1500, 1, way, 8, 0, testbed.Millrace, Throughput}
		r.least("veth, "+way+", 8 flows, 2 queues beside 1", 1, f.at(2), f)
	}
	idle := figure{testbed.Lab, 1500, 1, "idle", IdleConns, 0, testbed.Millrace, CPUServer}
	r.limit(fmt.Sprintf("%d idle connections, %% of a core", IdleConns), 2, idle)
	idle.metric = Resident
	r.limit(fmt.Sprintf("%d idle connections, KiB each", IdleConns), 4, idle)
}

// IdleConns is how many connections the bar of idle ones has.
const IdleConns = 10_000

// least judges a ratio that has a lower bound; of several divisors the least counts.
func (r *Report) least(work string, bound float64, f figure, by ...figure) {
	b := Bar{Work: work, Expected: fmt.Sprintf("≥ %g", bound)}
	r.ratio(&b, f, by, func(v float64) bool { return v >= bound })
}

// most judges a ratio that has an upper bound.
func (r *Report) most(work string, bound float64, f figure, by ...figure) {
	b := Bar{Work: work, Expected: fmt.Sprintf("≤ %g", bound)}
	r.ratio(&b, f, by, func(v float64) bool { return v <= bound })
}

// ratio measures and judges. All figures must have been measured.
func (r *Report) ratio(b *Bar, f figure, by []figure, ok func(float64) bool) {
	defer func() { r.Bars = append(r.Bars, *b) }()
	b.Verdict = NotMeasured
	v, found := r.of(f)
	var least float64
	for i, d := range by {
		dv, known := r.of(d)
		if !known || dv == 0 {
			return
		}
		if i == 0 || dv < least {
			least = dv
			b.Against = fmt.Sprintf("%s over %s", f.name(), d.name())
		}
	}
	if !found {
		return
	}
	b.Measured = v / least
	b.judge(ok(b.Measured))
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
func (r *Report) limit(work string, bound float64, f figure) {
	b := Bar{Work: work, Expected: fmt.Sprintf("≤ %g", bound), Verdict: NotMeasured}
	if v, ok := r.of(f); ok {
		b.Measured = v
		b.judge(v <= bound)
	}
	r.Bars = append(r.Bars, b)
}

func writeBars(w io.Writer, bars []Bar) {
	if len(bars) == 0 {
		return
	}
	fmt.Fprintf(w, "\nbars\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "work\texpected\tmeasured\tverdict\t\n")
	for _, b := range bars {
		measured := "-"
		if b.Verdict != NotMeasured {
			measured = digits(b.Measured)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", b.Work, b.Expected, measured, b.Verdict, b.Against)
	}
	_ = tw.Flush() // a strings.Builder takes all
}
