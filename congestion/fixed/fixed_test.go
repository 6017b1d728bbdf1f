package fixed_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/congestion/fixed"
)

func TestConformance(t *testing.T) { congestiontest.Run(t, fixed.New) }

// The rate stays, and the window has room for two round trips at it.
func TestRateAndWindow(t *testing.T) {
	d := congestiontest.NewDriver(fixed.Config{Rate: 1e6}.New())
	for _, rtt := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond} {
		for _, cause := range []congestion.Cause{congestion.CauseLoss, congestion.CauseRTO, congestion.CauseECN, congestion.CauseIdle} {
			d.Congest(cause)
			d.RTT = rtt
			for range 20 {
				d.Round()
			}
			want := int(2e6*rtt.Seconds()) + 64*congestiontest.MSS
			if d.Flow.Pacing() != 1e6 || d.Cwnd() < want-2000 || d.Cwnd() > want+2000 {
				t.Errorf("round trip %v, after %v: pacing %d, cwnd %d; want 1000000, %d", rtt, cause, d.Flow.Pacing(), d.Cwnd(), want)
			}
		}
	}
}
