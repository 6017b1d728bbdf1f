package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/loader"
)

// Modes is which of the modes in which this stack can open an interface was found the best.
type Modes struct {
	Driver string `json:"driver"`
	// Best is empty if none of them works.
	Best  string               `json:"best"`
	Modes []loader.ModeFigures `json:"modes"`
}

// modesAlike is how far apart the speeds of two modes may be, as a share, and still say nothing: the
// medians of five runs come back within that on two shared processors. Then the cost decides.
const modesAlike = 0.05

// JudgeModes finds the best of the modes that were measured. Speed is the geometric mean of three
// rates, receiving, sending and messages; cost is that of what the processors took for a unit of
// each. The fastest is the best; of those that are about as fast, the one that costs least.
func (r *Report) JudgeModes(driver string) *Modes {
	m := &Modes{Driver: driver, Modes: []loader.ModeFigures{}}
	fastest, least := 0.0, math.Inf(1)
	for _, stack := range []string{testbed.MillraceZeroCopy, testbed.MillraceNative, testbed.MillraceGeneric} {
		f, measured := r.figuresOf(stack)
		if !measured {
			continue
		}
		m.Modes = append(m.Modes, f)
		if f.Refused == "" {
			fastest, least = max(fastest, speed(f)), min(least, f.Cost)
		}
	}
	cheapest := math.Inf(1)
	for i := range m.Modes {
		f := &m.Modes[i]
		if f.Refused != "" {
			continue
		}
		if speed(*f) >= (1-modesAlike)*fastest && f.Cost < cheapest {
			m.Best, cheapest = f.Mode, f.Cost
		}
		if least > 0 {
			f.Cost /= least
		}
	}
	return m
}

func speed(f loader.ModeFigures) float64 { return math.Cbrt(f.Receive * f.Send * f.Rate) }

// figuresOf returns what the rows have of a stack, and whether they have any. A mode that failed in
// one of them is refused.
func (r *Report) figuresOf(stack string) (f loader.ModeFigures, measured bool) {
	f.Mode, f.Cost = testbed.ModeOf(stack), 1
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			if c.Stack != stack {
				continue
			}
			measured = true
			if c.Failure != "" {
				f.Refused = c.Failure
				continue
			}
			switch bits, _ := c.Metric(Throughput); row.Work {
			case "bulk-receive":
				f.Receive = bits.Median
			case "bulk-send":
				f.Send = bits.Median
			default:
				rate, _ := c.Metric(Rate)
				f.Rate = rate.Median
			}
			cost, _ := c.Metric(CPU)
			f.Cost *= math.Cbrt(cost.Median)
		}
	}
	return f, measured
}

// String says what was found, a line a mode.
func (m *Modes) String() string {
	var b strings.Builder
	for _, f := range m.Modes {
		if f.Refused != "" {
			fmt.Fprintf(&b, "%-9s refused: %s\n", f.Mode, f.Refused)
			continue
		}
		fmt.Fprintf(&b, "%-9s %v, cost %.2f\n", f.Mode, f, f.Cost)
	}
	if m.Best == "" {
		return b.String() + "none of the modes works\n"
	}
	fmt.Fprintf(&b, "the best for %s: %s\n", m.Driver, m.Best)
	return b.String()
}
