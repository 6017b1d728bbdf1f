package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/suite"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "bench",
		Short: "Measure this stack and others by the same code (root, but for the pipe)",
		Long: `Bench measures. Each stack has its ends in processes of their own, which take turns
run by run; the first round does not count. By default the link is a lab: two namespaces
joined by a veth pair for each stack, where kernel TCP is the client of all of them.

What the processors did is that of the whole machine, both ends, in user space, in the
kernel and in soft interrupts; do not run anything beside it.`,
		Example: `  sudo millrace bench throughput --flows 1,8
  sudo millrace bench rr --stack millrace,kernel --size 1 --html rr.html
  millrace bench throughput --link pipe
  sudo millrace bench compare --html all.html`,
	})
	cmd.AddCommand(
		a.benchThroughput(), a.benchMessages("rr", bench.RequestResponse), a.benchMessages("crr", bench.Connect),
		a.benchIdle(), a.benchRaw(), a.benchModes(), a.benchCompare(), a.benchTable(), a.benchServe(), a.benchEndCommand(),
	)
	return cmd
}

// measurement is the flags of the commands that measure.
type measurement struct {
	app *app
	cmd *cobra.Command

	port   *nic
	link   choice
	stacks []string
	mtus   []int
	to     string

	rounds     int
	time, warm time.Duration
	samples    int64 // of request-response
	peers      string

	asJSON              bool
	save                string
	csv, benchfmt, html string
}

// measureFlags adds the flags that say how to measure and what to write.
func (a *app) measureFlags(cmd *cobra.Command, d time.Duration) *measurement {
	m := &measurement{app: a, cmd: cmd}
	f := cmd.Flags()
	f.IntVar(&m.rounds, "rounds", 5, "runs that count, `N` of each")
	f.DurationVar(&m.time, "time", d, "how long a run is, `DUR`")
	f.DurationVar(&m.warm, "warm", 200*time.Millisecond, "how long a run is that is made first and does not count, `DUR`; 0: none")
	f.StringVar(&m.peers, "peers", "", "`PROGRAM` of bench/peers, for the gvisor stacks; empty: none (default: millrace-peers beside this one, if it is there)")
	f.BoolVar(&m.asJSON, "json", false, "print one object")
	f.StringVar(&m.save, "save", "", "write that object to `FILE`, as for millrace bench table")
	f.StringVar(&m.csv, "csv", "", "write each figure of each run to `FILE`")
	f.StringVar(&m.benchfmt, "benchfmt", "", "write `FILE` for benchstat -col /stack")
	f.StringVar(&m.html, "html", "", "write a page with plots to `FILE`")
	return m
}

// linkFlags adds the flags that say what to measure on, and for how long if nobody says.
func (a *app) linkFlags(cmd *cobra.Command, d time.Duration) *measurement {
	m := a.measureFlags(cmd, d)
	m.port = a.portFlags(cmd)
	m.link = choice{value: testbed.Lab, of: []string{testbed.Lab, testbed.Pipe, testbed.NIC}}
	f := cmd.Flags()
	f.Var(&m.link, "link", "what to measure over: lab|pipe|nic; with nic, --to is a server of millrace bench serve")
	f.StringSliceVar(&m.stacks, "stack", nil, "what to measure, `NAME,...`: of a lab "+strings.Join(testbed.Stacks(testbed.Lab), ", ")+
		"; of a pipe "+strings.Join(testbed.Stacks(testbed.Pipe), ", ")+"; of a NIC "+strings.Join(testbed.Stacks(testbed.NIC), ", ")+
		" (default: all that need no --peers)")
	f.IntSliceVar(&m.mtus, "mtu", []int{1500}, "MTU of the lab or the pipe, `N,...`")
	f.StringVar(&m.to, "to", "", "`HOST:PORT` of the server, with --link nic")
	return m
}

// links checks the flags and returns the links to measure on.
func (m *measurement) links() ([]testbed.Link, error) {
	kind := m.link.value
	for _, f := range []string{"nic", "to", "pcap", "metrics"} {
		if kind != testbed.NIC && m.cmd.Flags().Changed(f) {
			return nil, usagef("--%s is for --link nic", f)
		}
	}
	if kind == testbed.NIC {
		if err := required(m.cmd, "nic", "to"); err != nil {
			return nil, err
		}
		if err := checkAddress(m.to); err != nil {
			return nil, usagef("--to: %w", err)
		}
		if m.cmd.Flags().Changed("mtu") {
			return nil, usagef("--mtu means nothing with --link nic")
		}
		return []testbed.Link{{Kind: kind, NIC: m.port.name, To: m.to}}, nil
	}
	var links []testbed.Link
	for _, mtu := range m.mtus {
		if mtu < mtuMin || mtu > mtuMax {
			return nil, usagef("--mtu %d is not from %d to %d", mtu, mtuMin, mtuMax)
		}
		link := testbed.Link{Kind: kind, MTU: mtu}
		if kind == testbed.Lab {
			link.Queues = max(1, m.port.queues)
		}
		links = append(links, link)
	}
	return links, nil
}

// The MTUs that a lab and a pipe can both have.
const (
	mtuMin = 576
	mtuMax = 65000
)

// stacksOf checks --stack and returns what to measure on a kind of link; without it, all
// that need no other program and can run the workload.
func (m *measurement) stacksOf(can func(stack string) bool) ([]string, error) {
	all := testbed.Stacks(m.link.value)
	if m.stacks != nil {
		for _, s := range m.stacks {
			if !slices.Contains(all, s) {
				return nil, usagef("--stack %s: a %s has %s", s, m.link.value, strings.Join(all, ", "))
			}
			if !can(s) {
				return nil, usagef("--stack %s has no %s", s, m.cmd.Name())
			}
		}
		return m.stacks, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool {
		return testbed.NeedsPeers(s) || !can(s)
	}), nil
}

// measure runs workloads on all links and stacks of the flags.
func (m *measurement) measure(ctx context.Context, can func(stack string) bool, workloads ...bench.Workload) error {
	links, err := m.links()
	if err != nil {
		return err
	}
	stacks, err := m.stacksOf(can)
	if err != nil {
		return err
	}
	var sections []suite.Section
	for _, link := range links {
		s := suite.Section{Name: link.String()}
		for _, w := range workloads {
			if w.Time = m.time; w.Check() != nil {
				return usageError{errors.New(strings.TrimPrefix(w.Check().Error(), "bench: "))}
			}
			s.Cases = append(s.Cases, suite.Case{Link: link, Workload: w, Stacks: stacks, Samples: m.samples})
		}
		sections = append(sections, s)
	}
	return m.run(ctx, sections, false)
}

// config checks the flags that say how to measure.
func (m *measurement) config() (suite.Config, error) {
	cfg := suite.Config{
		Rounds: m.rounds, Time: m.time, Warm: m.warm, Version: buildInfo(m.app.version).Version,
		Command: strings.Join(append([]string{"millrace"}, m.app.args...), " "),
	}
	switch {
	case m.samples < 0 || m.samples > bench.CountMax:
		return cfg, usagef("--samples %d is not from 0 to %d", m.samples, int64(bench.CountMax))
	case m.rounds < 1 || m.rounds > suite.RoundsMax:
		return cfg, usagef("--rounds %d is not from 1 to %d", m.rounds, suite.RoundsMax)
	case m.time < suite.TimeMin || m.time > bench.TimeMax:
		return cfg, usagef("--time %v is not from %v to %v", m.time, suite.TimeMin, bench.TimeMax)
	case m.warm != 0 && (m.warm < suite.TimeMin || m.warm > bench.TimeMax):
		return cfg, usagef("--warm %v is neither 0 nor from %v to %v", m.warm, suite.TimeMin, bench.TimeMax)
	}
	self, err := os.Executable()
	if err != nil {
		return cfg, fmt.Errorf("bench: find the program itself: %w", err)
	}
	cfg.Bed = testbed.Config{End: []string{self, "bench", "end"}, Client: []string{self, "peer"}}
	if m.port != nil {
		if cfg.Bed.Flags, err = m.port.flags("cc", "ecn", "busy-poll", "settings", "spin", "pin", "pcap", "metrics"); err != nil {
			return cfg, err
		}
		if cfg.Bed.Mode, err = millrace.ParseMode(m.port.mode.value); err != nil {
			return cfg, usagef("--mode: %w", err)
		}
	}
	switch {
	case m.peers == "" && !m.cmd.Flags().Changed("peers"):
		if beside := filepath.Join(filepath.Dir(self), "millrace-peers"); exists(beside) {
			m.peers = beside
		}
	case m.peers != "" && !exists(m.peers):
		return cfg, usagef("--peers: there is no %s", m.peers)
	}
	if m.peers != "" {
		cfg.Bed.Peers = []string{m.peers}
	}
	return cfg, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run measures, and writes what came of it. Runs that failed are in it, and make the command fail.
func (m *measurement) run(ctx context.Context, sections []suite.Section, bars bool) error {
	r, err := m.perform(ctx, sections, bars)
	if err != nil {
		return err
	}
	if bars {
		r.Judge()
	}
	err = m.output(r)
	if n := r.Failures(); err == nil && n > 0 {
		return fmt.Errorf("bench: %d of the measurements failed", n)
	}
	return err
}

// perform measures. A tolerant one goes on without stacks that cannot be brought up.
func (m *measurement) perform(ctx context.Context, sections []suite.Section, tolerant bool) (*report.Report, error) {
	cfg, err := m.config()
	if err != nil {
		return nil, err
	}
	cfg.Tolerant = tolerant
	if terminal(m.app.stderr) {
		bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(m.app.stderr), progressbar.OptionClearOnFinish(),
			progressbar.OptionShowCount(), progressbar.OptionFullWidth(), progressbar.OptionSetPredictTime(true))
		defer func() { _ = bar.Finish() }()
		cfg.Progress = func(done, total int, what string) {
			bar.ChangeMax(total)
			bar.Describe(what)
			_ = bar.Set(done)
		}
	}
	return suite.Run(ctx, cfg, sections)
}

// output writes the report to where the flags say.
func (m *measurement) output(r *report.Report) error {
	for _, out := range []struct {
		path  string
		write func(f *os.File) error
	}{
		{m.save, func(f *os.File) error { return r.WriteJSON(f) }},
		{m.csv, func(f *os.File) error { return r.WriteCSV(f) }},
		{m.benchfmt, func(f *os.File) error { return r.WriteBenchfmt(f) }},
		{m.html, func(f *os.File) error { return r.WriteHTML(f) }},
	} {
		if out.path == "" {
			continue
		}
		f, err := os.Create(out.path)
		if err != nil {
			return fmt.Errorf("bench: write: %w", err)
		}
		if err := errors.Join(out.write(f), f.Close()); err != nil {
			return err
		}
	}
	if m.asJSON {
		return r.WriteJSON(m.app.stdout)
	}
	return r.WriteText(m.app.stdout)
}

// benchServe is the other machine's part of a measurement over a NIC.
func (a *app) benchServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve --listen ADDR",
		Short: "Serve the workloads of a millrace bench --link nic on another machine",
		Example: `  millrace bench serve --stack kernel --listen :5001
  sudo millrace bench serve --nic eth0 --listen :5001`,
		Args: arguments(0, ""),
	}
	n := a.nicFlags(cmd)
	var listen address
	cmd.Flags().Var(&listen, "listen", "listen on `ADDR`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := required(cmd, "listen"); err != nil {
			return err
		}
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			var l net.Listener
			l, err := n.listen(ctx, nw, string(listen))
			if err != nil {
				return err
			}
			server := bench.Server{Log: a.log}
			return server.Serve(ctx, l)
		})
	}
	return cmd
}
