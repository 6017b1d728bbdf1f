package sim

import (
	"math"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// Bucket is a token bucket: octets pass at Rate, and after a pause up to Burst of them at
// once. A policer drops what finds no tokens, a shaper lets it wait.
type Bucket struct {
	Rate  int64 // bits a second; 0: there is no bucket
	Burst int   // octets
}

// burstMax keeps the tokens of a bucket, which are counted in nanobits, within 64 bits.
const burstMax = 1e9

// bucket is a token bucket at work. It is full in the beginning. Whole numbers alone, so
// that every machine counts the same.
type bucket struct {
	cfg   Bucket
	spent int64     // nanobits that are missing
	at    mono.Time // when that was so
}

func (b *bucket) full() int64 { return int64(b.cfg.Burst) * 8e9 }

// fill adds the tokens of the time that has passed.
func (b *bucket) fill(now mono.Time) {
	passed := int64(now.Sub(b.at))
	b.at = now
	if passed >= ceilDiv(b.spent, b.cfg.Rate) {
		b.spent = 0
		return
	}
	b.spent -= passed * b.cfg.Rate
}

// take spends tokens for so many octets, if there are enough.
func (b *bucket) take(now mono.Time, octets int) bool {
	b.fill(now)
	need := int64(octets) * 8e9
	if b.spent+need > b.full() {
		return false
	}
	b.spent += need
	return true
}

// when spends tokens for so many octets, and returns when there are enough, at now or later.
// What is larger than the burst waits for a full bucket.
func (b *bucket) when(now mono.Time, octets int) mono.Time {
	b.fill(now)
	need := min(int64(octets)*8e9, b.full())
	if missing := b.spent + need - b.full(); missing > 0 {
		now = now.Add(time.Duration(ceilDiv(missing, b.cfg.Rate)))
		b.fill(now)
	}
	b.spent += need
	return now
}

func ceilDiv(a, b int64) int64 {
	if a <= 0 {
		return 0
	}
	return (a-1)/b + 1
}

// Change is what becomes of a path at a time: another rate, another delay, or both.
type Change struct {
	At    mono.Time
	Rate  int64         // bits a second; 0: as it was
	Delay time.Duration // negative: as it was
}

// rateUntil returns the rate at a time, and until when it stays so. Times do not run
// backwards.
func (l *path) rateUntil(t mono.Time) (rate int64, until mono.Time) {
	c := l.cfg.Changes
	for l.rateNext < len(c) && c[l.rateNext].At <= t {
		if r := c[l.rateNext].Rate; r > 0 {
			l.cfg.Rate = r
		}
		l.rateNext++
	}
	for _, next := range c[l.rateNext:] {
		if next.Rate > 0 {
			return l.cfg.Rate, next.At
		}
	}
	return l.cfg.Rate, mono.Never
}

// delayAt returns the delay of what leaves at a time. Times do not run backwards.
func (l *path) delayAt(t mono.Time) time.Duration {
	c := l.cfg.Changes
	for l.delayNext < len(c) && c[l.delayNext].At <= t {
		if d := c[l.delayNext].Delay; d >= 0 {
			l.cfg.Delay = d
		}
		l.delayNext++
	}
	return l.cfg.Delay
}

// transmitted returns when octets have left that begin to at a time. The rate may change
// meanwhile.
func (l *path) transmitted(begins mono.Time, octets int) mono.Time {
	if l.cfg.Changes == nil {
		return begins.Add(transmission(octets, l.cfg.Rate))
	}
	left := int64(octets) * 8e9 // nanobits
	for {
		rate, until := l.rateUntil(begins)
		if rate == 0 {
			return begins
		}
		need := ceilDiv(left, rate)
		if until == mono.Never || begins.Add(time.Duration(need)) <= until {
			return begins.Add(time.Duration(need))
		}
		left -= int64(until.Sub(begins)) * rate
		begins = until
	}
}

// transmission is how long octets take at rate bits a second. A packet of 64 KiB in
// nanobits is 5e14, far from overflow.
func transmission(octets int, rate int64) time.Duration {
	return time.Duration(math.Ceil(float64(octets) * 8e9 / float64(rate)))
}
