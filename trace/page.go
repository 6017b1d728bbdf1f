package trace

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

// Page collects the entries of flows, and draws them: one file of HTML that needs no network
// and no other file, with its plots in SVG.
type Page struct {
	Title    string
	Subtitle string
	Facts    []Fact  // beneath the title
	Tables   []Table // beneath the plots
	MSS      int     // the windows are drawn in segments of so many octets; 0: in octets
	Capacity func(at time.Duration) float64

	flows []*series
	more  int     // flows that are not kept
	wait  []point // of the queue, ms
	plots []plot
	to    time.Duration
	grows bool // where it ends was not known
}

// Fact is a number in large letters.
type Fact struct{ Name, Value, Note string }

// Table is a table of text. The first columns are words, as many as Words says and at least
// one; the others are numbers.
type Table struct {
	Title string
	Note  string
	Words int
	Head  []string
	Rows  [][]string
	Marks []string // of rows: "pass", "fail" or ""
}

// series is what was seen of one flow.
type series struct {
	name                     string
	cwnd, ssthresh, inflight []point
	rtt, rate                []point
	states                   []state // what the algorithm shows
	bands                    []band
	open                     congestion.Recovery
	since                    time.Duration
	rated                    Row // at the last point of rate
	stride, skipped          int // of stride+1 ticks all but one are skipped
}

// Limits of a page: flows with a plot of their own, flows that are drawn at all, and points
// of a series: 6 of 50,000 are 5 MB, and those of the algorithm as much again, and more. When they are too many, every other one goes.
const (
	pageWindowsMax = 8
	pageFlowsMax   = 32
	pagePointsMax  = 50_000
)

// Throughput is drawn with about rateSteps points, or with one each rateStep if it is not
// known how long the trace will be.
const (
	rateSteps = 150
	rateStep  = 100 * time.Millisecond
)

// NewPage begins a page about a trace that ends at a time, or if that is 0, when it does.
func NewPage(title string, to time.Duration) *Page {
	return &Page{Title: title, to: to, grows: to == 0}
}

// Flow names a flow.
func (p *Page) Flow(flow int, name string) {
	if flow < pageFlowsMax {
		p.series(flow).name = name
	}
}

func (p *Page) series(flow int) *series {
	for len(p.flows) <= flow {
		p.flows = append(p.flows, &series{name: fmt.Sprintf("flow %d", len(p.flows))})
	}
	return p.flows[flow]
}

// Put takes an entry.
func (p *Page) Put(e *Entry) {
	if e.Flow >= pageFlowsMax {
		p.more = max(p.more, e.Flow+1-pageFlowsMax)
		return
	}
	s := p.series(e.Flow)
	if e.Recovery != s.open {
		s.close(e.At)
		s.open, s.since = e.Recovery, e.At
	}
	if !e.Tick || s.passes() {
		return
	}
	p.to = max(p.to, e.At)
	t := e.At.Seconds()
	if e.Flow == 0 {
		if len(p.wait) >= pagePointsMax {
			p.wait = halved(p.wait)
		}
		p.wait = append(p.wait, point{t, float64(e.QueueDelay) / 1e6})
	}
	if e.Cwnd == 0 {
		return // it is not open
	}
	if len(s.cwnd) >= pagePointsMax {
		s.halve()
	}
	s.cwnd = append(s.cwnd, point{t, p.segments(e.Cwnd)})
	if e.Ssthresh < math.MaxInt32 {
		s.ssthresh = append(s.ssthresh, point{t, p.segments(e.Ssthresh)})
	}
	s.inflight = append(s.inflight, point{t, p.segments(e.InFlight)})
	s.addStates(t, e.Values)
	if e.SRTT > 0 {
		s.rtt = append(s.rtt, point{t, float64(e.SRTT) / 1e6})
	}
	step := max(p.to/rateSteps, 2*e.SRTT)
	if p.grows {
		step = max(step, rateStep)
	}
	if e.At >= s.rated.At+step {
		mbps := float64(e.Delivered-s.rated.Delivered) * 8 / (e.At - s.rated.At).Seconds() / 1e6
		s.rate = append(s.rate, point{t, mbps})
		s.rated = e.Row
	}
}

// passes says whether a tick is to be passed over.
func (s *series) passes() bool {
	if s.skipped++; s.skipped <= s.stride {
		return true
	}
	s.skipped = 0
	return false
}

// halve leaves out every other point, of those that come, too.
func (s *series) halve() {
	for _, p := range []*[]point{&s.cwnd, &s.ssthresh, &s.inflight, &s.rtt, &s.rate} {
		*p = halved(*p)
	}
	for i := range s.states {
		s.states[i].points = halved(s.states[i].points)
	}
	s.stride = 2*s.stride + 1
}

// halved leaves of each two points the higher one.
func halved(points []point) []point {
	n := 0
	for i := 0; i+1 < len(points); i += 2 {
		points[n] = points[i]
		if points[i+1].y > points[i].y {
			points[n] = points[i+1]
		}
		n++
	}
	return points[:n]
}

// close ends the band of an episode.
func (s *series) close(at time.Duration) {
	class := map[congestion.Recovery]string{congestion.RecoveryFast: "fast", congestion.RecoveryLoss: "loss"}[s.open]
	if class != "" && len(s.bands) < pagePointsMax {
		s.bands = append(s.bands, band{s.since.Seconds(), at.Seconds(), class})
	}
}

func (p *Page) segments(octets int) float64 {
	if p.MSS == 0 {
		return float64(octets) / 1000
	}
	return float64(octets) / float64(p.MSS)
}

// Scatter adds a plot of algorithms: what they carry over what delay they cause.
func (p *Page) Scatter(title, note string, dots []Dot) {
	q := plot{
		title: title, note: note, xName: "queueing delay, 95th percentile (ms)", yName: "throughput (Mbit/s)",
		xUnit: "ms", yUnit: "Mbit/s", width: 900, height: 420,
	}
	for i, d := range dots {
		q.dots = append(q.dots, dot{d.Name, i, point{d.Delay, d.Rate}, d.DelayCI, d.RateCI})
	}
	p.plots = append(p.plots, q)
}

// Dot is one algorithm in a Scatter, with the half widths of its confidence intervals.
type Dot struct {
	Name            string
	Delay, Rate     float64 // ms, Mbit/s
	DelayCI, RateCI float64
}

// windows draws the windows of each flow.
func (p *Page) windows() []plot {
	unit := "segments"
	if p.MSS == 0 {
		unit = "kB"
	}
	var plots []plot
	for i, s := range p.flows[:min(len(p.flows), pageWindowsMax)] {
		s.close(p.to)
		s.open = congestion.RecoveryNone
		q := plot{
			title: "Window of " + s.name, xName: "time (s)", yName: unit, xUnit: "s", yUnit: unit, width: 900, height: 260,
			xMax: p.to.Seconds(), bands: s.bands,
		}
		// An initial ssthresh far above all windows would press them flat.
		top := 0.0
		for _, c := range s.cwnd {
			top = max(top, c.y)
		}
		q.yMax = 1.08 * top
		var ssthresh []point
		for _, c := range s.ssthresh {
			if c.y <= q.yMax {
				ssthresh = append(ssthresh, c)
			}
		}
		q.lines = []line{
			{"in flight", i, "area", s.inflight}, {"ssthresh", i, "dash step", ssthresh}, {"cwnd", i, "", s.cwnd},
		}
		plots = append(plots, q)
	}
	if len(plots) > 0 {
		plots[0].note = "Solid: cwnd; dashed: ssthresh; filled: in flight. Shaded: fast recovery, and darker after a time-out."
	}
	if n := len(p.flows) + p.more - pageWindowsMax; n > 0 {
		plots[len(plots)-1].note += fmt.Sprintf(" (The windows of %d more flows are not drawn.)", n)
	}
	return plots
}

// all makes the plots of a trace.
func (p *Page) all() []plot {
	rate := plot{title: "Throughput", xName: "time (s)", yName: "Mbit/s", xUnit: "s", yUnit: "Mbit/s", width: 900, height: 260, xMax: p.to.Seconds()}
	rtt := plot{title: "Smoothed round trip", xName: "time (s)", yName: "ms", xUnit: "s", yUnit: "ms", width: 900, height: 220, xMax: p.to.Seconds()}
	for i, s := range p.flows {
		rate.lines = append(rate.lines, line{s.name, i, "", s.rate})
		rtt.lines = append(rtt.lines, line{s.name, i, "", s.rtt})
	}
	if p.Capacity != nil {
		c := line{name: "link", class: "limit step"}
		for i := range rateSteps + 1 {
			at := p.to * time.Duration(i) / rateSteps
			c.points = append(c.points, point{at.Seconds(), p.Capacity(at) / 1e6})
		}
		rate.lines = append(rate.lines, c)
		rate.note = "Dashed: what the link's rate leaves for payload."
	}
	plots := append([]plot(nil), p.plots...)
	if len(p.flows) == 0 {
		return plots
	}
	plots = append(plots, p.windows()...)
	plots = append(plots, rate)
	queued := plot{title: "Queueing delay", xName: "time (s)", yName: "ms", xUnit: "s", yUnit: "ms", width: 900, height: 220, xMax: p.to.Seconds()}
	queued.lines = []line{{"queue", 0, "area queue", p.wait}}
	for _, w := range p.wait {
		if w.y > 0 {
			plots = append(plots, queued)
			break
		}
	}
	return append(append(plots, rtt), p.statePlots()...)
}

// drawing is a plot as the page shows it.
type drawing struct {
	Title, Note string
	Legend      []key
	SVG         template.HTML
}

type key struct {
	Name  string
	Color int
	Class string
}

func (p *plot) drawing() drawing {
	d := drawing{Title: p.title, Note: p.note}
	if len(p.lines) > 1 {
		for _, l := range p.lines {
			d.Legend = append(d.Legend, key{l.name, l.color % paletteLen, l.class})
		}
	}
	d.SVG = template.HTML(p.svg()) // every text in it was escaped
	return d
}

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	var drawings []drawing
	for _, q := range p.all() {
		drawings = append(drawings, q.drawing())
	}
	err := pageTemplate.Execute(w, map[string]any{
		"Page": p, "Plots": drawings, "CSS": template.CSS(pageCSS), "JS": template.JS(pageJS),
	})
	if err != nil {
		return fmt.Errorf("trace: write page: %w", err)
	}
	return nil
}
