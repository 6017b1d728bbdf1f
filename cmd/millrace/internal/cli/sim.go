package cli

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/scenario"
	"github.com/millrace-tcp/millrace/sim/study"
)

// simulation is the flags of the command, and of those below it that share them.
type simulation struct {
	link   string
	cc     []string
	flows  int
	time   time.Duration
	seed   uint64
	seeds  int
	asJSON bool
	out    simOutputs
}

func (a *app) simCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim [--link SPEC]",
		Short: "Run the stack in virtual time: flows over one bottleneck",
		Long: `Sim runs the production stack, unchanged, in virtual time: flows that always have
something to send, from one host to another, over one link.

A link is key=value, separated by commas. rate (or trace) and rtt are required:
  rate=20mbit    of IP packets, with bit, kbit, mbit or gbit
  rtt=50ms       the round trip without queueing, half of it each way
  queue=1bdp     room of the bottleneck, with bdp, ms, kb or pkt; what is over is dropped
  loss=0.01      of each data packet; likewise reorder, dup, corrupt
  burst=0.01:0.3 loss in bursts: of turning ill at a packet, and well again; then what is
                 lost while ill (1) and while well (0), as in burst=0.01:0.3:0.5:0.001
  jitter=1ms     of both ways, without reordering; the time of one packet if not given
  aqm=codel      manager of the queue: codel, fq_codel, either with :TARGET:INTERVAL;
                 pie, pie:TARGET; red, red:MIN:MAX:P
  ecn=ce-threshold:1ms   mark ECN-capable packets that waited for longer; or ecn=step:20pkt:
                 those that find more in the queue; or ecn=aqm: the manager marks
  police=10mbit:30kb     drop what exceeds a rate and a burst; bucket=: let it wait
  ackloss=0.01   of each ACK without data; ackagg=10ms: ACKs come in bunches; agg=4ms: data
  back=1mbit     the rate of the way back, which has no limit else; back=1mbit:50pkt: its queue
  change=10s:rate:5mbit  or change=10s:rtt:80ms, several times
  down=10s:2s    nothing passes from 10 s on, for 2 s; several times
  trace=FILE     in place of rate: milliseconds at which a packet may leave, one a line

The same seed gives the same packets at the same times, and the same digest. With --seeds,
runs of as many seeds are summarized, with confidence intervals of 95 %; files are written
of the first.

A table of --csv has t in seconds; cwnd, ssthresh, inflight, delivered and queue in octets;
srtt, minrtt and rto in milliseconds; pacing and delivery in bits a second; and what the
algorithm shows of its state, as cc_NAME.`,
		Example: `  millrace sim --link rate=20mbit,rtt=50ms,queue=1bdp --flows 4
  millrace sim --link rate=100mbit,rtt=20ms,loss=0.001 --time 10m --json
  millrace sim --link rate=10mbit,rtt=40ms,aqm=codel --cc reno,cubic --html out.html --csv out
  millrace sim run scenario.toml --seeds 8
  millrace sim compare --cc reno,cubic --html compare.html
  millrace sim card --cc cubic`,
		Args: arguments(0, ""),
	}
	o := a.simFlags(cmd)
	o.out.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		spec, err := a.spec(o)
		if err != nil {
			return err
		}
		return a.simulate(cmd.Context(), o, spec, "link "+o.link)
	}
	cmd.AddCommand(a.simRunCommand(), a.simCompareCommand(), a.simCardCommand(), a.simReplayCommand(), a.simTraceCommand())
	return cmd
}

// simFlags adds the flags that say what to simulate.
func (a *app) simFlags(cmd *cobra.Command) *simulation {
	o := new(simulation)
	f := cmd.Flags()
	f.StringVar(&o.link, "link", sim.LinkDefault, "the bottleneck, `SPEC`")
	f.StringSliceVar(&o.cc, "cc", []string{catalog.Default}, "congestion control `NAME,...`, see millrace cc list; of several, flow i runs the i-th, cyclic")
	f.Lookup("cc").DefValue = catalog.Default // without the brackets of a list
	f.IntVar(&o.flows, "flows", 0, "`N` flows; 0 is one for each name of --cc")
	f.DurationVar(&o.time, "time", time.Minute, "virtual time to simulate, `DUR`")
	o.seedFlags(cmd, 1)
	return o
}

func (o *simulation) seedFlags(cmd *cobra.Command, seeds int) {
	f := cmd.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "seed `S` of all chance, the first of them")
	f.IntVar(&o.seeds, "seeds", seeds, "run with `N` seeds")
	f.BoolVar(&o.asJSON, "json", false, "print one object")
}

// spec checks the flags.
func (a *app) spec(o *simulation) (sim.Spec, error) {
	link, err := sim.ParseLink(o.link)
	if err != nil {
		return sim.Spec{}, usagef("--link: %w", err)
	}
	if o.flows == 0 {
		o.flows = len(o.cc)
	}
	switch {
	case o.flows < 0 || o.flows > sim.FlowsMax:
		return sim.Spec{}, usagef("--flows %d: want 1 to %d", o.flows, sim.FlowsMax)
	case o.time <= 0 || o.time > sim.TimeMax:
		return sim.Spec{}, usagef("--time %v: want more than 0 and at most %v", o.time, sim.TimeMax)
	}
	for _, cc := range o.cc {
		if err := a.checkCC(cc); err != nil {
			return sim.Spec{}, usagef("--cc: %w", err)
		}
	}
	return sim.Spec{
		Link: link, CC: o.cc, Algorithms: a.table().Creators(), Flows: o.flows, Time: o.time, Seed: o.seed,
	}, o.checkSeeds()
}

func (o *simulation) checkSeeds() error {
	if o.seeds < 1 || o.seeds > scenario.SeedsMax {
		return usagef("--seeds %d: want 1 to %d", o.seeds, scenario.SeedsMax)
	}
	return nil
}

// simulate runs a spec with each seed, and writes and prints what became of it.
func (a *app) simulate(ctx context.Context, o *simulation, spec sim.Spec, title string) error {
	specs := study.Seeds(spec, o.seeds)
	var recording *simRecording
	if o.out.any() {
		var err error
		if recording, err = o.out.record(&specs[0], title, max(len(spec.FlowSpecs), spec.Flows)); err != nil {
			return err
		}
		defer recording.abandon()
	}
	runner := a.simRunner(&specs[0], len(specs))
	results, err := runner.Run(ctx, specs)
	if err != nil {
		return err
	}
	if recording != nil {
		if err := recording.finish(results[0]); err != nil {
			return err
		}
	}
	if len(results) > 1 {
		return a.printSeeds(o, title, spec.Time, results)
	}
	if o.asJSON {
		a.printJSON(results[0])
		return nil
	}
	return a.printSim(title, spec.Time, results[0])
}

// simRunner returns what runs specs, and shows on a terminal how far it is: of one run the time,
// of several how many are done.
func (a *app) simRunner(first *sim.Spec, runs int) study.Runner {
	if !terminal(a.stderr) {
		return study.Runner{}
	}
	start := time.Now()
	last := start
	if runs == 1 {
		total := first.Time
		first.Progress = func(done time.Duration) bool {
			now := time.Now()
			switch {
			case done >= total:
				fmt.Fprint(a.stderr, "\r\033[K")
			case now.Sub(last) >= progressEvery:
				last = now
				fmt.Fprintf(a.stderr, "\r\033[K%v of %v, %.0f times as fast as the clock",
					done.Round(time.Millisecond), total, done.Seconds()/now.Sub(start).Seconds())
			}
			return true
		}
		return study.Runner{}
	}
	return study.Runner{Progress: func(done, total int) {
		if fmt.Fprintf(a.stderr, "\r\033[K%d of %d runs", done, total); done == total {
			fmt.Fprint(a.stderr, "\r\033[K")
		}
	}}
}

// printSim prints a result for people.
func (a *app) printSim(title string, took time.Duration, r *sim.Result) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "flow\tcc\tgoodput\tresent\ttime-outs\trtt min\tp50\tp95\tcwnd min\tavg\tmax\t")
	for i, f := range r.Flows {
		fmt.Fprintf(w, "%d\t%s\t%.3f Mbit/s\t%d\t%d\t%.1f ms\t%.1f\t%.1f\t%.1f pkt\t%.1f\t%.1f\t\n", i, f.CC,
			f.GoodputBPS/1e6, f.Retransmits, f.Timeouts, f.RTTMillis.Min, f.RTTMillis.P50, f.RTTMillis.P95,
			f.CwndPackets.Min, f.CwndPackets.Avg, f.CwndPackets.Max)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	more := ""
	if r.Link.Marks > 0 {
		more += fmt.Sprintf(", %d marks", r.Link.Marks)
	}
	if r.Link.BackDrops > 0 {
		more += fmt.Sprintf(", %d ACKs dropped", r.Link.BackDrops)
	}
	if r.ConvergenceS != nil {
		more += fmt.Sprintf("; fair after %.1f s", *r.ConvergenceS)
	}
	if c := r.Cross; c != nil {
		more += fmt.Sprintf("\ncross traffic: %d packets; %d of %d short flows completed, in %.0f ms (p50) %.0f ms (p95) %.0f ms (p99)",
			c.Packets, c.Completed, c.Flows, c.CompletionMS.P50, c.CompletionMS.P95, c.CompletionMS.P99)
		for _, s := range c.Sizes {
			more += fmt.Sprintf("\n  %s: %d of %d, %.0f ms (mean) %.0f ms (p50) %.0f ms (p99)",
				sizes(s), s.Completed, s.Flows, s.CompletionMS.Mean, s.CompletionMS.P50, s.CompletionMS.P99)
		}
	}
	_, err := fmt.Fprintf(a.stdout, "%s: utilization %.3f, %d drops, queue %.1f ms (p50) %.1f ms (p95); fairness %.3f%s\n"+
		"%v of virtual time in %.2f s, seed %d, digest %s\n",
		title, r.Link.Utilization, r.Link.Drops, r.Link.QueueMillis.P50, r.Link.QueueMillis.P95, r.Jain, more,
		took, r.WallS, r.Seed, r.Digest)
	return err
}

// sizes names a class of short flows.
func sizes(c sim.SizeClass) string {
	switch {
	case c.To == 0:
		return fmt.Sprintf("above %d kB", c.Above/1000)
	case c.Above == 0:
		return fmt.Sprintf("up to %d kB", c.To/1000)
	}
	return fmt.Sprintf("%d to %d kB", c.Above/1000, c.To/1000)
}

// printSeeds prints the summary of several runs.
func (a *app) printSeeds(o *simulation, title string, took time.Duration, results []*sim.Result) error {
	s := sim.Summarize(results)
	if o.asJSON {
		a.printJSON(struct {
			Summary sim.Summary   `json:"summary"`
			Runs    []*sim.Result `json:"runs"`
		}{s, results})
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "flow\tcc\tgoodput, Mbit/s\trtt p95, ms\tresent\ttime-outs\t")
	for i, f := range s.Flows {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t\n", i, f.CC, interval(f.Goodput, 1e6), interval(f.RTTP95, 1),
			interval(f.Retransmits, 1), interval(f.Timeouts, 1))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	more := ""
	if c := s.Short; c != nil {
		more = fmt.Sprintf("\nshort flows: %s of them completed, in %s ms (mean) %s ms (p50) %s ms (p99)",
			interval(c.Completed, 1), interval(c.Mean, 1), interval(c.P50, 1), interval(c.P99, 1))
	}
	_, err := fmt.Fprintf(a.stdout, "%s: utilization %s, loss %s %%, queue %s ms (p50) %s ms (p95); fairness %s\n"+
		"%d seeds from %d on, each %v; the intervals are of 95 %%\n",
		title, interval(s.Utilization, 1), interval(s.Loss, 0.01), interval(s.QueueP50, 1), interval(s.QueueP95, 1),
		interval(s.Jain, 1)+more, len(results), results[0].Seed, took)
	return err
}

// interval is a mean with its confidence interval, in a unit.
func interval(m sim.Mean, unit float64) string {
	if m.CI95 == 0 {
		return fmt.Sprintf("%.3f", m.Mean/unit)
	}
	return fmt.Sprintf("%.3f ± %.3f", m.Mean/unit, m.CI95/unit)
}
