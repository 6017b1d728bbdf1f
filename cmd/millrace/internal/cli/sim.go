package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
)

// simulation is the flags of the command.
type simulation struct {
	link   string
	cc     []string
	flows  int
	time   time.Duration
	seed   uint64
	asJSON bool
	csv    string
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
  jitter=1ms     of both ways, without reordering; the time of one packet if not given
  ecn=ce-threshold:1ms   mark ECN-capable packets that waited for longer
  trace=FILE     in place of rate: milliseconds at which a packet may leave, one a line

The same seed gives the same packets at the same times, and the same digest.

--csv writes a file for each flow: t in seconds; cwnd, ssthresh, inflight, delivered and
queue in octets; srtt, minrtt and rto in milliseconds.`,
		Example: `  millrace sim --link rate=20mbit,rtt=50ms,queue=1bdp --flows 4
  millrace sim --link rate=100mbit,rtt=20ms,loss=0.001 --time 10m --json
  millrace sim --link rate=10mbit,rtt=40ms --csv out`,
		Args: arguments(0, ""),
	}
	var o simulation
	f := cmd.Flags()
	f.StringVar(&o.link, "link", sim.LinkDefault, "the bottleneck, `SPEC`")
	f.StringSliceVar(&o.cc, "cc", []string{catalog.Default}, "congestion control `NAME,...`, see millrace cc list; of several, flow i runs the i-th, cyclic")
	f.Lookup("cc").DefValue = catalog.Default // without the brackets of a list
	f.IntVar(&o.flows, "flows", 0, "`N` flows; 0 is one for each name of --cc")
	f.DurationVar(&o.time, "time", time.Minute, "virtual time to simulate, `DUR`")
	f.Uint64Var(&o.seed, "seed", 1, "seed `S` of all chance")
	f.BoolVar(&o.asJSON, "json", false, "print one object")
	f.StringVar(&o.csv, "csv", "", "write a file for each flow into `DIR`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.simulate(cmd.Context(), &o) }
	return cmd
}

// spec checks the flags.
func (o *simulation) spec() (sim.Spec, error) {
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
		if err := checkCC(cc); err != nil {
			return sim.Spec{}, usagef("--cc: %w", err)
		}
	}
	return sim.Spec{
		Link: link, CC: o.cc, Algorithms: catalog.All().Creators(), Flows: o.flows, Time: o.time, Seed: o.seed,
	}, nil
}

// simulate runs the command.
func (a *app) simulate(ctx context.Context, o *simulation) error {
	spec, err := o.spec()
	if err != nil {
		return err
	}
	var table *simCSV
	if o.csv != "" {
		if table, err = newSimCSV(o.csv, o.flows); err != nil {
			return err
		}
		defer table.close()
		spec.SampleEvery = sampleEvery(o.time)
		spec.Sample = table.sample
	}
	show := a.simProgress(o)
	spec.Progress = func(done time.Duration) bool {
		show(done)
		return ctx.Err() == nil
	}
	start := time.Now()
	r, err := sim.Run(spec)
	if errors.Is(err, sim.ErrStopped) {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	r.WallS = time.Since(start).Seconds()
	if table != nil {
		if err := table.close(); err != nil {
			return err
		}
	}
	if o.asJSON {
		a.printJSON(r)
		return nil
	}
	return a.printSim(o, r)
}

// simProgress returns what shows how far a run is, on a terminal.
func (a *app) simProgress(o *simulation) func(done time.Duration) {
	if !terminal(a.stderr) {
		return func(time.Duration) {}
	}
	start := time.Now()
	last := start
	shown := false
	return func(done time.Duration) {
		now := time.Now()
		switch {
		case done >= o.time && shown:
			fmt.Fprint(a.stderr, "\r\033[K")
		case done < o.time && now.Sub(last) >= progressEvery:
			last, shown = now, true
			fmt.Fprintf(a.stderr, "\r\033[K%v of %v, %.0f times as fast as the clock",
				done.Round(time.Millisecond), o.time, done.Seconds()/now.Sub(start).Seconds())
		}
	}
}

// printSim prints a result for people.
func (a *app) printSim(o *simulation, r *sim.Result) error {
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
	_, err := fmt.Fprintf(a.stdout, "link %s: utilization %.3f, %d drops, queue %.1f ms (p50) %.1f ms (p95); fairness %.3f\n"+
		"%v of virtual time in %.2f s, seed %d, digest %s\n",
		o.link, r.Link.Utilization, r.Link.Drops, r.Link.QueueMillis.P50, r.Link.QueueMillis.P95, r.Jain,
		o.time, r.WallS, r.Seed, r.Digest)
	return err
}
