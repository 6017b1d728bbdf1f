package cubic

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/internal/oracle"
)

// O6: K and W(t) after a reduction from Wmax, C = 0.4, β = 0.7, in segments.
func TestOracleCurve(t *testing.T) {
	seconds := []float64{0, 1, 2, 3, 4, 5, 6, 8, 10}
	for _, tt := range []struct {
		wMax, k float64
		w       [9]float64
	}{
		{10, 1.957434, [9]float64{7, 9.649, 10, 10.453, 13.409, 21.266, 36.426, 98.252, 218.087}},
		{100, 4.217163, [9]float64{70, 86.681, 95.640, 99.279, 99.996, 100.192, 102.267, 121.653, 177.354}},
		{1000, 9.085603, [9]float64{700, 788.555, 857.705, 909.849, 947.388, 972.721, 988.249, 999.488, 1000.306}},
		{10000, 19.574338, [9]float64{7000, 7436.697, 7828.815, 8178.754, 8488.915, 8761.698, 8999.503, 9379.776, 9648.936}},
	} {
		const mss = 1000
		e := epoch{wMax: tt.wMax * mss}
		e.begin(BetaDefault*tt.wMax*mss, CDefault*mss)
		oracle.Is(t, "O6", fmt.Sprintf("K (s) of Wmax %v", tt.wMax), tt.k, e.k.Seconds(), 1e-6)
		for i, s := range seconds {
			got := e.cubic(time.Duration(s*1e9), CDefault*mss) / mss
			oracle.Is(t, "O6", fmt.Sprintf("W(%v s) of Wmax %v", s, tt.wMax), tt.w[i], got, 1e-3)
		}
	}
}

// O6: α = 3 (1 - β) / (1 + β). A reduction at 80 segments, below a Wmax of 100, makes Wmax 68
// and K 3.107233 by fast convergence; without it Wmax is 80.
func TestOracleFastConvergence(t *testing.T) {
	const mss = 1000
	oracle.Is(t, "O6", "α", 0.529412, New().(*Cubic).alpha, 1e-6)
	for _, tt := range []struct {
		cfg     Config
		wMax, k float64
	}{{Config{}, 68, 3.107233}, {Config{NoFastConvergence: true}, 80, 3.914868}} {
		c := tt.cfg.New().(*Cubic)
		f := &congestion.Flow{MSS: mss, IW: 10 * mss, SRTT: time.Millisecond}
		c.Init(f, 0)
		for _, segments := range []int{100, 80} {
			f.SetCwnd(segments * mss)
			c.OnCongestion(f, &congestion.Congestion{Flight: segments * mss})
		}
		c.OnAck(f, &congestion.Ack{CumAcked: mss, CwndLimited: true})
		oracle.Is(t, "O6", "Wmax after reductions at 100 and 80", tt.wMax, c.now.wMax/mss, 1e-9)
		oracle.Is(t, "O6", "K (s) of that", tt.k, c.now.k.Seconds(), 1e-6)
	}
}

// What was reported by SACK beyond the holes of an episode is no window: where another episode
// follows, ssthresh would grow from loss to loss.
func TestFlightBeyondTheWindowDoesNotCount(t *testing.T) {
	const mss = 1000
	c := New().(*Cubic)
	f := &congestion.Flow{MSS: mss, IW: 10 * mss, SRTT: time.Millisecond}
	c.Init(f, 0)
	f.SetCwnd(100 * mss)
	c.OnCongestion(f, &congestion.Congestion{Flight: 180 * mss})
	if f.Ssthresh() != 70*mss {
		t.Errorf("ssthresh is %d, want 0.7 of the window", f.Ssthresh())
	}
}

// An episode that proves spurious is taken back where the window is still below what it was; who
// has grown beyond that meanwhile keeps the newer values.
func TestUndoOfAnEpisodeLongPast(t *testing.T) {
	const mss = 1000
	for _, tt := range []struct {
		cwnd int
		wMax float64
	}{{90, 200}, {110, 100 * (1 + BetaDefault) / 2}} {
		c := New().(*Cubic)
		f := &congestion.Flow{MSS: mss, IW: 10 * mss, SRTT: time.Millisecond}
		c.Init(f, 0)
		c.now.wMax = 200 * mss
		f.SetCwnd(100 * mss)
		c.OnCongestion(f, &congestion.Congestion{Flight: 100 * mss})
		f.SetCwnd(tt.cwnd * mss)
		c.Undo(f)
		if got := c.now.wMax / mss; got != tt.wMax {
			t.Errorf("a window of %d, that was 100: Wmax %v, want %v", tt.cwnd, got, tt.wMax)
		}
	}
}
