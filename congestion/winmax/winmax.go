// Package winmax is the largest of the values of the last rounds, as congestion control needs
// it of delivery rates and of bursts of ACKs.
package winmax

// Len is how many rounds a Filter remembers at the most.
const Len = 10

// Filter remembers the largest value of each of the last rounds. The zero value is empty.
type Filter struct {
	max   int64
	round uint64
	of    [Len]int64 // by round, modulo Len
}

// Max returns the largest value, 0 if there is none.
func (f *Filter) Max() int64 { return f.max }

// Update takes a value of a round, which never goes back, and forgets what is older than
// rounds, this one included: from 1 to Len.
func (f *Filter) Update(value int64, round uint64, rounds int) {
	if round != f.round {
		f.advance(round, uint64(rounds))
	}
	slot := &f.of[round%Len]
	*slot = max(*slot, value)
	f.max = max(f.max, *slot)
}

// advance empties the slots of the rounds that have begun, and of those that are too old.
func (f *Filter) advance(round, rounds uint64) {
	keep := uint64(0) // of the rounds before this one
	if passed := round - f.round; passed < rounds {
		keep = rounds - passed
	}
	old := *f
	*f = Filter{round: round}
	for i := range min(keep, old.round+1) {
		r := old.round - i
		f.of[r%Len] = old.of[r%Len]
		f.max = max(f.max, old.of[r%Len])
	}
}
