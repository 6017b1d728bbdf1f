package congestion

import (
	"math"
	"math/bits"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// CwndMax bounds the congestion window: the largest window that TCP can have (RFC 7323,
// section 2.3) is 1 GiB; nothing above it can ever be used.
const CwndMax = 1 << 30

// SsthreshMax is the initial slow start threshold: "arbitrarily high" (RFC 5681, section 3.1).
const SsthreshMax = math.MaxInt32

// PacingMin is the least rate that is paced at, a full segment in a second and a half, and
// PacingMax the largest, 8.8 Tbit/s: what the pacer's arithmetic takes.
const (
	PacingMin = 1000
	PacingMax = 1 << 40
)

// Flow is one connection as its algorithm sees it: what the stack measured, to be read, and
// the controls, to be set by the Set methods. Octets and nanoseconds throughout.
type Flow struct {
	MSS         int // sender maximum segment size (SMSS), options not included
	IW          int // initial window
	SRTT        time.Duration
	RTTVar      time.Duration
	MinRTT      time.Duration // lowest seen; 0 before the first sample
	LatestRTT   time.Duration
	Flight      int    // octets sent and neither acknowledged nor found lost
	Delivered   uint64 // octets delivered since the connection opened
	DeliveredCE uint64 // of them, octets reported as marked CE
	Lost        uint64 // octets found lost since then, those found wrongly included
	AppLimited  uint64 // Delivered at which the application's present lack of data is past; 0: none
	SACK        bool   // the peer reports what it received out of order: more than one loss a round can be seen
	Rand        uint64 // a seed for the algorithm, different for each connection
	Established mono.Time

	cwnd     int
	ssthresh int
	pacing   int64
	quantum  int
	clamps   uint64
	absurd   bool
}

// Cwnd returns the congestion window.
func (f *Flow) Cwnd() int { return f.cwnd }

// Ssthresh returns the slow start threshold.
func (f *Flow) Ssthresh() int { return f.ssthresh }

// Pacing returns the pacing rate in octets a second; 0 means that the stack does not pace.
func (f *Flow) Pacing() int64 { return f.pacing }

// Quantum returns how many octets the pacer may send at once; 0 leaves it to the stack.
func (f *Flow) Quantum() int { return f.quantum }

// Clamps returns how many values were out of bounds and were clamped.
func (f *Flow) Clamps() uint64 { return f.clamps }

// Absurd says whether a value was set that no working algorithm sets: one below zero, which
// is what overflow and NaN come to. The stack replaces an algorithm that does.
func (f *Flow) Absurd() bool { return f.absurd }

// Measure takes over what the stack measured of another connection's, or of the same one's under
// another algorithm; the controls stay.
func (f *Flow) Measure(of *Flow) {
	kept := *f
	*f = *of
	f.cwnd, f.ssthresh, f.pacing, f.quantum = kept.cwnd, kept.ssthresh, kept.pacing, kept.quantum
	f.clamps, f.absurd = kept.clamps, kept.absurd
}

// Forgive forgets that a value was absurd.
func (f *Flow) Forgive() { f.absurd = false }

// InSlowStart says whether cwnd is below ssthresh.
func (f *Flow) InSlowStart() bool { return f.cwnd < f.ssthresh }

// SetCwnd sets the congestion window, at least 1 MSS and at most CwndMax.
func (f *Flow) SetCwnd(octets int) { f.cwnd = f.clamp(octets, f.MSS, CwndMax) }

// SetSsthresh sets the slow start threshold, at least 2 MSS (RFC 5681, equation 4).
func (f *Flow) SetSsthresh(octets int) { f.ssthresh = f.clamp(octets, 2*f.MSS, SsthreshMax) }

// SetPacing sets the pacing rate, from PacingMin to PacingMax; 0 turns pacing off.
func (f *Flow) SetPacing(octetsPerSec int64) {
	if octetsPerSec == 0 {
		f.pacing = 0
		return
	}
	f.pacing = int64(f.clamp(int(octetsPerSec), PacingMin, PacingMax))
}

// SetQuantum sets how many octets the pacer may send at once; 0 leaves it to the stack.
func (f *Flow) SetQuantum(octets int) { f.quantum = f.clamp(octets, 0, CwndMax) }

// MarkAppLimited says that what is delivered until the present flight has left does not show
// what the network can do, as when the algorithm itself keeps the window small
// (MarkConnectionAppLimited of draft-ietf-ccwg-bbr).
func (f *Flow) MarkAppLimited() { f.AppLimited = max(1, f.Delivered+uint64(max(0, f.Flight))) }

func (f *Flow) clamp(v, low, high int) int {
	if v >= low && v <= high {
		return v
	}
	f.clamps++
	f.absurd = f.absurd || v < 0
	return min(max(v, low), high)
}

// OctetsIn returns how much a rate, in octets a second, brings in a time: at most CwndMax, and
// nothing of what is below zero.
func OctetsIn(rate int64, d time.Duration) int {
	if rate <= 0 || d <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(rate), uint64(d))
	if high >= uint64(time.Second) {
		return CwndMax
	}
	n, _ := bits.Div64(high, low, uint64(time.Second))
	return int(min(n, CwndMax))
}
