package congestion

import (
	"github.com/millrace-tcp/millrace/mono"
)

// The interfaces of this file are optional. The stack asks once, when it attaches the
// algorithm, which of them it implements.

// SentObserver is told of each segment that is sent.
type SentObserver interface {
	// OnSent is called after the segment has been put on the scoreboard; Flow.Flight counts it.
	OnSent(f *Flow, s *Sent)
}

// Sent is one segment that was sent: data, a FIN, or either again. The stack owns it and
// reuses it.
type Sent struct {
	Now         mono.Time
	Octets      int
	PriorFlight int  // octets in flight before it
	Resent      bool // it was sent before
	AppLimited  bool // the application lacked data when it was sent
	// Restart says that nothing was in flight and the application had lacked data: the
	// connection was idle.
	Restart bool
}

// LostObserver is told of each segment that the loss detector gives up.
type LostObserver interface {
	// OnLost is called before the OnCongestion and the OnAck that the loss leads to.
	// Flow.Lost counts the segment.
	OnLost(f *Flow, l *Lost)
}

// Lost is one segment that was found lost, and the connection's state when it was sent last.
// A judgement about the loss is to look at this state, not at that of the ACK that showed
// it. The stack owns it and reuses it.
type Lost struct {
	Now        mono.Time
	SentAt     mono.Time
	Seq        uint32 // its first sequence number, by which neighbours are told
	Octets     int
	TxInFlight int    // octets in flight when it was sent, itself included
	Delivered  uint64 // Flow.Delivered when it was sent
	Lost       uint64 // Flow.Lost when it was sent
	AppLimited bool   // the application lacked data when it was sent
	Resent     bool   // it was a retransmission
	Timeout    bool   // the retransmission timer gave it up, no ACK
}

// RecoveryObserver is told when an episode that recovers from loss has ended.
type RecoveryObserver interface {
	// OnRecovered is called when all that was outstanding at the beginning of the episode is
	// acknowledged; e.Cause is what began it, CauseLoss or CauseRTO. It comes before the OnAck
	// of the same ACK. An episode that proves spurious ends with Undo instead.
	OnRecovered(f *Flow, e *Congestion)
}

// Undoer is implemented by an algorithm that keeps state of its own about an episode. Undo
// is called when the episode proved spurious. The stack restores cwnd and ssthresh itself,
// after, unless the algorithm is a RecoveryOwner.
type Undoer interface {
	Undo(f *Flow)
}

// RecoveryOwner is implemented by an algorithm whose cwnd holds during recovery too: the
// governor (PRR) does not apply, nor do the stack's own changes to the window when an episode
// ends, is undone, or when the window has not been used for long (RFC 7661). After a time-out
// the window is what OnCongestion sets, but at most one segment more than is in flight.
type RecoveryOwner interface {
	// OwnsRecovery is asked once, when the algorithm is attached.
	OwnsRecovery() bool
}

// MarkReader is implemented by an algorithm that is little without explicit congestion
// notification. A connection that is opened with it asks for ECN, best AccECN, where the
// configuration leaves that open; and where no more than RFC 3168 is agreed on, its peer is told
// of each change between marked and unmarked, as a peer with the like algorithm needs it.
type MarkReader interface {
	// ReadsMarks is asked before a connection is opened, and when the algorithm is attached.
	ReadsMarks() bool
}

// Adopter is implemented by an algorithm that can take over a live connection. Adopt is called
// in place of Init; Flow holds the window and ssthresh there are, and no pacing.
type Adopter interface {
	Adopt(f *Flow, now mono.Time, from State)
}

// State is what a connection was like under the algorithm before.
type State struct {
	From       Algorithm
	Name       string
	Pacing     int64 // the rate it paced at
	Quantum    int
	Rate       int64 // octets a second: the last delivery rate sample, 0 if it had none
	InRecovery bool
	Cause      Cause  // of the last episode
	Round      uint64 // as of the last Ack
}

// Configurable is implemented by an algorithm whose options can change while it runs.
type Configurable interface {
	// Configure sets an option by the name that it has in the catalog, or says what is wrong.
	Configure(f *Flow, name, value string) error
}

// Inspector is implemented by an algorithm that shows its state, for Info, traces and plots.
type Inspector interface {
	// Inspect appends to v and returns it. It is called often, with room in v: it must not
	// allocate. The names, and their order, are always the same.
	Inspect(v []Value) []Value
}

// Value is a named part of an algorithm's state.
type Value struct {
	Name   string
	Number float64
	Text   string // "" if it is a number
}

// InspectMax is how many values the stack has room for.
const InspectMax = 16

// Named is implemented by an algorithm that says what it is called, for Info.
type Named interface {
	Name() string
}

// NameOf returns what an algorithm is called, "" if it does not say.
func NameOf(a Algorithm) string {
	if n, ok := a.(Named); ok {
		return n.Name()
	}
	return ""
}
