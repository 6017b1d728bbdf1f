//go:build race

package stack_test

// underRace says that the race detector is on, with which sync.Pool drops things at random
// and nothing is free of allocations.
const underRace = true
