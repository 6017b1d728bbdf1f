package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/suite"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/loader"
)

func (a *app) benchModes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "modes",
		Short: "Measure in which mode an interface is best opened, and record it for --mode auto",
		Long: `Modes opens an interface in each mode that its driver admits (zerocopy, copy, generic), by
turns, receives and sends in bulk and exchanges messages with a peer that is there for it,
and says which is the best: the fastest, by the geometric mean of the three rates, and of
those within 5 % of it the one that costs the processors least. By default that is a veth of
its own; over a NIC the peer is millrace bench serve --stack kernel on another machine, and
each run opens and closes the NIC, which restarts some of them.

With --record the result is kept in ` + "`modes.json`" + ` in /var/lib/millrace ($STATE_DIRECTORY, or below
$XDG_STATE_HOME, where these are set), and --mode auto goes by it for this driver, as long as
the kernel stays what it is. millrace doctor tells what was recorded.`,
		Example: `  sudo millrace bench modes
  sudo millrace bench modes --link nic --nic eth0 --to 192.0.2.1:5001 --record`,
		Args: arguments(0, ""),
	}
	m := a.linkFlags(cmd, time.Second)
	record := cmd.Flags().Bool("record", false, "keep the result for --mode auto")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for _, f := range []string{"stack", "mode"} {
			if cmd.Flags().Changed(f) {
				return usagef("--%s means nothing here: all modes of this stack are measured", f)
			}
		}
		links, err := m.links()
		if err != nil {
			return err
		}
		if len(links) != 1 || links[0].Kind == testbed.Pipe {
			return usagef("modes are measured on one lab or NIC, not on %v", links)
		}
		return m.modes(cmd.Context(), links[0], *record)
	}
	return cmd
}

// admitted is what is known of the interface at a link: of a NIC what it tells, of a lab's what a
// veth has.
func admitted(link testbed.Link) (loader.NICInfo, error) {
	if link.Kind == testbed.NIC {
		return loader.Probe(link.NIC)
	}
	return loader.NICInfo{Driver: "veth", Veth: true, XDP: loader.XDPKnown | loader.XDPBasic | loader.XDPRedirect}, nil
}

// modes measures the modes on a link. One that the driver refuses is no failure, but a result.
func (m *measurement) modes(ctx context.Context, link testbed.Link, record bool) error {
	nic, err := admitted(link)
	if err != nil {
		return err
	}
	section := suite.Section{Name: link.String()}
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload}, {Kind: bench.Bulk, Way: bench.Download}, {Kind: bench.RequestResponse, Size: 1},
	} {
		section.Cases = append(section.Cases, suite.Case{Link: link, Workload: w, Stacks: testbed.Modes(nic)})
	}
	r, err := m.perform(ctx, []suite.Section{section}, true)
	if err != nil {
		return err
	}
	r.Modes = r.JudgeModes(nic.Driver)
	if err := m.output(r); err != nil {
		return err
	}
	if r.Modes.Best == "" {
		return fmt.Errorf("bench: none of the modes of %s could be measured", nic.Driver)
	}
	if !record {
		return nil
	}
	return recordModes(r, link)
}

// recordModes keeps what was found for who opens such an interface.
func recordModes(r *report.Report, link testbed.Link) error {
	return loader.RecordMode(loader.StateDir(), loader.ModeRecord{
		Driver: r.Modes.Driver, Kernel: r.Machine.Kernel, Best: r.Modes.Best, Link: link.String(),
		Measured: r.Started.UTC().Truncate(time.Second), Modes: r.Modes.Modes,
	})
}
