package demo

import (
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// Report is what a demo found. Its JSON is what "millrace demo --json" prints: keys are
// added, never changed.
type Report struct {
	Interface string `json:"interface"`
	Driver    string `json:"driver"`
	XDP       string `json:"xdp"`    // "native" or "generic"
	AFXDP     string `json:"af_xdp"` // "copy" or "zero-copy"
	MTU       int    `json:"mtu"`
	Queues    int    `json:"queues"`

	CC       string `json:"cc"`        // millrace's congestion control
	KernelCC string `json:"kernel_cc"` // the kernel's
	Kernel   string `json:"kernel"`    // its release
	CPUs     int    `json:"cpus"`

	Seconds  float64  `json:"seconds"` // that all of it took
	Checks   []Check  `json:"checks"`
	Rows     []Row    `json:"rows"`
	Counters Counters `json:"counters"`
	Notes    []string `json:"notes"`
}

// Check is a transfer whose content was compared.
type Check struct {
	Way           string  `json:"way"` // "receive" or "send", as millrace sees it
	Octets        int64   `json:"bytes"`
	SHA256        string  `json:"sha256"`
	OK            bool    `json:"ok"`
	BitsPerSecond float64 `json:"bits_per_second"`
}

// Row is one measurement on each stack.
type Row struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Unit   string `json:"unit"`   // "bit/s", "1/s" or "us"
	Better string `json:"better"` // "more" or "less"

	Millrace  float64 `json:"millrace"`
	Kernel    float64 `json:"kernel"`     // on a veth pair of its own
	KernelXDP float64 `json:"kernel_xdp"` // on millrace's, beside it
	// Ratio and RatioXDP are Millrace over Kernel, and over KernelXDP.
	Ratio    float64 `json:"ratio"`
	RatioXDP float64 `json:"ratio_xdp"`
}

// Counters is what passed, under the names of the metrics.
type Counters struct {
	XDP   map[string]uint64 `json:"xdp"` // packets, by the way they left the program
	Port  PortCounters      `json:"port"`
	Stack StackCounters     `json:"stack"`
}

// PortCounters is the sum over the AF_XDP sockets.
type PortCounters struct {
	RXFrames  uint64 `json:"rx_frames"`
	TXFrames  uint64 `json:"tx_frames"`
	RXDropped uint64 `json:"rx_dropped"`
	TXDropped uint64 `json:"tx_dropped"`
	Kicks     uint64 `json:"kicks"`
}

// StackCounters is the sum over the queues.
type StackCounters struct {
	Accepted    uint64 `json:"accepted"`
	InSegs      uint64 `json:"in_segs"`
	OutSegs     uint64 `json:"out_segs"`
	RetransSegs uint64 `json:"retrans_segs"`
	Drops       uint64 `json:"drops"`
}

// wayOf names the direction of a transfer as millrace sees it.
func wayOf(w bench.Workload) string {
	if w.Way == bench.Upload {
		return "receive"
	}
	return "send"
}

// titleOf names a workload in the table.
func titleOf(w bench.Workload) string {
	switch w.Kind {
	case bench.Bulk, bench.Exact:
		return "bulk " + wayOf(w)
	case bench.RequestResponse:
		if w.Size == 1 {
			return "request-response, 1 byte"
		}
		return fmt.Sprintf("request-response, %d bytes", w.Size)
	case bench.Connect:
		return "connect, ask, close"
	case bench.Idle, bench.HTTP:
	}
	return w.String()
}

// rowsOf makes the rows of a workload from what came of it on millrace, the kernel, and the
// kernel beside XDP.
func rowsOf(w bench.Workload, s []bench.Summary) []Row {
	row := func(name, title, unit, better string, value func(bench.Summary) float64) Row {
		r := Row{
			Name: name, Title: title, Unit: unit, Better: better,
			Millrace: value(s[0]), Kernel: value(s[1]), KernelXDP: value(s[2]),
		}
		r.Ratio, r.RatioXDP = ratio(r.Millrace, r.Kernel), ratio(r.Millrace, r.KernelXDP)
		return r
	}
	percentile := func(p float64) func(bench.Summary) float64 {
		return func(s bench.Summary) float64 {
			return float64(s.Latency.Percentile(p)) / float64(time.Microsecond)
		}
	}
	title := titleOf(w)
	switch w.Kind {
	case bench.Bulk:
		return []Row{row("bulk_"+wayOf(w), title, "bit/s", "more",
			func(s bench.Summary) float64 { return s.BitsPerSecond })}
	case bench.RequestResponse:
		name := fmt.Sprintf("rr_%d", w.Size)
		return []Row{
			row(name+"_p50", title+", median", "us", "less", percentile(50)),
			row(name+"_p99", title+", 99 %", "us", "less", percentile(99)),
		}
	case bench.Connect:
		return []Row{row("connects", title, "1/s", "more",
			func(s bench.Summary) float64 { return s.PerSecond })}
	case bench.Exact, bench.Idle, bench.HTTP:
	}
	return nil
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// count takes the counters down.
func (s *site) count(r *Report) {
	r.Counters.XDP = make(map[string]uint64)
	for name, n := range s.nic.Counters().All() {
		r.Counters.XDP[name] = n
	}
	p := &r.Counters.Port
	for _, st := range s.nic.PortStats() {
		p.RXFrames += st.RXFrames
		p.TXFrames += st.TXFrames
		p.RXDropped += st.RXDropped + st.RXInvalid
		p.TXDropped += st.TXDropped
		p.Kicks += st.Kicks
	}
	c := &r.Counters.Stack
	for _, st := range s.nic.Stats() {
		c.Accepted += st.TCP.PassiveOpens
		c.InSegs += st.TCP.InSegs
		c.OutSegs += st.TCP.OutSegs
		c.RetransSegs += st.TCP.RetransSegs
		c.Drops += drops(st.Drop)
	}
}

// drops sums up what reached no connection.
func drops(d engine.Drops) uint64 {
	return d.Ethernet + d.EtherType + d.IPHeader + d.IPTruncated + d.IPChecksum + d.Fragment + d.NotTCP +
		d.NotOurs + d.Martian + d.TCPHeader + d.TCPOptions + d.TCPChecksum + d.ICMP + d.ICMPSequence +
		d.NoListener + d.NotSYN + d.Backlog + d.AcceptQueue + d.ConnsMax + d.ReplyLimit + d.ForwardFull
}
