package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// A fair share is a Jain index of fairEnough, in fairWindows windows one after the other. A
// window is long enough for a sawtooth to show its mean rather than its phase.
const (
	fairEnough  = 0.9
	fairWindows = 3
	windowRTTs  = 20
	windowMin   = time.Second
)

// pace is what the flows carried in each of many windows of time.
type pace struct {
	flows  int
	window time.Duration
	last   []int64
	jain   []float64 // of each window
}

// pacing begins to measure how the flows share the link.
func (m *measurement) pacing() {
	m.pace = pace{
		flows: m.spec.Flows, last: make([]int64, m.spec.Flows),
		window: max(windowMin, windowRTTs*m.spec.Link.RTT),
	}
	// Ten thousand windows are as many as anybody needs.
	m.pace.window = max(m.pace.window, m.spec.Time/10_000)
	if m.spec.Flows > 1 {
		m.after(m.pace.window, m.paced)
	}
}

// paced ends a window.
func (m *measurement) paced(mono.Time) {
	p := &m.pace
	share := make([]float64, 0, p.flows)
	for i, f := range m.flows[:p.flows] {
		n := f.server.read
		share = append(share, float64(n-p.last[i]))
		p.last[i] = n
	}
	p.jain = append(p.jain, jain(share))
	m.after(p.window, m.paced)
}

// lastStart is when the last flow opened.
func (m *measurement) lastStart() time.Duration {
	last := time.Duration(0)
	for _, f := range m.flows[:m.spec.Flows] {
		last = max(last, f.start)
	}
	return last
}

// converged returns how long after the last flow opened all had a fair share; nil: they had
// not before the end.
func (p *pace) converged(last, end time.Duration) *float64 {
	first := int((last + p.window - 1) / p.window)
	run := 0
	for i := first; i < len(p.jain); i++ {
		if run++; p.jain[i] < fairEnough {
			run = 0
		}
		if run == fairWindows {
			at := time.Duration(i+1-fairWindows) * p.window
			s := round(max(0, min(at, end)-last).Seconds())
			return &s
		}
	}
	return nil
}
