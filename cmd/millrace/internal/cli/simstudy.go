package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/scenario"
	"github.com/millrace-tcp/millrace/sim/study"
	"github.com/millrace-tcp/millrace/trace"
)

func (a *app) simRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run the scenario of a TOML file",
		Long: `Run simulates what a file describes: the link by the keys of --link, flows, each with its
congestion control, start, round trip and size, and cross traffic.

  title = "two flows and some web traffic"
  time = "60s"

  [link]
  rate = "20mbit"
  rtt = "50ms"
  queue = "1bdp"
  change = ["20s:rate:5mbit", "40s:rate:20mbit"]

  [[flow]]
  cc = "cubic"

  [[flow]]
  cc = "reno"
  start = "5s"
  rtt = "100ms"
  size = "20mb"       # without: no end
  count = 2

  [[cross]]
  kind = "flows"      # short TCP flows; or "constant", "onoff"
  rate = "2mbit"
  size = "30kb"

What is wrong with a file is told with its line. --seed, --seeds and --time replace what the
file says.`,
		Example: "  millrace sim run scenario.toml --html out.html\n  millrace sim run scenario.toml --seeds 8 --json",
		Args:    arguments(1, "a file"),
	}
	o := new(simulation)
	o.seedFlags(cmd, 1)
	cmd.Flags().DurationVar(&o.time, "time", 0, "virtual time to simulate, `DUR`, rather than the file's")
	o.out.flags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runScenario(cmd, o, args[0]) }
	return cmd
}

// runScenario runs a file, where flags that are given replace what it says.
func (a *app) runScenario(cmd *cobra.Command, o *simulation, name string) error {
	s, err := a.loadScenario(cmd, o, name)
	if err != nil {
		return err
	}
	return a.simulate(cmd.Context(), o, s.Spec, s.Title)
}

// loadScenario reads a file, where flags that are given replace what it says.
func (a *app) loadScenario(cmd *cobra.Command, o *simulation, name string) (*scenario.Scenario, error) {
	s, err := scenario.Load(name, a.table().Creators())
	if err != nil {
		return nil, usageError{err}
	}
	given := cmd.Flags().Changed
	switch {
	case given("time") && (o.time <= 0 || o.time > sim.TimeMax):
		return nil, usagef("--time %v: want more than 0 and at most %v", o.time, sim.TimeMax)
	case given("time"):
		s.Spec.Time = o.time
	case s.Spec.Time == 0:
		s.Spec.Time = time.Minute
	}
	if given("seed") {
		s.Spec.Seed = o.seed
	}
	if !given("seeds") {
		o.seeds = s.Seeds
	}
	if err := o.checkSeeds(); err != nil {
		return nil, err
	}
	if err := s.Spec.Check(); err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	s.Spec.Flows = max(1, len(s.Spec.FlowSpecs))
	return s, nil
}

func (a *app) simCompareCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "compare --cc NAME,NAME...",
		Short: "Run algorithms over the same link, one after the other",
		Long: `Compare runs each algorithm alone over the link, with as many flows as --flows says and
with each of --seeds, and sets side by side what they carried, what delay they caused, how
evenly they shared, what they lost, and how long they took to share evenly. delay is how much
longer than the shortest the round trips were, at the 95th percentile.

With --scenario the algorithm is that of the flows, and of the short flows of cross traffic,
for which the file names none; the others keep theirs.`,
		Example: `  millrace sim compare --cc reno,cubic,bbr --link rate=50mbit,rtt=40ms,queue=4bdp --flows 2
  millrace sim compare --cc reno,cubic --seeds 16 --html compare.html
  millrace sim compare --cc reno,bbr --scenario scenario.toml`,
		Args: arguments(0, ""),
	}
	o := new(simulation)
	f := cmd.Flags()
	all := a.table().Names()
	f.StringVar(&o.link, "link", sim.LinkDefault, "the bottleneck, `SPEC`, see millrace sim --help")
	f.StringSliceVar(&o.cc, "cc", all, "congestion control `NAME,...`, see millrace cc list")
	f.Lookup("cc").DefValue = "all"
	f.IntVar(&o.flows, "flows", 2, "`N` flows of each")
	f.DurationVar(&o.time, "time", time.Minute, "virtual time to simulate, `DUR`")
	o.seedFlags(cmd, 4)
	html := f.String("html", "", "write a page with a plot to `FILE`")
	file := f.String("scenario", "", "run the scenario of `FILE` with each, rather than --flows over --link")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		spec, err := a.spec(o) // checks --cc, too
		if err != nil {
			return err
		}
		title := fmt.Sprintf("link %s, %d flows", o.link, o.flows)
		if *file != "" {
			if spec, title, err = a.openScenario(cmd, o, *file); err != nil {
				return err
			}
		}
		return a.compare(cmd.Context(), o, spec, title, *html)
	}
	return cmd
}

// openScenario reads a file in which flows are left to whatever algorithm.
func (a *app) openScenario(cmd *cobra.Command, o *simulation, name string) (spec sim.Spec, title string, err error) {
	for _, flag := range []string{"link", "flows"} {
		if cmd.Flags().Changed(flag) {
			return spec, "", usagef("--%s means nothing with --scenario", flag)
		}
	}
	s, err := a.loadScenario(cmd, o, name)
	if err != nil {
		return spec, "", err
	}
	open := len(s.Spec.FlowSpecs) == 0
	for _, f := range s.Spec.FlowSpecs {
		open = open || f.CC == ""
	}
	for _, c := range s.Spec.Cross {
		open = open || c.Kind == sim.CrossFlows && c.CC == ""
	}
	if !open {
		return spec, "", usagef("%s: every flow names its cc: there is nothing to compare", name)
	}
	o.time, o.flows = s.Spec.Time, s.Spec.Flows
	return s.Spec, s.Title, nil
}

func (a *app) compare(ctx context.Context, o *simulation, spec sim.Spec, title, html string) error {
	runner := a.simRunner(&spec, 2)
	c, err := runner.Compare(ctx, spec, o.cc, o.seeds)
	if err != nil {
		return err
	}
	if html != "" {
		if err := writeFile(html, comparePage(title, o, c).Write); err != nil {
			return err
		}
	}
	if o.asJSON {
		a.printJSON(c)
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, strings.Join(compareHead(c), "\t")+"\t")
	for i := range c.Algorithms {
		fmt.Fprintln(w, strings.Join(compareRow(&c.Algorithms[i]), "\t")+"\t")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s, %v, %d seeds; the intervals are of 95 %%\n", title, o.time, o.seeds)
	return err
}

// compareHead is the columns of a comparison. Short flows have theirs where there are some.
func compareHead(c *study.Comparison) []string {
	head := []string{"cc", "Mbit/s", "delay p95, ms", "utilization", "loss, %", "Jain", "fair after, s"}
	if c.Algorithms[0].Short != nil {
		head = append(head, "short p50, ms", "p99, ms")
	}
	return head
}

func compareRow(c *study.Contender) []string {
	fair := "never"
	if c.Converged > 0 {
		fair = interval(c.Convergence, 1)
		if c.Converged < len(c.Seeds) {
			fair += fmt.Sprintf(" (%d of %d)", c.Converged, len(c.Seeds))
		}
	}
	if len(c.Flows) < 2 {
		fair = "-"
	}
	row := []string{c.CC, interval(c.Total, 1e6), interval(c.Delay, 1), interval(c.Utilization, 1), interval(c.Loss, 0.01), interval(c.Jain, 1), fair}
	if s := c.Short; s != nil {
		row = append(row, interval(s.P50, 1), interval(s.P99, 1))
	}
	return row
}

func comparePage(title string, o *simulation, c *study.Comparison) *trace.Page {
	p := trace.NewPage("Algorithms side by side", o.time)
	p.Subtitle = fmt.Sprintf("%s, %v, %d seeds", title, o.time, o.seeds)
	var dots []trace.Dot
	t := trace.Table{Title: "Results", Head: compareHead(c), Note: "Means over the seeds, with intervals of 95 %."}
	for i := range c.Algorithms {
		x := &c.Algorithms[i]
		dots = append(dots, trace.Dot{
			Name: x.CC, Delay: x.Delay.Mean, DelayCI: x.Delay.CI95, Rate: x.Total.Mean / 1e6, RateCI: x.Total.CI95 / 1e6,
		})
		t.Rows = append(t.Rows, compareRow(x))
	}
	p.Scatter("Throughput over delay", "Up and to the left is better. Bars are intervals of 95 % over the seeds.", dots)
	p.Tables = []trace.Table{t}
	return p
}

func (a *app) simCardCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "card --cc NAME",
		Short: "Hold an algorithm against what RFC 9743 asks of a new one",
		Long: `Card runs an algorithm through the situations that RFC 9743 (BCP 133) asks a proposal to be
judged in, as far as simulation has an answer, and Reno beside it. The RFC gives no figures:
the limits are millrace's, and mostly relative to what Reno does. A row that fails is a
question to answer.`,
		Example: "  millrace sim card --cc cubic\n  millrace sim card --cc vegas --seeds 8 --html card.html",
		Args:    arguments(0, ""),
	}
	o := new(simulation)
	cc := cmd.Flags().String("cc", catalog.Default, "congestion control `NAME`, see millrace cc list")
	o.seedFlags(cmd, 3)
	html := cmd.Flags().String("html", "", "write the card as a page to `FILE`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.checkCC(*cc); err != nil {
			return usagef("--cc: %w", err)
		}
		if err := o.checkSeeds(); err != nil {
			return err
		}
		runner := a.simRunner(new(sim.Spec), 2)
		card, err := runner.Card(cmd.Context(), *cc, a.table().Creators(), o.seed, o.seeds)
		if err != nil {
			return err
		}
		if *html != "" {
			if err := writeFile(*html, cardPage(card).Write); err != nil {
				return err
			}
		}
		if o.asJSON {
			a.printJSON(card)
			return nil
		}
		return printCard(a.stdout, card)
	}
	return cmd
}

var cardHead = []string{"section", "criterion", "situation", "measured", "wanted", "value", "reference", "verdict"}

func cardRow(r *study.Row) []string {
	verdict := "pass"
	if !r.Pass {
		verdict = "FAIL"
	}
	return []string{r.Section, r.Name, r.Situation, r.Measure, r.Wanted, interval(r.Value, 1), fmt.Sprintf("%.3f", r.Reference.Mean), verdict}
}

func printCard(out io.Writer, c *study.Card) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(cardHead, "\t"))
	for i := range c.Rows {
		fmt.Fprintln(w, strings.Join(cardRow(&c.Rows[i]), "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "%s: %d passed, %d failed, %d seeds each; reference is %s\nnot judged:\n  %s\n",
		c.CC, c.Passed, c.Failed, c.Seeds, c.Reference, strings.Join(c.NotJudged, "\n  "))
	return err
}

func cardPage(c *study.Card) *trace.Page {
	p := trace.NewPage("Report card: "+c.CC, 0)
	p.Subtitle = "The criteria of RFC 9743 (BCP 133), as far as simulation answers them; the limits are millrace's"
	p.Facts = []trace.Fact{
		{Name: "Passed", Value: fmt.Sprint(c.Passed)}, {Name: "Failed", Value: fmt.Sprint(c.Failed)},
		{Name: "Reference", Value: c.Reference}, {Name: "Seeds", Value: fmt.Sprint(c.Seeds)},
	}
	t := trace.Table{Title: "Criteria", Head: cardHead, Words: 5, Note: "Not judged: " + strings.Join(c.NotJudged, "; ") + "."}
	for i := range c.Rows {
		t.Rows = append(t.Rows, cardRow(&c.Rows[i]))
		t.Marks = append(t.Marks, map[bool]string{true: "pass", false: "fail"}[c.Rows[i].Pass])
	}
	p.Tables = []trace.Table{t}
	return p
}
