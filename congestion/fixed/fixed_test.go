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

// The rate can be changed while it runs, and nothing else can.
func TestConfigure(t *testing.T) {
	x, _ := fixed.New().(congestion.Configurable)
	f := &congestion.Flow{MSS: 1000, IW: 10000}
	if err := x.Configure(f, "rate", "8"); err != nil || f.Pacing() != 1_000_000 {
		t.Errorf("8 Mbit/s: %v, paces at %d octets a second", err, f.Pacing())
	}
	for _, bad := range [][2]string{{"rate", "fast"}, {"rate", "-1"}, {"rate", "NaN"}, {"rate", "0"}, {"cwnd", "1"}} {
		if err := x.Configure(f, bad[0], bad[1]); err == nil || f.Pacing() != 1_000_000 {
			t.Errorf("%s=%s: %v, paces at %d", bad[0], bad[1], err, f.Pacing())
		}
	}
}
