package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/trace"
)

// simOutputs is the files that a simulation is asked for; "" is none.
type simOutputs struct {
	csv, qlog, events        string // directories
	html, pcap, queue, flent string // files
}

func (o *simOutputs) flags(f *pflag.FlagSet) {
	f.StringVar(&o.csv, "csv", "", "write a table for each flow into `DIR`")
	f.StringVar(&o.html, "html", "", "write a page with plots to `FILE`, which needs no other file and no network")
	f.StringVar(&o.qlog, "qlog", "", "write a qlog for each flow into `DIR`")
	f.StringVar(&o.events, "events", "", "write what each algorithm was told into `DIR`, for sim replay")
	f.StringVar(&o.pcap, "pcap", "", "write all packets to `FILE` as pcapng, in virtual time")
	f.StringVar(&o.queue, "queue-log", "", "write what happens at the queue to `FILE`, as mahimahi's mm-link does")
	f.StringVar(&o.flent, "flent", "", "write throughput and round trips to `FILE` as flent does")
}

// any says whether there is one.
func (o *simOutputs) any() bool { return *o != simOutputs{} }

// simRecording is the files of one run, open.
type simRecording struct {
	out    simOutputs
	spec   *sim.Spec
	title  string
	sinks  trace.Sinks   // of all flows
	tables []*trace.CSV  // of each
	logs   []*trace.Qlog // likewise
	events []*trace.Events
	files  []*os.File
	finals []func() error // what ends a file, before it is closed
	page   *trace.Page
	flent  *trace.Flent
	entry  trace.Entry
}

// plotRows is about how many rows a table has: as many as a chart can show.
const plotRows = 6000

// sampleEvery is the time between two rows of a run of so long.
func sampleEvery(run time.Duration) time.Duration {
	return max(run/plotRows, time.Millisecond).Round(time.Microsecond)
}

// record opens the files and has the run write them. spec is complete but for these hooks.
func (o simOutputs) record(spec *sim.Spec, title string, flows int) (*simRecording, error) {
	r := &simRecording{out: o, spec: spec, title: title}
	r.tables, r.logs, r.events = make([]*trace.CSV, flows), make([]*trace.Qlog, flows), make([]*trace.Events, flows)
	for _, open := range []func() error{r.openTables, r.openPage, r.openQueue, r.openPackets} {
		if err := open(); err != nil {
			r.abandon()
			return nil, fmt.Errorf("sim: %w", err)
		}
	}
	spec.SampleEvery, spec.Sample, spec.Recorder = sampleEvery(spec.Time), r.sample, r.recorder
	return r, nil
}

// recorder returns what hears of a flow event by event: the page for its episodes, the qlog,
// and the events themselves.
func (r *simRecording) recorder(flow int) congestion.Recorder {
	var sinks trace.Sinks
	if r.page != nil {
		sinks = append(sinks, r.page)
	}
	if q := r.logs[flow]; q != nil {
		sinks = append(sinks, q)
	}
	var all trace.Recorders
	if len(sinks) > 0 {
		all = append(all, trace.NewRecorder(sinks, flow, 0, 0))
	}
	if v := r.events[flow]; v != nil {
		all = append(all, v)
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func (r *simRecording) create(name string) (*os.File, error) {
	f, err := os.Create(name)
	if err == nil {
		r.files = append(r.files, f)
	}
	return f, err
}

// openTables makes the files of each flow: flow-0.csv, flow-1.csv, …, and likewise of qlog
// and of events.
func (r *simRecording) openTables() error {
	for _, dir := range []string{r.out.csv, r.out.qlog, r.out.events} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("make directory: %w", err)
		}
	}
	for i := range r.tables {
		if err := r.openFlow(i); err != nil {
			return err
		}
	}
	return nil
}

func (r *simRecording) openFlow(i int) error {
	if r.out.csv != "" {
		f, err := r.create(filepath.Join(r.out.csv, fmt.Sprintf("flow-%d.csv", i)))
		if err != nil {
			return err
		}
		r.tables[i] = trace.NewCSV(f)
		r.finals = append(r.finals, r.tables[i].Close)
	}
	if r.out.qlog != "" {
		f, err := r.create(filepath.Join(r.out.qlog, fmt.Sprintf("flow-%d.sqlog", i)))
		if err != nil {
			return err
		}
		r.logs[i] = trace.NewQlog(f, trace.QlogHead{Title: r.title, Flow: fmt.Sprintf("flow %d", i), Virtual: true})
		r.finals = append(r.finals, r.logs[i].Close)
	}
	if r.out.events != "" {
		f, err := r.create(filepath.Join(r.out.events, fmt.Sprintf("flow-%d.events.gz", i)))
		if err != nil {
			return err
		}
		r.events[i] = trace.NewEvents(f)
		r.finals = append(r.finals, r.events[i].Close)
	}
	return nil
}

// flentStep is the step of a flent file.
const flentStep = 200 * time.Millisecond

func (r *simRecording) openPage() error {
	if r.out.flent != "" {
		f, err := r.create(r.out.flent)
		if err != nil {
			return err
		}
		r.flent = trace.NewFlent(r.title, time.Unix(0, 0), max(flentStep, r.spec.Time/5000), len(r.tables))
		r.sinks = append(r.sinks, r.flent)
		r.finals = append(r.finals, func() error { return r.flent.Write(f) })
	}
	if r.out.html == "" {
		return nil
	}
	f, err := r.create(r.out.html)
	if err != nil {
		return err
	}
	r.page = trace.NewPage(r.title, r.spec.Time)
	r.page.MSS = sim.MTU - 52 // with timestamps
	link := r.spec.Link
	step := max(r.spec.Time/150, time.Millisecond)
	r.page.Capacity = func(at time.Duration) float64 {
		return link.MeanRate(at, at+step) * float64(r.page.MSS) / sim.MTU
	}
	r.sinks = append(r.sinks, r.page)
	r.finals = append(r.finals, func() error { return r.page.Write(f) })
	return nil
}

func (r *simRecording) openQueue() error {
	if r.out.queue == "" {
		return nil
	}
	f, err := r.create(r.out.queue)
	if err != nil {
		return err
	}
	m := trace.NewMahimahi(f, r.title, r.spec.Link.Opportunities(r.spec.Time))
	r.spec.Queue = func(e sim.QueueEvent) {
		at := time.Duration(e.At)
		switch e.Kind {
		case sim.QueueIn:
			m.Came(at, e.Octets)
		case sim.QueueOut:
			m.Leaves(at, e.Octets, e.Waited)
		case sim.QueueDrop:
			m.Dropped(at, e.Octets)
		}
	}
	r.finals = append(r.finals, func() error { return m.Close(r.spec.Time) })
	return nil
}

func (r *simRecording) openPackets() error {
	if r.out.pcap == "" {
		return nil
	}
	f, err := r.create(r.out.pcap)
	if err != nil {
		return err
	}
	c, err := trace.NewCapture(f, "senders", "receivers")
	if err != nil {
		return err
	}
	r.spec.Packet = c.Packet
	r.finals = append(r.finals, c.Close)
	return nil
}

// sample makes a tick of what the run tells.
func (r *simRecording) sample(s sim.Sample) {
	e := &r.entry
	*e = trace.Entry{Flow: s.Flow, Tick: true, Values: s.Values, Row: trace.Row{
		At: s.At, Cwnd: s.Cwnd, Ssthresh: s.Ssthresh, InFlight: s.InFlight, SRTT: s.SRTT, RTTVar: s.RTTVar, MinRTT: s.MinRTT,
		RTO: s.RTO, Pacing: s.Pacing, Delivery: s.DeliveryRate, Delivered: s.Delivered, Lost: s.Lost,
		Retransmits: int64(s.Retransmits), Recovery: s.Recovery, Limit: s.Limit, Queue: s.Queue, QueueDelay: s.QueueDelay,
	}}
	r.sinks.Put(e)
	if c := r.tables[s.Flow]; c != nil {
		c.Put(e)
	}
}

// finish writes what is left, and closes the files.
func (r *simRecording) finish(result *sim.Result) error {
	if r.page != nil {
		describe(r.page, r.spec, result)
	}
	var errs []error
	if r.out.csv != "" {
		errs = append(errs, writeFile(filepath.Join(r.out.csv, "flows.csv"), func(w io.Writer) error { return writeFlows(w, result) }))
	}
	for _, final := range r.finals {
		errs = append(errs, final())
	}
	for _, f := range r.files {
		errs = append(errs, f.Close())
	}
	r.files, r.finals = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	return nil
}

// abandon closes the files as they are.
func (r *simRecording) abandon() {
	for _, f := range r.files {
		_ = f.Close()
	}
	r.files = nil
}

// describe puts the results onto the page.
func describe(p *trace.Page, spec *sim.Spec, r *sim.Result) {
	p.Facts = []trace.Fact{
		{Name: "Goodput", Value: mbps(r.Goodput()), Note: "Mbit/s"},
		{Name: "Utilization", Value: fmt.Sprintf("%.3f", r.Link.Utilization)},
		{Name: "Queueing p50", Value: fmt.Sprintf("%.1f", r.Link.QueueMillis.P50), Note: "ms"},
		{Name: "Queueing p95", Value: fmt.Sprintf("%.1f", r.Link.QueueMillis.P95), Note: "ms"},
		{Name: "Loss", Value: fmt.Sprintf("%.2f", 100*r.Link.Loss), Note: "%"},
		{Name: "Jain's index", Value: fmt.Sprintf("%.3f", r.Jain)},
	}
	if r.Link.Marks > 0 {
		p.Facts = append(p.Facts, trace.Fact{Name: "CE marks", Value: fmt.Sprint(r.Link.Marks)})
	}
	if r.ConvergenceS != nil {
		p.Facts = append(p.Facts, trace.Fact{Name: "Fair after", Value: fmt.Sprintf("%.1f", *r.ConvergenceS), Note: "s"})
	}
	t := trace.Table{Title: "Flows", Head: strings.Split("flow|start s|goodput Mbit/s|resent|time-outs|RTT min ms|p50|p95|cwnd min|avg|max", "|")}
	for i, f := range r.Flows {
		p.Flow(i, fmt.Sprintf("flow %d, %s", i, f.CC))
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%d  %s", i, f.CC), fmt.Sprintf("%.2f", f.StartS), mbps(f.GoodputBPS), fmt.Sprint(f.Retransmits), fmt.Sprint(f.Timeouts),
			fmt.Sprintf("%.1f", f.RTTMillis.Min), fmt.Sprintf("%.1f", f.RTTMillis.P50), fmt.Sprintf("%.1f", f.RTTMillis.P95),
			fmt.Sprintf("%.1f", f.CwndPackets.Min), fmt.Sprintf("%.1f", f.CwndPackets.Avg), fmt.Sprintf("%.1f", f.CwndPackets.Max),
		})
	}
	t.Note = fmt.Sprintf("cwnd in segments, over the second half. %v of virtual time, seed %d, digest %s.", spec.Time, r.Seed, r.Digest)
	p.Tables = append(p.Tables, t)
}

func mbps(bps float64) string {
	digits := 3
	if bps > 0 {
		digits = max(0, min(3, 3-int(math.Log10(bps/1e6))))
	}
	return fmt.Sprintf("%.*f", digits, bps/1e6)
}

// writeFile writes a file that is made at once.
func writeFile(name string, write func(w io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	return nil
}
