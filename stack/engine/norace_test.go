//go:build !race

package engine

// underRace says that the race detector is on.
const underRace = false
