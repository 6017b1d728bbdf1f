package sim

import (
	"math"
	"math/bits"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// delays is a histogram of durations, of which quantiles can be asked: 64 buckets to each
// power of two, so that a value is off by less than 1.6 %.
type delays struct {
	from    mono.Time // what was measured before is not counted
	buckets []uint64
	n       uint64
	least   time.Duration
}

const delayBits = 6

// add counts d, measured at now.
func (h *delays) add(now mono.Time, d time.Duration) {
	if now < h.from {
		return
	}
	if h.n == 0 || d < h.least {
		h.least = d
	}
	h.n++
	i := bucketOf(d)
	for len(h.buckets) <= i {
		h.buckets = append(h.buckets, 0)
	}
	h.buckets[i]++
}

// bucketOf numbers the microseconds of d: the first 64 one by one, then 64 for each power.
func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	exp := max(bits.Len64(us)-delayBits-1, 0)
	return exp<<delayBits + int(us>>exp)
}

// middleOf is the middle of a bucket.
func middleOf(i int) time.Duration {
	exp := max(i>>delayBits-1, 0)
	us := uint64(i-exp<<delayBits)<<exp + (uint64(1)<<exp)/2
	return time.Duration(us) * time.Microsecond
}

// quantile returns the duration that a share q of those counted does not exceed.
func (h *delays) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.n)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= max(rank, 1) {
			return max(middleOf(i), h.least)
		}
	}
	return 0
}
