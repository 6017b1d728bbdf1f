package cli

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/suite"
	"github.com/millrace-tcp/millrace/bench/testbed"
)

// ways are the values of --way.
var ways = map[string][]bench.Way{
	"receive": {bench.Upload}, "send": {bench.Download}, "both": {bench.Upload, bench.Download},
}

func (a *app) benchThroughput() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "throughput",
		Short: "Measure bulk transfers",
		Example: `  sudo millrace bench throughput --flows 1,8,64
  sudo millrace bench throughput --mtu 1500,3498,9000,65000 --stack millrace,kernel-xdp,raw
  sudo millrace bench throughput --link nic --nic eth0 --to 192.0.2.1:5001 --json`,
		Args: arguments(0, ""),
	}
	m := a.linkFlags(cmd, time.Second)
	way := choice{value: "both", of: []string{"receive", "send", "both"}}
	cmd.Flags().Var(&way, "way", "what the stack does: receive|send|both, one after the other")
	flows := cmd.Flags().IntSlice("flows", []int{1}, "connections at once, `N,...`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []bench.Workload
		for _, n := range *flows {
			for _, w := range ways[way.value] {
				all = append(all, bench.Workload{Kind: bench.Bulk, Way: w, Flows: n})
			}
		}
		return m.measure(cmd.Context(), func(stack string) bool {
			return testbed.Can(stack, bench.Bulk) && (stack != testbed.Core || slices.Equal(*flows, []int{1}))
		}, all...)
	}
	return cmd
}

// benchMessages is request-response, with and without a connection for each.
func (a *app) benchMessages(name string, kind bench.Kind) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name,
		Short:   "Measure request-response on one connection",
		Example: "  sudo millrace bench rr --size 1,64,1400,16384\n  millrace bench rr --link pipe",
		Args:    arguments(0, ""),
	}
	if kind == bench.Connect {
		cmd.Short = "Measure connect, request, response, close"
		cmd.Example = "  sudo millrace bench crr --stack millrace,kernel"
	}
	m := a.linkFlags(cmd, time.Second)
	sizes := cmd.Flags().IntSlice("size", []int{1}, "octets of a message, `N,...`")
	flows := cmd.Flags().Int("flows", 1, "`N` of them at once")
	if kind == bench.RequestResponse {
		cmd.Flags().Int64Var(&m.samples, "samples", report.BasisMost, "messages that all runs of a stack have together, at least `N` if a run need not take five times its time for it: what p99.99 takes")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var all []bench.Workload
		for _, size := range *sizes {
			all = append(all, bench.Workload{Kind: kind, Size: size, Flows: *flows})
		}
		return m.measure(cmd.Context(), func(stack string) bool { return testbed.Can(stack, kind) }, all...)
	}
	return cmd
}

func (a *app) benchIdle() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "idle",
		Short:   "Measure what connections take that have nothing to do",
		Example: "  sudo millrace bench idle --conns 10000",
		Args:    arguments(0, ""),
	}
	m := a.linkFlags(cmd, 5*time.Second)
	conns := cmd.Flags().Int("conns", report.IdleConns, "`N` connections")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if m.link.value != testbed.Lab {
			return usagef("idle connections are measured on a lab, where the ends are apart, not on a %s", m.link.value)
		}
		return m.measure(cmd.Context(), func(stack string) bool { return testbed.Can(stack, bench.Idle) },
			bench.Workload{Kind: bench.Idle, Flows: *conns})
	}
	return cmd
}

func (a *app) benchRaw() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "raw",
		Short: "Measure the ceiling: AF_XDP without TCP, and copying memory",
		Long: `Raw moves frames over a lab through the port that the stack has there, with the
same program, mode and memory, and nobody who looks into them; what counts is the payload
that TCP would have had in them. Beside it the program is in the driver (raw-native), and
memory is copied. What a packet takes there and back is measured without sleep, too, between
two such ends (raw-spin) and between one and a client of kernel TCP (raw-reflect).`,
		Example: "  sudo millrace bench raw --mtu 1500,3498",
		Args:    arguments(0, ""),
	}
	m := a.measureFlags(cmd, time.Second)
	mtus := cmd.Flags().IntSlice("mtu", []int{1500}, "MTU of the lab, `N,...`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var sections []suite.Section
		for _, mtu := range *mtus {
			if mtu < mtuMin || mtu > mtuMax {
				return usagef("--mtu %d is not from %d to %d", mtu, mtuMin, mtuMax)
			}
			link := testbed.Link{Kind: testbed.Lab, MTU: mtu, Queues: 1}
			s := suite.Section{Name: link.String()}
			for _, w := range []bench.Workload{
				{Kind: bench.Bulk, Way: bench.Upload}, {Kind: bench.Bulk, Way: bench.Download},
				{Kind: bench.RequestResponse, Size: 1},
			} {
				stacks := []string{testbed.Raw, testbed.RawNative}
				if w.Kind == bench.RequestResponse {
					stacks = append(stacks, testbed.RawSpin, testbed.RawReflect)
				}
				s.Cases = append(s.Cases, suite.Case{Link: link, Workload: w, Stacks: stacks})
			}
			sections = append(sections, s)
		}
		memory := testbed.Link{Kind: testbed.Pipe, MTU: 1500}
		sections = append(sections, suite.Section{Name: testbed.MemoryCopy, Cases: []suite.Case{{
			Link: memory, Workload: bench.Workload{Kind: bench.Bulk, Way: bench.Upload}, Stacks: []string{testbed.MemoryCopy},
		}}})
		return m.run(cmd.Context(), sections, false)
	}
	return cmd
}

// compareTime is how long a run of the comparison is: with five rounds of all of it, with peers,
// less than ten minutes.
const compareTime = 300 * time.Millisecond

func (a *app) benchCompare() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure all that the project claims, beside its peers, and judge it",
		Long: `Compare runs every workload on this stack, on kernel TCP as it is and with XDP
attached, on AF_XDP without TCP and, with the program of bench/peers, on gVisor's netstack,
run by run by turns, and prints tables and a verdict for each of the project's bars. It
takes about eight minutes.`,
		Example: `  sudo millrace bench compare --html all.html
  sudo millrace bench compare --only pipe,idle`,
		Args: arguments(0, ""),
	}
	m := a.measureFlags(cmd, compareTime)
	only := cmd.Flags().StringSlice("only", nil, "sections to measure, `NAME,...`: "+sectionNames()+" (default: all)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := m.config(); err != nil { // finds the peers
			return err
		}
		sections, err := suite.Pick(suite.Whole(m.peers != ""), *only)
		if err != nil {
			return usagef("--only: %w", err)
		}
		return m.run(cmd.Context(), sections, true)
	}
	return cmd
}

func sectionNames() (names string) {
	for i, s := range suite.Whole(true) {
		if i > 0 {
			names += ", "
		}
		names += fmt.Sprint(s.Name)
	}
	return names
}

func (a *app) benchTable() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "table FILE",
		Short: "Make Markdown of a report that was saved",
		Long: `Table reads what millrace bench … --save FILE wrote, and prints its figures and bars as
Markdown, with the command that measured them; or puts that into a text between the lines
` + report.MarkBegin + "and\n" + report.MarkEnd,
		Example: `  sudo millrace bench compare --save bench.json
  millrace bench table bench.json --into README.md`,
		Args: arguments(1, "FILE"),
	}
	into := cmd.Flags().String("into", "", "rewrite what is between the marks in `TEXT`")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		r, err := readReport(args[0])
		if err != nil {
			return err
		}
		if *into == "" {
			return r.WriteMarkdown(a.stdout)
		}
		text, err := os.ReadFile(*into)
		if err != nil {
			return fmt.Errorf("bench: read text: %w", err)
		}
		if text, err = r.Into(text); err != nil {
			return fmt.Errorf("%s: %w", *into, err)
		}
		return os.WriteFile(*into, text, 0o644)
	}
	return cmd
}

// readReport reads a report that was saved.
func readReport(path string) (*report.Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("bench: read report: %w", err)
	}
	defer f.Close()
	return report.Read(f)
}
