package winmax

import (
	"math/rand/v2"
	"testing"
)

// It agrees with a list of all values, whatever rounds are skipped.
func TestAgainstList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, rounds := range []int{1, 2, 7, Len} {
		var f Filter
		type value struct {
			v     int64
			round uint64
		}
		var all []value
		round := uint64(0)
		for range 5000 {
			if rng.IntN(3) == 0 {
				round += uint64(rng.IntN(2 * Len))
			}
			v := rng.Int64N(1000)
			all = append(all, value{v, round})
			f.Update(v, round, rounds)
			want := int64(0)
			for _, x := range all {
				if x.round+uint64(rounds) > round {
					want = max(want, x.v)
				}
			}
			if f.Max() != want {
				t.Fatalf("%d rounds: round %d: got %d, want %d", rounds, round, f.Max(), want)
			}
		}
	}
}
