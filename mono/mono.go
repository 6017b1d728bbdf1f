// Package mono is the clock of the pure packages: a point in time as a plain number.
//
// Whoever owns a clock (the worker of a queue, the simulator, a test) reads it and hands
// the value down; nothing below ever asks what time it is.
package mono

import (
	"math"
	"time"
)

// Time is a point in time, in nanoseconds since an arbitrary origin that does not change
// while a process runs. It never runs backwards. Values of two processes do not compare.
type Time int64

// Never is later than every other Time: the value of a timer that is not armed.
const Never Time = math.MaxInt64

// Add returns t + d. Never stays Never, and a sum past it is Never.
func (t Time) Add(d time.Duration) Time {
	sum := t + Time(d)
	if t == Never || (d > 0 && sum < t) {
		return Never
	}
	return sum
}

// Sub returns the duration t - u.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// Before says whether t is earlier than u.
func (t Time) Before(u Time) bool { return t < u }

// Millis returns t in whole milliseconds, rounded down.
func (t Time) Millis() int64 { return int64(t) / int64(time.Millisecond) }
