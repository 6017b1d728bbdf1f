package report

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
)

//go:embed page.html
var pageText string

// page is what the template gets.
type page struct {
	Report   *Report
	Bars     *bars // nil: none
	Tables   []*table
	Failures []string
	Plots    []plot
}

// bars is the table of them.
type bars struct {
	Header []string
	Lines  [][]string
}

// WriteHTML writes a page that has all it needs in itself, and follows the reader's choice
// of light or dark.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("report: write page: %w", err)
	}
	p := page{Report: r, Tables: r.tables()}
	if len(r.Bars) > 0 {
		p.Bars = new(bars)
		p.Bars.Header, p.Bars.Lines = barTable(r.Bars)
	}
	if p.Plots, err = r.plots(); err != nil {
		return err
	}
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			if c.Failure != "" {
				p.Failures = append(p.Failures, fmt.Sprintf("FAILED %s %s: %s", row.Name, c.Stack, c.Failure))
			}
		}
	}
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: write page: %w", err)
	}
	return nil
}
