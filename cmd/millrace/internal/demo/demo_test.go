package demo

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// summary is one whose numbers are all n.
func summary(n float64) bench.Summary {
	s := bench.Summary{BitsPerSecond: n * 1e9, PerSecond: n}
	s.Latency.Record(time.Duration(n) * time.Microsecond)
	return s
}

// Each workload becomes rows with stable names, and ratios of what was measured.
func TestRows(t *testing.T) {
	var names []string
	for _, w := range workloads(rounds*3, time.Minute) {
		if err := w.Check(); err != nil {
			t.Error(err)
		}
		for _, row := range rowsOf(w, []bench.Summary{summary(30), summary(60), summary(15)}) {
			names = append(names, row.Name)
			if row.Ratio < 0.49 || row.Ratio > 0.51 || row.RatioXDP < 1.98 || row.RatioXDP > 2.02 {
				t.Errorf("%s: ratios %v and %v, want 0.5 and 2", row.Name, row.Ratio, row.RatioXDP)
			}
			if less := row.Unit == "us"; (row.Better == "less") != less {
				t.Errorf("%s in %s: %s is better", row.Name, row.Unit, row.Better)
			}
		}
	}
	const want = "bulk_receive bulk_send rr_1_p50 rr_1_p99 rr_1024_p50 rr_1024_p99 connects"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
}

// The time is shared out among all measurements.
func TestWorkloadsTakeTheTime(t *testing.T) {
	const runs = 9
	var sum time.Duration
	for _, w := range workloads(runs, time.Minute) {
		sum += runs * w.Time
	}
	if sum < 59*time.Second || sum > time.Minute {
		t.Errorf("all measurements take %v, want a minute", sum)
	}
}

func TestText(t *testing.T) {
	r := &Report{
		Interface: "veth-a", Driver: "veth", XDP: "native", AFXDP: "copy", MTU: 1500, Queues: 1,
		CC: "reno", KernelCC: "cubic", Kernel: "6.18", CPUs: 2, Notes: []string{"mind the gap"},
		Checks: []Check{{Way: "receive", Octets: 256 << 20, SHA256: strings.Repeat("ab", 32), OK: true, BitsPerSecond: 2e9}},
		Rows: []Row{
			{Title: "bulk receive", Unit: "bit/s", Better: "more", Millrace: 2.5e9, Kernel: 5e9, Ratio: 0.5, KernelXDP: 2e9, RatioXDP: 1.25},
			{Title: "round", Unit: "us", Better: "less", Millrace: 40, Kernel: 50, Ratio: 0.8},
		},
	}
	r.Counters.XDP = map[string]uint64{"redirected": 1234, "passed_unclaimed": 5, "passed_protocol": 2}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(` +`).ReplaceAllString(b.String(), " ")
	for _, want := range []string{
		"XDP native, AF_XDP copy, MTU 1500, 1 queue, reno", "note: mind the gap",
		"\nbulk receive Gbit/s 2.50 5.00 0.50 2.00 1.25\n", "\nround µs (less is better) 40.0 50.0 0.80 ",
		"SHA-256 of 256 MiB, millrace receives: ok (abababababab",
		"redirected 1234 segments", "left 7 packets", "kernel TCP (cubic)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
