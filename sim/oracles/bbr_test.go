package oracles

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/sim"
)

const bbrSource = "BBR"

func utilization(r *sim.Result) float64 { return r.Link.Utilization }

// Random loss says nothing of congestion: who goes by it collapses, who goes by the bandwidth
// keeps nearly all that is not lost. BBR version 3 gives way beyond 2 % by design, and
// in each round with loss between its probes by what the margin comes to.
func TestOracleBBRRandomLoss(t *testing.T) {
	run := func(cc string, p float64) float64 {
		return mean(runs(t, fmt.Sprintf("rate=100mbit,rtt=100ms,queue=1bdp,loss=%g", p), cc, 20*time.Second, nil), utilization)
	}
	what := func(cc string, p float64) string { return fmt.Sprintf("utilization of %s at a loss of %g", cc, p) }
	for _, p := range []float64{0.01, 0.02, 0.05} {
		oracle.Within(t, bbrSource, what("bbr1", p), 0.9*(1-p), 1, run("bbr1", p))
	}
	for _, p := range []float64{0.001, 0.01} {
		oracle.Within(t, bbrSource, what("bbr", p), 0.88*(1-p), 1, run("bbr", p))
	}
	for _, cc := range []string{"reno", "cubic"} {
		oracle.Within(t, bbrSource, what(cc, 0.01), 0, 0.05, run(cc, 0.01))
	}
}

// A queue of four BDP is filled by who waits for loss, and not by who knows the path.
func TestOracleBBRQueue(t *testing.T) {
	p95 := func(cc string) float64 {
		return mean(runs(t, "rate=50mbit,rtt=50ms,queue=4bdp", cc, 30*time.Second, nil),
			func(r *sim.Result) float64 { return r.Link.QueueMillis.P95 })
	}
	cubic := p95("cubic")
	for _, cc := range []string{"bbr", "bbr1"} {
		oracle.Within(t, bbrSource, "p95 of the queue's delay of "+cc+", ms, where CUBIC has "+fmt.Sprintf("%.0f", cubic), 0, cubic/2, p95(cc))
	}
}

// Two flows of a kind share.
func TestOracleBBRShares(t *testing.T) {
	for _, cc := range []string{"bbr", "bbr1"} {
		jain := mean(runs(t, "rate=20mbit,rtt=50ms,queue=2bdp", cc, time.Minute, func(s *sim.Spec) { s.Flows = 2 }),
			func(r *sim.Result) float64 { return r.Jain })
		oracle.Within(t, bbrSource, "Jain's index of two flows of "+cc, 0.9, 1, jain)
	}
}
