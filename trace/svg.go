package trace

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// point is a point of a plot, in the units of its axes.
type point struct{ x, y float64 }

// line is a series of a plot.
type line struct {
	name   string
	color  int    // of the palette, from 0 on
	class  string // for the style sheet; "area" in front fills it, "step" behind draws steps
	points []point
}

// band is a shaded stretch of the x axis.
type band struct {
	from, to float64
	class    string // "fast" or "loss"
}

// plot is a diagram with two axes that both begin at 0.
type plot struct {
	title, note  string
	xName, yName string
	xUnit, yUnit string
	width        int
	height       int
	xMax, yMax   float64 // 0: what the lines need; what is above yMax is not drawn
	lines        []line
	bands        []band
	dots         []dot
}

// dot is a named point with the half widths of its confidence intervals.
type dot struct {
	name   string
	color  int
	at     point
	dx, dy float64
}

// Margins of a plot, for the numbers at its axes.
const (
	marginLeft   = 64
	marginRight  = 16
	marginTop    = 12
	marginBottom = 40
)

func (p *plot) fit() {
	fixed := p.yMax > 0
	grow := func(q point) {
		if !fixed && !math.IsInf(q.y, 0) && !math.IsNaN(q.y) {
			p.yMax = max(p.yMax, q.y*1.05)
		}
	}
	for _, l := range p.lines {
		for _, q := range l.points {
			grow(q)
			p.xMax = max(p.xMax, q.x)
		}
	}
	for _, d := range p.dots {
		grow(point{0, (d.at.y + d.dy) * 1.05})
		p.xMax = max(p.xMax, (d.at.x+d.dx)*1.15)
	}
	if p.xMax == 0 {
		p.xMax = 1
	}
	if p.yMax == 0 {
		p.yMax = 1
	}
}

// x and y are where a value lies in the picture.
func (p *plot) x(v float64) float64 {
	return marginLeft + v/p.xMax*float64(p.width-marginLeft-marginRight)
}

func (p *plot) y(v float64) float64 {
	h := float64(p.height - marginTop - marginBottom)
	return marginTop + h - min(max(v/p.yMax, 0), 1)*h
}

// svg draws the plot. The numbers that a script needs to read values back stand in data
// attributes.
func (p *plot) svg() string {
	p.fit()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s" data-x="%s" data-y="%s" data-plot="%d %d %d %d">`,
		p.width, p.height, html.EscapeString(p.title), num(p.xMax)+" "+p.xUnit, num(p.yMax)+" "+p.yUnit,
		marginLeft, marginTop, p.width-marginRight, p.height-marginBottom)
	for _, s := range p.bands {
		from, to := p.x(s.from), p.x(min(s.to, p.xMax))
		fmt.Fprintf(&b, `<rect class="band %s" x="%s" y="%d" width="%s" height="%d"/>`,
			s.class, num(from), marginTop, num(max(to-from, 0.7)), p.height-marginTop-marginBottom)
	}
	p.axes(&b)
	for i := range p.lines {
		p.draw(&b, &p.lines[i])
	}
	p.drawDots(&b)
	b.WriteString(`<line class="cursor" y1="0" y2="0"/></svg>`)
	return b.String()
}

func (p *plot) axes(b *strings.Builder) {
	bottom := p.height - marginBottom
	for _, v := range ticks(p.yMax, max(3, p.height/45)) {
		y := num(p.y(v))
		fmt.Fprintf(b, `<line class="grid" x1="%d" x2="%d" y1="%s" y2="%s"/><text class="tick end" x="%d" y="%s" dy="0.32em">%s</text>`,
			marginLeft, p.width-marginRight, y, y, marginLeft-8, y, label(v))
	}
	for _, v := range ticks(p.xMax, max(4, p.width/90)) {
		fmt.Fprintf(b, `<text class="tick mid" x="%s" y="%d">%s</text>`, num(p.x(v)), bottom+18, label(v))
	}
	fmt.Fprintf(b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, marginLeft, p.width-marginRight, bottom, bottom)
	fmt.Fprintf(b, `<text class="name end" x="%d" y="%d">%s</text>`, p.width-marginRight, bottom+34, html.EscapeString(p.xName))
	fmt.Fprintf(b, `<text class="name end" transform="translate(14 %d) rotate(-90)">%s</text>`, marginTop, html.EscapeString(p.yName))
}

func (p *plot) draw(b *strings.Builder, l *line) {
	points := thin(l.points, p.xMax, p.width-marginLeft-marginRight)
	if len(points) == 0 {
		return
	}
	area, step := strings.HasPrefix(l.class, "area"), strings.HasSuffix(l.class, "step")
	tag := "polyline"
	if area {
		tag = "polygon"
	}
	fmt.Fprintf(b, `<%s class="line c%d %s" data-name="%s" points="`, tag, l.color%paletteLen, l.class, html.EscapeString(l.name))
	if area {
		fmt.Fprintf(b, "%s,%s ", num(p.x(points[0].x)), num(p.y(0)))
	}
	for i, q := range points {
		if step && i > 0 {
			fmt.Fprintf(b, "%s,%s ", num(p.x(q.x)), num(p.y(points[i-1].y)))
		}
		fmt.Fprintf(b, "%s,%s ", num(p.x(q.x)), num(p.y(q.y)))
	}
	if area {
		fmt.Fprintf(b, "%s,%s ", num(p.x(points[len(points)-1].x)), num(p.y(0)))
	}
	b.WriteString(`"/>`)
}

// drawDots draws the points with their names, each where there is room for it.
func (p *plot) drawDots(b *strings.Builder) {
	var taken []box
	for _, d := range p.dots {
		x, y := p.x(d.at.x), p.y(d.at.y)
		taken = append(taken, box{x - 7, y - 7, x + 7, y + 7})
	}
	for _, d := range p.dots {
		x, y := p.x(d.at.x), p.y(d.at.y)
		fmt.Fprintf(b, `<g class="dot c%d">`, d.color%paletteLen)
		if d.dx > 0 {
			fmt.Fprintf(b, `<line class="bar" x1="%s" x2="%s" y1="%s" y2="%s"/>`, num(p.x(max(0, d.at.x-d.dx))), num(p.x(d.at.x+d.dx)), num(y), num(y))
		}
		if d.dy > 0 {
			fmt.Fprintf(b, `<line class="bar" x1="%s" x2="%s" y1="%s" y2="%s"/>`, num(x), num(x), num(p.y(d.at.y-d.dy)), num(p.y(d.at.y+d.dy)))
		}
		l := p.place(x, y, float64(len(d.name))*labelWidth, taken)
		taken = append(taken, l)
		if l.bottom < y-20 || l.top > y+12 {
			fmt.Fprintf(b, `<line class="lead" x1="%s" x2="%s" y1="%s" y2="%s"/>`, num(x), num((l.left+l.right)/2), num(y), num((l.top+l.bottom)/2))
		}
		fmt.Fprintf(b, `<circle cx="%s" cy="%s" r="6"/><text class="label" x="%s" y="%s">%s</text></g>`,
			num(x), num(y), num(l.left), num(l.bottom-4), html.EscapeString(d.name))
	}
}

// box is a part of the picture.
type box struct{ left, top, right, bottom float64 }

func (a box) meets(o box) bool {
	return a.left < o.right && o.left < a.right && a.top < o.bottom && o.top < a.bottom
}

// How large a name is in the picture, about.
const (
	labelWidth  = 8.0 // a letter
	labelHeight = 17.0
)

// place finds room for a name near a point: beside it, then further and further below.
func (p *plot) place(x, y, width float64, taken []box) box {
	var l box
	for row := range 12 {
		for _, left := range []float64{x + 10, x - 10 - width} {
			top := y - labelHeight - 2 + float64(row)*labelHeight
			l = box{left, top, left + width, top + labelHeight}
			free := l.left >= marginLeft && l.right <= float64(p.width)
			for _, t := range taken {
				free = free && !l.meets(t)
			}
			if free {
				return l
			}
		}
	}
	return l
}

// paletteLen is how many colors the style sheet has.
const paletteLen = 8

// thin leaves of each column of pixels the first, the least, the largest and the last point: what
// the eye would see of all.
func thin(points []point, xMax float64, columns int) []point {
	if len(points) <= 2*columns {
		return points
	}
	out := make([]point, 0, 4*columns)
	for i := 0; i < len(points); {
		column := int(points[i].x / xMax * float64(columns))
		first, low, high := i, i, i
		for i < len(points) && int(points[i].x/xMax*float64(columns)) == column {
			if points[i].y < points[low].y {
				low = i
			}
			if points[i].y > points[high].y {
				high = i
			}
			i++
		}
		last := i - 1
		prev := -1
		for _, j := range [...]int{first, min(low, high), max(low, high), last} {
			if j > prev {
				out = append(out, points[j])
				prev = j
			}
		}
	}
	return out
}

// ticks are round numbers from 0 up to a value, about n of them.
func ticks(top float64, n int) []float64 {
	step := math.Pow(10, math.Floor(math.Log10(top/float64(n))))
	for _, m := range []float64{1, 2, 5, 10} {
		if top/(step*m) <= float64(n) {
			step *= m
			break
		}
	}
	var out []float64
	for i := 0; float64(i)*step <= top*1.0001; i++ {
		out = append(out, float64(i)*step)
	}
	return out
}

// num is a coordinate, to a hundredth.
func num(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// label is a number at an axis.
func label(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}
