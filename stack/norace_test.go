//go:build !race

package stack_test

// underRace says that the race detector is on.
const underRace = false
