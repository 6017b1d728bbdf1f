package report

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/go-analyze/charts"
)

// plot is a picture in both themes, as SVG.
type plot struct {
	Title       string
	Light, Dark template.HTML
}

// chart is what a plot shows: a group of bars for each label, or a line through them.
type chart struct {
	title  string
	labels []string
	stacks []string
	values [][]float64 // by stack and label
	lines  bool
}

// The size of a plot, in the units of SVG, which the page scales.
const (
	plotWidth  = 860
	plotHeight = 360
)

// draw draws a chart in a theme.
func (c chart) draw(theme string) (template.HTML, error) {
	opts := []charts.OptionFunc{
		charts.SVGOutputOptionFunc(), charts.DimensionsOptionFunc(plotWidth, plotHeight),
		charts.ThemeOptionFunc(charts.GetTheme(theme).WithBackgroundColor(charts.ColorTransparent)),
		charts.LegendOptionFunc(charts.LegendOption{SeriesNames: c.stacks}),
		charts.XAxisLabelsOptionFunc(c.labels),
		func(opt *charts.ChartOption) { opt.ValueFormatter = digits },
	}
	render := charts.BarRender
	if c.lines {
		render = charts.LineRender
	}
	p, err := render(c.values, opts...)
	if err != nil {
		return "", fmt.Errorf("report: draw %s: %w", c.title, err)
	}
	b, err := p.Bytes()
	if err != nil {
		return "", fmt.Errorf("report: draw %s: %w", c.title, err)
	}
	return template.HTML(b), nil //nolint:gosec // the library's SVG, of names and numbers that are ours
}

// plots draws what a report has to show.
func (r *Report) plots() (all []plot, err error) {
	for _, c := range r.charts() {
		p := plot{Title: c.title}
		if p.Light, err = c.draw(charts.ThemeLight); err != nil {
			return nil, err
		}
		if p.Dark, err = c.draw(charts.ThemeDark); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// charts are a bar chart of each kind of figure for each table of the report, and a line of
// the percentiles of each request-response.
func (r *Report) charts() (all []chart) {
	type key struct{ table, metric string }
	index := make(map[key]int)
	for _, row := range r.Rows {
		stacks := stacksOf(row)
		table := row.Link.String() + strings.Join(stacks, " ")
		for _, metric := range []string{Throughput, Rate, CPU, Resident} {
			m, ok := anyMetric(row, metric)
			// Of messages there are the percentiles; their rate is that again.
			if !ok || metric == Rate && row.Work == "rr" {
				continue
			}
			_, unit := humane(m.Median, m.Unit)
			k := key{table, metric + unit}
			i, known := index[k]
			if !known {
				i = len(all)
				index[k] = i
				all = append(all, chart{
					title: fmt.Sprintf("%s: %s, %s", linkTitle(row), metric, unit), stacks: stacks,
					values: make([][]float64, len(stacks)),
				})
			}
			all[i].add(row, metric, row.Title)
		}
		if row.Work == "rr" {
			c := chart{
				title: fmt.Sprintf("%s: %s, µs", linkTitle(row), row.Title), stacks: stacks,
				values: make([][]float64, len(stacks)), lines: true,
			}
			for _, p := range strings.Fields(percentiles) {
				c.add(row, p, p)
			}
			all = append(all, c)
		}
	}
	return all
}

// add adds a figure of all stacks.
func (c *chart) add(row Row, metric, label string) {
	c.labels = append(c.labels, label)
	for i, cell := range row.Cells {
		v := charts.GetNullValue()
		if m, ok := cell.Metric(metric); ok {
			v, _ = humane(m.Median, m.Unit)
		}
		c.values[i] = append(c.values[i], v)
	}
}

func stacksOf(row Row) (stacks []string) {
	for _, c := range row.Cells {
		stacks = append(stacks, c.Stack)
	}
	return stacks
}

// anyMetric returns a figure of the first stack that has it.
func anyMetric(row Row, name string) (Metric, bool) {
	for _, c := range row.Cells {
		if m, ok := c.Metric(name); ok {
			return m, true
		}
	}
	return Metric{}, false
}
