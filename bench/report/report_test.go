package report_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/bench/usage"
)

var (
	veth  = testbed.Link{Kind: testbed.Lab, MTU: 1500, Queues: 1}
	veth2 = testbed.Link{Kind: testbed.Lab, MTU: 1500, Queues: 2}
	pipe  = testbed.Link{Kind: testbed.Pipe, MTU: 1500}
)

// bulkRuns are transfers of whole GiB, each in a second, and of a second of the processors
// for each.
func bulkRuns(stack string, gib ...int64) bench.Runs {
	r := bench.Runs{Target: stack}
	for _, n := range gib {
		d := time.Duration(n) * time.Second
		r.Results = append(r.Results, bench.Result{Octets: n << 30, Elapsed: time.Second, CPU: bench.CPU{
			Machine: usage.Machine{User: d / 2, System: d / 4, SoftIRQ: d / 8, IRQ: d / 8},
			Server:  usage.Process{User: d / 4, System: d / 4}, Client: usage.Process{User: d / 2},
		}})
	}
	return r
}

// messageRuns are runs whose messages each took as long as is said.
func messageRuns(stack string, each ...time.Duration) bench.Runs {
	r := bench.Runs{Target: stack}
	for _, d := range each {
		one := bench.Result{Count: 1000, Elapsed: 1000 * d}
		for range 1000 {
			one.Latency.Record(d)
		}
		one.CPU.Machine.User = 1000 * d
		r.Results = append(r.Results, one)
	}
	return r
}

func sample() *report.Report {
	r := &report.Report{Schema: report.Schema, Command: "millrace bench", Machine: report.ThisMachine("v0"), Rounds: 3, RunSeconds: 1}
	about := map[string]string{veth.String() + " millrace": "XDP native"}
	up := bench.Workload{Kind: bench.Bulk, Way: bench.Upload}
	r.Add(veth, up, []bench.Runs{
		bulkRuns(testbed.Millrace, 2, 3, 4), bulkRuns(testbed.Raw, 4, 4, 4), bulkRuns(testbed.KernelXDP, 9, 8, 6),
		{Target: testbed.GVisorXDP, Failure: errors.New("it crashed")},
	}, about)
	r.Add(veth, bench.Workload{Kind: bench.RequestResponse, Size: 1}, []bench.Runs{
		messageRuns(testbed.Millrace, 10*time.Microsecond, 30*time.Microsecond, 20*time.Microsecond),
		messageRuns(testbed.Kernel, 40*time.Microsecond),
	}, about)
	idle := bench.Runs{Target: testbed.Millrace, Results: []bench.Result{{
		Elapsed: time.Second, CPU: bench.CPU{Server: usage.Process{User: 10 * time.Millisecond}},
		Memory: bench.Memory{Conns: 10_000, Resident: 10_000 * 5 << 10, Live: 10_000 * 3 << 10, Machine: 10_000 * 9 << 10},
	}}}
	r.Add(veth, bench.Workload{Kind: bench.Idle, Flows: report.IdleConns}, []bench.Runs{idle}, about)
	r.Add(pipe, up, []bench.Runs{bulkRuns(testbed.Millrace, 3), bulkRuns(testbed.MemoryCopy, 9)}, nil)
	r.Judge()
	return r
}

func wantMetric(t *testing.T, row report.Row, stack, name string, want float64) {
	t.Helper()
	m, ok := row.Metric(stack, name)
	if !ok || m.Median < want*0.999 || m.Median > want*1.001 {
		t.Errorf("%s, %s of %s: %v (%v), want %v", row.Name, name, stack, m.Median, ok, want)
	}
}

// Figures are medians of what was measured, and the parts of the processors' time sum up.
func TestMetrics(t *testing.T) {
	r := sample()
	bulk := r.Rows[0]
	if want := "lab/mtu=1500/queues=1/work=bulk-receive/flows=1"; bulk.Name != want {
		t.Errorf("name %s, want %s", bulk.Name, want)
	}
	wantMetric(t, bulk, testbed.Millrace, report.Throughput, 3*8<<30)
	wantMetric(t, bulk, testbed.Millrace, report.CPU, 1)
	wantMetric(t, bulk, testbed.Millrace, report.CPUUser, 0.5)
	wantMetric(t, bulk, testbed.Millrace, report.CPUSystem, 0.25)
	wantMetric(t, bulk, testbed.Millrace, report.CPUSoftIRQ, 0.25)
	wantMetric(t, bulk, testbed.Millrace, report.CPUServer, 0.5)
	wantMetric(t, bulk, testbed.Millrace, report.CPUClient, 0.5)
	if m, _ := bulk.Metric(testbed.Millrace, report.Throughput); m.Spread() < 0.33 || m.Spread() > 0.34 {
		t.Errorf("spread %v of 2, 3, 4, want a third", m.Spread())
	}
	rr := r.Rows[1]
	for _, p := range []string{"p50", "p90", "p99"} {
		wantMetric(t, rr, testbed.Millrace, p, 20)
	}
	wantMetric(t, rr, testbed.Millrace, report.Rate, 50_000)
	wantMetric(t, rr, testbed.Millrace, report.CPU, 20)
	idle := r.Rows[2]
	wantMetric(t, idle, testbed.Millrace, report.Resident, 5)
	wantMetric(t, idle, testbed.Millrace, report.Live, 3)
	wantMetric(t, idle, testbed.Millrace, report.MachineHas, 9)
	wantMetric(t, idle, testbed.Millrace, report.CPUServer, 1)
}

// A percentile is that of each run if at least ten of its messages are beyond it, or that of
// all runs together, and else there is none.
func TestPercentilesHaveABasis(t *testing.T) {
	runs := bench.Runs{Target: testbed.Kernel}
	for range 5 {
		one := bench.Result{Elapsed: time.Second, Count: 2000}
		for i := range 2000 {
			one.Latency.Record(time.Duration(i+1) * time.Microsecond)
		}
		runs.Results = append(runs.Results, one)
	}
	r := new(report.Report)
	r.Add(veth, bench.Workload{Kind: bench.RequestResponse, Size: 1}, []bench.Runs{runs}, nil)
	row := r.Rows[0]
	wantMetric(t, row, testbed.Kernel, "p99", 1980)
	wantMetric(t, row, testbed.Kernel, "p99.9", 1998)
	for name, want := range map[string]int{"p50": 5, "p90": 5, "p99": 5, "p99.9": 1, "p99.99": 0} {
		if m, _ := row.Metric(testbed.Kernel, name); len(m.Values) != want || m.Together != (want == 1) {
			t.Errorf("%s: %d values, together %v; want %d", name, len(m.Values), m.Together, want)
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`p99 +us +1980 ±0%`, `p99\.9 +us +1999 of all`, `p99\.99 +us +too few`} {
		if !regexp.MustCompile(want).MatchString(text.String()) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}

// A stack on which nothing moves has stalled, and that is what stands in its place.
func TestAStallIsTold(t *testing.T) {
	r := new(report.Report)
	stalled := bench.Runs{Target: testbed.GVisorXDP, Failure: fmt.Errorf("%w: for long", bench.ErrStalled)}
	r.Add(veth, bench.Workload{Kind: bench.Bulk, Way: bench.Download}, []bench.Runs{bulkRuns(testbed.Millrace, 2), stalled}, nil)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`throughput +Gbit/s +17\.2 ±0% +stalled\n`).MatchString(text.String()) {
		t.Errorf("got\n%s", &text)
	}
}

// A failure has no figures, and all that is written says so.
func TestAFailureIsTold(t *testing.T) {
	r := sample()
	if n := r.Failures(); n != 0 {
		t.Errorf("%d failures of our own, want 0", n)
	}
	r.Add(pipe, bench.Workload{Kind: bench.RequestResponse, Size: 1}, []bench.Runs{{Target: testbed.Millrace, Failure: errors.New("no way")}}, nil)
	if n := r.Failures(); n != 1 {
		t.Errorf("%d failures of our own, want 1", n)
	}
	if m, ok := r.Rows[0].Metric(testbed.GVisorXDP, report.Throughput); ok {
		t.Errorf("what failed has a figure: %v", m)
	}
	var text, page strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	const want = "FAILED lab/mtu=1500/queues=1/work=bulk-receive/flows=1 gvisor-xdp: it crashed"
	if !strings.Contains(text.String(), want) || !strings.Contains(page.String(), want) {
		t.Errorf("no %q in\n%s", want, &text)
	}
}

// The keys are what scripts rely on.
func TestJSONSchema(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || strings.Count(b.String(), "\n") != 1 {
		t.Fatalf("%v in %s", err, &b)
	}
	wantKeys := func(what string, v any, keys string) map[string]any {
		t.Helper()
		m, ok := v.(map[string]any)
		if have := strings.Join(slices.Sorted(maps.Keys(m)), " "); !ok || have != keys {
			t.Errorf("%s has %s, want %s", what, have, keys)
		}
		return m
	}
	first := func(m map[string]any, key string) any {
		t.Helper()
		all, ok := m[key].([]any)
		if !ok || len(all) == 0 {
			t.Fatalf("%s is %v, want a list", key, m[key])
		}
		return all[0]
	}
	wantKeys("the report", got, "bars command machine rounds rows run_seconds schema seconds started")
	wantKeys("machine", got["machine"], "arch clock cpu cpus go kernel memory os version virtual")
	row := wantKeys("a row", first(got, "rows"), "cells flows name on title work")
	wantKeys("on", row["on"], "link mtu queues")
	cell := wantKeys("a cell", first(row, "cells"), "about metrics runs stack")
	wantKeys("a metric", first(cell, "metrics"), "better max median min name unit values")
	wantKeys("a bar", first(got, "bars"), "against expected measured spread stack verdict work")
}

func TestCSV(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := "lab 1500 1 bulk-receive 1 0 millrace throughput bit/s 2 " + fmt.Sprint(float64(3*8<<30))
	if !slices.ContainsFunc(lines, func(l []string) bool { return strings.Join(l, " ") == want }) {
		t.Errorf("no line %q in\n%s", want, &b)
	}
}

// benchLine is a line of Go's benchmark format: a name, a count, and values with units.
var benchLine = regexp.MustCompile(`^Benchmark[A-Z]\S*/stack=\S+ 1( [-+.0-9e]+ \S+)+$`)

func TestBenchfmt(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteBenchfmt(&b); err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasPrefix(line, "Benchmark") {
			if key, _, ok := strings.Cut(line, ": "); !ok || key != strings.ToLower(key) {
				t.Errorf("%q is neither a key nor a benchmark", line)
			}
			continue
		}
		n++
		if !benchLine.MatchString(line) {
			t.Errorf("%q is no benchmark", line)
		}
	}
	if want := 3 + 3 + 3 + 3 + 1 + 1 + 1 + 1; n != want {
		t.Errorf("%d benchmarks, want %d", n, want)
	}
	if want := "2.0015e-05 p99-sec"; !strings.Contains(b.String(), want) {
		t.Errorf("no %s in\n%s", want, &b)
	}
}

// The page has its plots in itself, once for each theme, and asks nobody for anything.
func TestPage(t *testing.T) {
	var b strings.Builder
	if err := sample().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	light, dark := strings.Count(page, `<div class="light"><svg`), strings.Count(page, `<div class="dark"><svg`)
	if light < 5 || light != dark || !strings.Contains(page, "prefers-color-scheme: dark") {
		t.Errorf("%d plots for light and %d for dark", light, dark)
	}
	for _, outside := range []string{"<script", "<link", "<img", "src=", "url(", "@import", "href="} {
		if strings.Contains(page, outside) {
			t.Errorf("the page has %s", outside)
		}
	}
}

func wantBar(t *testing.T, r *report.Report, stack, work string, measured, spread float64, verdict string) {
	t.Helper()
	for _, b := range r.Bars {
		if b.Work == work && b.Stack == stack {
			if b.Measured < measured*0.99 || b.Measured > measured*1.01 || math.Abs(b.Spread-spread) > 0.01 || b.Verdict != verdict {
				t.Errorf("%s: %v ±%v, %s; want %v ±%v, %s", work, b.Measured, b.Spread, b.Verdict, measured, spread, verdict)
			}
			return
		}
	}
	t.Errorf("there is no bar %q of %s", work, stack)
}

// A bar is the ratio of medians, its spread that of the ratios of the rounds, and what was not
// measured is not judged.
func TestBars(t *testing.T) {
	r := sample()
	// Millrace has 2, 3 and 4; raw has 4, the kernel 9, 8 and 6: the least counts.
	wantBar(t, r, testbed.Millrace, "veth, MTU 1500, bulk receive, of raw AF_XDP or of kernel TCP there, whichever is less", 0.75, 1./3, report.Short)
	wantBar(t, r, testbed.Millrace, "veth, MTU 1500, bulk receive, beside gVisor on AF_XDP", 0, 0, report.NotMeasured)
	wantBar(t, r, testbed.Millrace, "veth, MTU 1500, bulk receive, beside kernel TCP with XDP attached", 3./8, (4./6-2./9)/2/(3./8), report.Short)
	wantBar(t, r, testbed.MillraceHandler, "veth, MTU 1500, bulk receive, beside kernel TCP with XDP attached", 0, 0, report.NotMeasured)
	wantBar(t, r, testbed.Millrace, "veth, request-response 1 B, p50, beside kernel TCP", 0.5, 0, report.OK)
	wantBar(t, r, testbed.Millrace, "pipe, MTU 1500, bulk, of copying memory", 1./3, 0, report.OK)
	wantBar(t, r, testbed.Millrace, "10000 idle connections, % of a core", 1, 0, report.OK)
	wantBar(t, r, testbed.Millrace, "10000 idle connections, KiB each", 5, 0, report.Short)
	for _, link := range []testbed.Link{veth, veth, veth2} {
		// One queue was measured before, too: the later one is beside two.
		n := int64(link.Queues)
		r.Add(link, bench.Workload{Kind: bench.Bulk, Way: bench.Download, Flows: 8}, []bench.Runs{bulkRuns(testbed.Millrace, 2*n+int64(len(r.Rows))%2)}, nil)
	}
	r.Judge()
	wantBar(t, r, testbed.Millrace, "veth, bulk send, 8 flows, 2 queues beside 1", 4./3, 0, report.OK)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	const last = `^10000 idle connections, KiB each +≤ 4 +5\.00 NOT met +not measured`
	if end := lines[len(lines)-1]; !regexp.MustCompile(last).MatchString(end) {
		t.Errorf("the end is %q, want %s", end, last)
	}
}

// A bar beside a stack that has stalled says so.
func TestABarBesideAStall(t *testing.T) {
	r := new(report.Report)
	stalled := bench.Runs{Target: testbed.GVisorXDP, Failure: fmt.Errorf("%w: for long", bench.ErrStalled)}
	r.Add(veth, bench.Workload{Kind: bench.Bulk, Way: bench.Download}, []bench.Runs{bulkRuns(testbed.Millrace, 2), stalled}, nil)
	r.Judge()
	wantBar(t, r, testbed.Millrace, "veth, MTU 1500, bulk send, beside gVisor on AF_XDP", 0, 0, report.NotMeasured)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`bulk send, beside gVisor on AF_XDP +≥ 5 +gvisor-xdp stalled`); !want.MatchString(text.String()) {
		t.Errorf("no %v in\n%s", want, &text)
	}
}

// The Markdown goes between two marks of a text and nowhere else, and twice is once.
func TestInto(t *testing.T) {
	r := sample()
	if _, err := r.Into([]byte("no marks")); err == nil {
		t.Error("a text without marks is taken")
	}
	const before, after = "# title\n\n" + report.MarkBegin, report.MarkEnd + "\nafter\n"
	once, err := r.Into([]byte(before + "old\n" + after))
	if err != nil {
		t.Fatal(err)
	}
	twice, err := r.Into(once)
	if err != nil || string(once) != string(twice) {
		t.Errorf("%v, written twice it is\n%s\nand once\n%s", err, twice, once)
	}
	got := string(once)
	if !strings.HasPrefix(got, before+"`millrace bench`") || !strings.HasSuffix(got, after) || strings.Contains(got, "old") {
		t.Errorf("got\n%s", got)
	}
	for _, want := range []string{
		"| bulk receive, Gbit/s | 25.8 ±33% | 68.7 ±19% | – | FAILED | 34.4 ±0% | – |\n",
		"| 10000 idle connections, KiB each | ≤ 4 | **5.00 NOT met** |  | not measured |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
