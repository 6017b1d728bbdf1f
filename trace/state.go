package trace

import (
	"fmt"

	"github.com/millrace-tcp/millrace/congestion"
)

// pageStatesMax bounds the plots of what algorithms show of their state: one for each name.
const pageStatesMax = 12

// state is a number that an algorithm shows, over time.
type state struct {
	name   string
	points []point
}

// addStates keeps the numbers of a tick. What is shown in words is for tables.
func (s *series) addStates(t float64, values []congestion.Value) {
	for i, v := range values {
		if v.Text != "" {
			continue
		}
		if st := s.stateOf(i, v.Name); st != nil {
			st.points = append(st.points, point{t, v.Number})
		}
	}
}

// stateOf finds the state of a name, which as a rule was the i-th before, too. It is nil for the
// names that are too many.
func (s *series) stateOf(i int, name string) *state {
	if i < len(s.states) && s.states[i].name == name {
		return &s.states[i]
	}
	for j := range s.states {
		if s.states[j].name == name {
			return &s.states[j]
		}
	}
	if len(s.states) >= congestion.InspectMax {
		return nil
	}
	s.states = append(s.states, state{name: name})
	return &s.states[len(s.states)-1]
}

// statePlots draws a plot for each name, with a line for each flow that has it.
func (p *Page) statePlots() []plot {
	var plots []plot
	index := make(map[string]int)
	left := 0
	for i, s := range p.flows {
		for _, st := range s.states {
			at, ok := index[st.name]
			switch {
			case !ok && len(plots) == pageStatesMax:
				left++
				continue
			case !ok:
				at = len(plots)
				index[st.name] = at
				plots = append(plots, plot{
					title: "State: " + st.name, xName: "time (s)", xUnit: "s",
					width: 900, height: 170, xMax: p.to.Seconds(),
				})
			}
			plots[at].lines = append(plots[at].lines, line{s.name, i, "step", st.points})
		}
	}
	for i := range plots {
		if q := &plots[i]; len(q.lines) == 1 { // it has no legend
			q.title += " of " + q.lines[0].name
		}
	}
	if left > 0 {
		plots[len(plots)-1].note = fmt.Sprintf("(%d more lines of other names are not drawn.)", left)
	}
	return plots
}
