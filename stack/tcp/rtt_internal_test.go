package tcp

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/oracle"
)

// O5: SRTT, RTTVAR and RTO of RFC 6298 after each sample, G = 1 ms, before the floor.
func TestOracleEstimator(t *testing.T) {
	for _, tt := range []struct {
		name              string
		samples           []int
		srtt, rttvar, rto []float64
	}{
		{"varying", []int{100, 120, 80, 100, 100, 200},
			[]float64{100, 102.5, 99.6875, 99.726562, 99.760742, 112.290649},
			[]float64{50, 42.5, 37.5, 28.203125, 21.220703, 40.975342},
			[]float64{300, 272.5, 249.6875, 212.539, 184.644, 276.192}},
		{"constant", []int{100, 100, 100, 100, 100, 100, 100, 100},
			[]float64{100, 100, 100, 100, 100, 100, 100, 100},
			nil,
			[]float64{300, 250, 212.5, 184.375, 163.281, 147.461, 135.596, 126.697}},
	} {
		cfg := Config{RTOMin: 1}.WithDefaults()
		var e estimator
		e.init(&cfg)
		if e.timeout() != time.Second {
			t.Errorf("initial time-out %v, want 1s", e.timeout())
		}
		for i, ms := range tt.samples {
			e.sample(time.Duration(ms) * time.Millisecond)
			near(t, tt.name, "srtt", i, e.srtt, tt.srtt[i])
			near(t, tt.name, "rto", i, e.rto, tt.rto[i])
			if tt.rttvar != nil {
				near(t, tt.name, "rttvar", i, e.rttvar, tt.rttvar[i])
			}
		}
	}
}

func near(t *testing.T, name, what string, i int, got time.Duration, wantMs float64) {
	t.Helper()
	oracle.Is(t, "O5", fmt.Sprintf("%s (ms) after %s sample %d", what, name, i+1), wantMs, got.Seconds()*1000, 0.001)
}

// A steady round trip leaves no variance, and still the time-out stays clear of it: an ACK
// that a fast retransmission waits for comes a round trip after the last one.
func TestTimeoutStaysAboveSteadyRTT(t *testing.T) {
	for _, rtt := range []time.Duration{time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond} {
		cfg := Config{}.WithDefaults()
		var e estimator
		e.init(&cfg)
		for range 100 {
			e.sample(rtt)
		}
		if got, want := e.timeout(), rtt+200*time.Millisecond; got != want {
			t.Errorf("round trip %v: time-out %v, want %v", rtt, got, want)
		}
	}
}

func TestBackOffStopsAtTheCeiling(t *testing.T) {
	cfg := Config{RTOMax: 5 * time.Second}.WithDefaults()
	var e estimator
	e.init(&cfg)
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		if got := e.timeout(); got != want*time.Second {
			t.Errorf("back-off %d: %v, want %v", i, got, want*time.Second)
		}
		e.backoff++
	}
	e.backoff = 1 << 20
	if got := e.timeout(); got != 5*time.Second {
		t.Errorf("after very many: %v, want 5s", got)
	}
}
