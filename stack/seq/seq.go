// Package seq is the arithmetic of TCP sequence numbers, modulo 2^32 (RFC 9293, section 3.4).
package seq

// Num is a sequence number. Two numbers compare as long as they lie less than 2^31 apart,
// which every window allows.
type Num uint32

// Add returns s advanced by n octets; n may be negative.
func (s Num) Add(n int) Num { return s + Num(n) }

// Sub returns how many octets s lies after t; negative if before.
func (s Num) Sub(t Num) int { return int(int32(s - t)) }

// Less says s < t.
func (s Num) Less(t Num) bool { return int32(s-t) < 0 }

// LessEq says s =< t.
func (s Num) LessEq(t Num) bool { return int32(s-t) <= 0 }

// In says whether s lies in the window of n octets that starts at first.
func (s Num) In(first Num, n int) bool { return uint32(s-first) < uint32(n) }

// Max returns the later of s and t.
func Max(s, t Num) Num {
	if s.Less(t) {
		return t
	}
	return s
}

// Min returns the earlier of s and t.
func Min(s, t Num) Num {
	if t.Less(s) {
		return t
	}
	return s
}

// Range is the octets from Start up to, but not including, End.
type Range struct{ Start, End Num }

// Len returns the number of octets in r.
func (r Range) Len() int { return r.End.Sub(r.Start) }

// Empty says that r holds nothing.
func (r Range) Empty() bool { return !r.Start.Less(r.End) }
