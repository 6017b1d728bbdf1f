package sim

import (
	"math"
	"slices"
	"time"
)

// Completion sums up how long flows took from their opening to the last octet that was read.
type Completion struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
}

// SizeClass is the short flows of a range of sizes.
type SizeClass struct {
	Above        int64      `json:"above_bytes"` // sizes are above this
	To           int64      `json:"to_bytes"`    // and up to this; 0: all
	Flows        int        `json:"flows"`
	Completed    int        `json:"completed"`
	CompletionMS Completion `json:"completion_ms"`
}

// ShortFlow is one of the short flows of cross traffic.
type ShortFlow struct {
	CC         string
	Start      time.Duration
	Octets     int64
	Completed  bool
	Completion time.Duration // if it has
}

// sizeClasses are the upper bounds of SizeClass: some round trips of slow start, many, and
// what leaves slow start.
var sizeClasses = []int64{10_000, 100_000, 1_000_000, 0}

// completion sums up times, which it sorts.
func completion(took []time.Duration) (c Completion) {
	if len(took) == 0 {
		return c
	}
	slices.Sort(took)
	sum := 0.0
	for _, d := range took {
		sum += d.Seconds()
	}
	at := func(q float64) float64 {
		return millis(took[max(0, int(math.Ceil(q*float64(len(took))))-1)])
	}
	return Completion{Mean: round(1000 * sum / float64(len(took))), P50: at(0.5), P95: at(0.95), P99: at(0.99)}
}

// bySize sorts short flows into classes; those of which there is none are left out.
func bySize(flows []ShortFlow) []SizeClass {
	classes := make([]SizeClass, len(sizeClasses))
	took := make([][]time.Duration, len(sizeClasses))
	for i, to := range sizeClasses {
		if classes[i].To = to; i > 0 {
			classes[i].Above = sizeClasses[i-1]
		}
	}
	for _, f := range flows {
		i := slices.IndexFunc(sizeClasses, func(to int64) bool { return to == 0 || f.Octets <= to })
		classes[i].Flows++
		if f.Completed {
			classes[i].Completed++
			took[i] = append(took[i], f.Completion)
		}
	}
	for i := range classes {
		classes[i].CompletionMS = completion(took[i])
	}
	return slices.DeleteFunc(classes, func(c SizeClass) bool { return c.Flows == 0 })
}
