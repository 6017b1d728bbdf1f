package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace-tcp/millrace/bench/testbed"
)

// The marks of a file between which its table of figures stands.
const (
	MarkBegin = "<!-- bench: begin -->\n"
	MarkEnd   = "<!-- bench: end -->\n"
)

// Into returns a text in which what is between the marks is replaced by the report.
func (r *Report) Into(text []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(text, []byte(MarkBegin))
	_, after, ended := bytes.Cut(rest, []byte(MarkEnd))
	if !ok || !ended {
		return nil, errors.New("report: write into text: there are no marks " + strings.TrimSpace(MarkBegin) + " and " + strings.TrimSpace(MarkEnd))
	}
	var b bytes.Buffer
	b.Write(before)
	b.WriteString(MarkBegin)
	_ = r.WriteMarkdown(&b) // a buffer takes all
	b.WriteString(MarkEnd)
	b.Write(after)
	return b.Bytes(), nil
}

// WriteMarkdown writes what the project shows of its speed: how it was measured, the figures
// that are most asked for, and the bars.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %.0f minutes on %v, %s: medians of %d interleaved runs of %v s, and half of their range.\n",
		r.Command, r.Seconds/60, r.Machine, r.Started.UTC().Format("2006-01-02"), r.Rounds, r.RunSeconds)
	stacks := []string{
		testbed.Millrace, testbed.MillraceInPlace, testbed.MillraceHandler, testbed.MillraceBoth, testbed.KernelXDP, testbed.Kernel,
		testbed.GVisorXDP, testbed.GVisorPacket, testbed.GVisor, testbed.Core, testbed.Raw, testbed.MemoryCopy,
	}
	var lines [][]string
	for _, s := range shownFigures() {
		if line, ok := r.figureLine(s, stacks); ok {
			lines = append(lines, line)
		}
	}
	header := append([]string{"a veth, MTU 1500, one queue, unless it is said"}, stacks...)
	writeMarkdown(&b, header, lines)
	if len(r.Bars) > 0 {
		b.WriteString("\nThe bars that the project has set itself:\n")
		header, lines := barTable(r.Bars)
		for _, line := range lines {
			for i, cell := range line {
				if strings.HasSuffix(cell, " NOT met") {
					line[i] = "**" + cell + "**"
				}
			}
		}
		writeMarkdown(&b, header, lines)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("report: write Markdown: %w", err)
	}
	return nil
}

// shownFigure is a line of the figures: a metric of a row, which every stack may have.
type shownFigure struct {
	title string
	figure
}

func shownFigures() (all []shownFigure) {
	for _, mtu := range []int{1500, 9000, 65000} {
		for _, way := range []string{"receive", "send"} {
			f := bulk(mtu, "bulk-"+way)
			title := "bulk " + way + ", Gbit/s"
			if mtu > 1500 {
				title = fmt.Sprintf("MTU %d, %s", mtu, title)
			}
			all = append(all, shownFigure{title, f})
			if mtu == 1500 {
				f.flows = 64
				all = append(all, shownFigure{"64 flows, " + title, f})
			}
		}
	}
	for _, p := range []string{"p50", "p99", "p99.99"} {
		all = append(all, shownFigure{"1 octet there and back, " + p + ", µs", figure{testbed.Lab, 1500, 1, "rr", 1, 1, "", p}})
	}
	return append(all,
		shownFigure{"connect, ask, close, 1/s", figure{testbed.Lab, 1500, 1, "crr", 1, 1, "", Rate}},
		shownFigure{"net/http hello, wrk -c64, 1/s", figure{testbed.Lab, 1500, 1, "http", 64, 0, "", Rate}},
		shownFigure{"in memory, bulk, Gbit/s", figure{testbed.Pipe, 1500, 0, "bulk-receive", 1, 0, "", Throughput}},
		shownFigure{"in memory, a segment of both ends, ns", figure{testbed.Pipe, 1500, 0, "bulk-receive", 1, 0, "", Segment}},
		shownFigure{"in memory, 1 octet there and back, p50, µs", figure{testbed.Pipe, 1500, 0, "rr", 1, 1, "", "p50"}},
		shownFigure{fmt.Sprintf("%d idle connections, KiB each", IdleConns), figure{testbed.Lab, 1500, 1, "idle", IdleConns, 0, "", Resident}},
		shownFigure{fmt.Sprintf("%d idle connections, %% of a core", IdleConns), figure{testbed.Lab, 1500, 1, "idle", IdleConns, 0, "", CPUServer}})
}

// figureLine is the line of a figure; not if no stack has it.
func (r *Report) figureLine(s shownFigure, stacks []string) (line []string, ok bool) {
	line = []string{s.title}
	for _, stack := range stacks {
		cell := "–"
		if c, found := r.cell(s.on(stack)); found {
			_, has := c.Metric(s.metric)
			ok = ok || has
			if has || c.Failure != "" {
				cell, _ = shownOf(c, s.metric)
			}
		}
		line = append(line, cell)
	}
	return line, ok
}

// writeMarkdown writes a table. A column in which nothing is, is left out.
func writeMarkdown(b *strings.Builder, header []string, lines [][]string) {
	var kept []int
	for i := range header {
		if i == 0 || slices.ContainsFunc(lines, func(l []string) bool { return l[i] != "–" && l[i] != "" }) {
			kept = append(kept, i)
		}
	}
	row := func(cells []string) {
		for _, i := range kept {
			b.WriteString("| " + cells[i] + " ")
		}
		b.WriteString("|\n")
	}
	b.WriteByte('\n')
	row(header)
	b.WriteString(strings.Repeat("|---", len(kept)) + "|\n")
	for _, l := range lines {
		row(l)
	}
}
