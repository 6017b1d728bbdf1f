package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as one object on one line.
func (r *Report) WriteJSON(w io.Writer) error {
	if err := json.NewEncoder(w).Encode(r); err != nil {
		return fmt.Errorf("report: write JSON: %w", err)
	}
	return nil
}

// Read reads what WriteJSON has written. Bars that are in it are judged anew.
func Read(from io.Reader) (*Report, error) {
	r := new(Report)
	if err := json.NewDecoder(from).Decode(r); err != nil {
		return nil, fmt.Errorf("report: read JSON: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("report: read JSON: it is of schema %d, not %d", r.Schema, Schema)
	}
	if r.Bars != nil {
		r.Judge() // by the rules of today
	}
	return r, nil
}

// WriteCSV writes a line for each figure of each run.
func (r *Report) WriteCSV(w io.Writer) error {
	c := csv.NewWriter(w)
	header := []string{"link", "mtu", "queues", "work", "flows", "size", "stack", "metric", "unit", "run", "value"}
	if err := c.Write(header); err != nil {
		return fmt.Errorf("report: write CSV: %w", err)
	}
	for _, row := range r.Rows {
		for _, cell := range row.Cells {
			for _, m := range cell.Metrics {
				for i, v := range m.Values {
					_ = c.Write([]string{ // Flush tells
						row.Link.Kind, strconv.Itoa(row.Link.MTU), strconv.Itoa(row.Link.Queues), row.Work,
						strconv.Itoa(row.Flows), strconv.Itoa(row.Size), cell.Stack, m.Name, m.Unit,
						strconv.Itoa(i + 1), strconv.FormatFloat(v, 'g', -1, 64),
					})
				}
			}
		}
	}
	c.Flush()
	if err := c.Error(); err != nil {
		return fmt.Errorf("report: write CSV: %w", err)
	}
	return nil
}

// WriteBenchfmt writes the runs in the format of Go's benchmarks, which benchstat reads:
// "benchstat -col /stack FILE" puts the stacks beside each other.
// https://go.dev/design/14313-benchmark-format
func (r *Report) WriteBenchfmt(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\ncpu: %s\nkernel: %s\n", r.Machine.OS, r.Machine.Arch, r.Machine.CPU, r.Machine.Kernel)
	for _, row := range r.Rows {
		for _, cell := range row.Cells {
			for i := range cell.Runs {
				fmt.Fprintf(&b, "Benchmark%s/stack=%s 1", benchName(row.Name), cell.Stack)
				for _, m := range cell.Metrics {
					if i >= len(m.Values) {
						continue // that of all runs together stands with the first
					}
					v, unit := m.Values[i], benchUnit(m)
					switch m.Unit {
					case "us":
						v /= 1e6
					case "ns":
						v /= 1e9
					}
					fmt.Fprintf(&b, " %s %s", strconv.FormatFloat(v, 'g', -1, 64), unit)
				}
				b.WriteByte('\n')
			}
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write benchmarks: %w", err)
	}
	return nil
}

// benchName makes a name of ours that of a benchmark, which begins with a capital.
func benchName(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

// benchUnit names the unit of a metric so that benchstat sees what is better: units per
// second grow, all others shrink.
func benchUnit(m Metric) string {
	switch m.Unit {
	case "bit/s":
		return "bit/s"
	case "1/s":
		return m.Name + "/s"
	case "us", "ns":
		return m.Name + "-sec"
	case "1":
		return m.Name
	case "s/GiB":
		return m.Name + "-sec/GiB"
	case "%":
		return m.Name + "-percent"
	}
	return m.Name + "-" + m.Unit
}

// WriteText writes tables for people: one for each link, a line for each figure, a column
// for each stack.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n%d interleaved runs of %v s each after one that does not count: median, and half of the range as a share of it\n",
		r.Machine, r.Rounds, r.RunSeconds)
	for _, t := range r.tables() {
		fmt.Fprintf(&b, "\n%s\n", t.Title)
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		wide := 0
		for _, l := range t.Lines {
			wide = max(wide, len([]rune(l.Title)))
		}
		fmt.Fprintf(tw, "%*s\t\t%s\t\n", wide, "", strings.Join(t.Stacks, "\t"))
		for _, l := range t.Lines {
			fmt.Fprintf(tw, "%-*s\t%s\t%s\t\n", wide, l.Title, l.Unit, strings.Join(l.Cells, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		for _, note := range t.Notes {
			fmt.Fprintf(&b, "  %s\n", note)
		}
	}
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			if c.Failure != "" {
				fmt.Fprintf(&b, "FAILED %s %s: %s\n", row.Name, c.Stack, c.Failure)
			}
		}
	}
	if err := writeBars(&b, r.Bars); err != nil {
		return err
	}
	if r.Modes != nil {
		fmt.Fprintf(&b, "\n%v", r.Modes)
	}
	_, err := io.WriteString(w, b.String())
	if err != nil {
		return fmt.Errorf("report: write table: %w", err)
	}
	return nil
}

// writeBars writes the table of the bars, which is the last that is written.
func writeBars(w io.Writer, bars []Bar) error {
	if len(bars) == 0 {
		return nil
	}
	header, lines := barTable(bars)
	fmt.Fprintf(w, "\nthe project's bars: a ratio, or a figure with its unit, and half of the range of the rounds as a share of it\n")
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range slices.Concat([][]string{header}, lines) {
		fmt.Fprintf(tw, "%s\t\n", strings.Join(line, "\t"))
	}
	return tw.Flush()
}

// table is what is shown of a link.
type table struct {
	Title  string
	Stacks []string
	Lines  []line
	Notes  []string // how each stack runs
}

type line struct {
	Title, Unit string
	Cells       []string
}

// tables makes a table of each link. Rows of a link that other stacks ran as well get a
// table of their own.
func (r *Report) tables() (all []*table) {
	var last string
	for _, row := range r.Rows {
		var stacks []string
		for _, c := range row.Cells {
			stacks = append(stacks, c.Stack)
		}
		if key := row.Link.String() + strings.Join(stacks, " "); key != last {
			last = key
			t := &table{Title: linkTitle(row), Stacks: stacks}
			for _, c := range row.Cells {
				if c.About != "" {
					t.Notes = append(t.Notes, c.Stack+": "+c.About)
				}
			}
			all = append(all, t)
		}
		t := all[len(all)-1]
		t.Lines = append(t.Lines, linesOf(row)...)
	}
	return all
}

func linkTitle(row Row) string {
	switch l := row.Link; l.Kind {
	case "lab":
		return fmt.Sprintf("veth lab, MTU %d, queues at each end: %d", l.MTU, l.Queues)
	case "pipe":
		return fmt.Sprintf("pipe in memory, MTU %d", l.MTU)
	}
	return row.Link.String()
}

// linesOf shows what is most asked of a row.
func linesOf(row Row) []line {
	shown := map[string][]string{
		"rr": strings.Fields(percentiles), "crr": {Rate, "p50", "p99"}, "http": {Rate},
		"idle": {Resident, Live, MachineHas, CPUServer},
	}[row.Work]
	if shown == nil {
		shown = []string{Throughput}
		if _, ok := anyMetric(row, Segment); ok {
			shown = append(shown, Segment)
		}
	}
	var all []line
	for _, name := range shown {
		l := line{Title: row.Title + ", " + name}
		for _, c := range row.Cells {
			text, unit := shownOf(c, name)
			l.Cells = append(l.Cells, text)
			if unit != "" {
				l.Unit = unit
			}
		}
		all = append(all, l)
	}
	if row.Work == "idle" {
		return all
	}
	l := line{Title: row.Title + ", CPU = user + system + softirq"}
	for _, c := range row.Cells {
		all, ok := c.Metric(CPU)
		l.Cells = append(l.Cells, "-")
		if ok {
			l.Unit = all.Unit
			user, _ := c.Metric(CPUUser)
			system, _ := c.Metric(CPUSystem)
			softirq, _ := c.Metric(CPUSoftIRQ)
			l.Cells[len(l.Cells)-1] = fmt.Sprintf("%s = %s + %s + %s",
				digits(all.Median), digits(user.Median), digits(system.Median), digits(softirq.Median))
		}
	}
	return append(all, l)
}

// shownOf shows a figure of a stack, or why there is none.
func shownOf(c Cell, name string) (text, unit string) {
	m, ok := c.Metric(name)
	switch {
	case c.Stalled:
		return "stalled", ""
	case c.Failure != "":
		return "FAILED", ""
	case !ok && strings.HasPrefix(name, "p"):
		return "too few", "us"
	case !ok:
		return "-", ""
	}
	value, unit := humane(m.Median, m.Unit)
	if m.Together {
		return digits(value) + " of all", unit
	}
	return fmt.Sprintf("%s ±%.0f%%", digits(value), 100*m.Spread()), unit
}

// humane scales what people do not count in ones.
func humane(v float64, unit string) (float64, string) {
	if unit == "bit/s" {
		return v / 1e9, "Gbit/s"
	}
	return v, unit
}

// digits writes three digits that count, and no exponent.
func digits(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 100 || a == 0:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
