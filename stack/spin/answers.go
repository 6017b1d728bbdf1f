package spin

import "time"

// Answers says how long to spin for the answer of a peer with which a connection takes turns. Spinning
// pays as long as answers come while it lasts, and then it may last long, for there is hardly
// an end to what being woken takes: over a veth on two busy cores a turn that ended in a sleep
// took 120 us, and one in a hundred took that long with 50 us of it, fewer with 200. With a peer
// that takes longer than that it is in vain, and soon lasts next to no time.
type Answers struct {
	most time.Duration // less than zero: not at all
	long time.Duration // at present
}

// answersLeast is what part of the most it lasts at the least, for a peer that becomes quicker.
const answersLeast = 16

// NewAnswers returns the rule for who looks for most at the most; not at all if that is less than
// zero.
func NewAnswers(most time.Duration) Answers { return Answers{most: most, long: most} }

// For returns how long to look.
func (a *Answers) For() time.Duration { return a.long }

// Took says how long the answer took.
func (a *Answers) Took(d time.Duration) {
	if d <= a.most {
		a.long += min(a.long, a.most-a.long)
	} else {
		a.long = max(a.long/2, a.most/answersLeast)
	}
}
