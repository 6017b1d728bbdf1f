package tcp

import "github.com/millrace-tcp/millrace/stack/wire"

// Scratch is what one call of a connection needs until it is done, and what Output leaves for
// OutputSum. The connections of a worker share one.
type Scratch struct {
	// Sums has Output sum the payload while it copies it. It is set before the first connection.
	Sums bool
	// Crowded says that more waits to be received than the worker keeps up with, of all connections
	// together, so that soon some of it will be lost. The worker sets it before a batch.
	Crowded bool

	// newest is the segment sent last of those that the ACK delivers. It may have left the
	// scoreboard, whose ring keeps it until more is sent.
	newest *sent
	long   bool         // no short way is taken: for the test that compares
	rest   [][]byte     // of OutputPieces, while it runs
	sum    wire.Partial // of the segment that Output wrote last
}
