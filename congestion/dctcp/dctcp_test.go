package dctcp

import (
	"fmt"
	"testing"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
	"github.com/millrace-tcp/millrace/internal/oracle"
)

const mss = congestiontest.MSS

func TestConformance(t *testing.T) { congestiontest.Run(t, New) }

// O11: the estimate after each window of which a share is marked, g = 1/16.
func TestOracleAlpha(t *testing.T) {
	for _, tt := range []struct {
		from, share float64
		want        []float64
	}{
		{1, 0, []float64{.9375, .878906, .823975, .772476, .724196, .678934}},
		{1, .25, []float64{.953125, .909180, .867981, .829357}},
		{0, 1, []float64{.0625, .121094, .176025}},
	} {
		d := congestiontest.NewDriver(New())
		c := d.Alg.(*DCTCP)
		c.alpha = tt.from
		for i, want := range tt.want {
			d.RoundWith(func(a *congestion.Ack) { a.CEOctets = int(tt.share * float64(a.Acked)) })
			what := fmt.Sprintf("α after %d windows with %v marked, from %v", i+1, tt.share, tt.from)
			oracle.Is(t, "O11", what, want, c.alpha, 1e-6)
		}
	}
}

// O11: cwnd * (1 - α/2), once a window.
func TestOracleReduction(t *testing.T) {
	for _, tt := range []struct{ alpha, want float64 }{{1, 50}, {.5, 75}, {.0625, 96.875}, {0, 100}} {
		d := congestiontest.NewDriver(New())
		d.Alg.(*DCTCP).alpha = tt.alpha
		d.SetWindow(100*mss, 100*mss)
		d.Congest(congestion.CauseECN)
		oracle.Is(t, "O11", fmt.Sprintf("cwnd of 100 after a mark, α = %v", tt.alpha), tt.want, float64(d.Cwnd())/mss, 1e-6)
	}
}

// The first mark finds α at 1, and a loss halves whatever α is.
func TestFirstMarkAndLossHalve(t *testing.T) {
	for _, cause := range []congestion.Cause{congestion.CauseECN, congestion.CauseLoss} {
		d := congestiontest.NewDriver(New())
		d.SetWindow(100*mss, 100*mss)
		if cause == congestion.CauseLoss {
			d.Alg.(*DCTCP).alpha = 0
		}
		d.Congest(cause)
		if d.Cwnd() != 50*mss || d.Flow.Ssthresh() != 50*mss {
			t.Errorf("%v: cwnd %d, ssthresh %d; want 50000", cause, d.Cwnd(), d.Flow.Ssthresh())
		}
	}
}
