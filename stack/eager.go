package stack

import "time"

// eager is how long to spin for the answer of a peer with which a connection takes turns. Spinning
// pays as long as answers come while it lasts, and then it may last long, for there is hardly
// an end to what being woken takes: over a veth on two busy cores a turn that ended in a sleep
// took 120 us, and one in a hundred took that long with 50 us of it, fewer with 200. With a peer
// that takes longer than that it is in vain, and soon lasts next to no time.
type eager struct {
	most time.Duration // less than zero: not at all
	long time.Duration // at present
}

// eagerLeast is what part of the most it lasts at the least, for a peer that becomes quicker.
const eagerLeast = 16

func newEager(most time.Duration) eager { return eager{most: most, long: most} }

// waited says how long the answer took.
func (e *eager) waited(d time.Duration) {
	if d <= e.most {
		e.long += min(e.long, e.most-e.long)
	} else {
		e.long = max(e.long/2, e.most/eagerLeast)
	}
}
