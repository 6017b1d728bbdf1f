package congestion

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// Recorder sees everything that happens to the window of a connection, in virtual time or on
// a NIC: what an algorithm was told, what it then set, and what held data back. It is called
// by the worker that owns the connection, must not block, and keeps nothing that it is given.
type Recorder interface {
	Record(r *Record)
}

// Record is one event, and the state of the connection after it. The stack owns it and reuses
// it; what it points to is valid during the call, and is not to be changed.
type Record struct {
	Now   mono.Time
	Event Event
	Flow  *Flow // the measurements, and the controls as the algorithm has set them

	Ack        *Ack        // of EventAck
	Congestion *Congestion // of EventCongestion and EventRecovered
	Sent       *Sent       // of EventSent
	Lost       *Lost       // of EventLost

	Window   int // cwnd in force: the governor's during recovery, else Flow.Cwnd
	RTO      time.Duration
	Recovery Recovery
	Limit    Limit

	Algorithm Algorithm // for Named and Inspector; not to be called otherwise
	Shadow    *Flow     // what the shadow algorithm would have set; nil: there is none
}

// Event is what a Record is about.
type Event uint8

// The events.
const (
	EventOpen       Event = iota // the handshake is done, the algorithm attached
	EventAck                     // OnAck was called
	EventCongestion              // OnCongestion was called
	EventRecovered               // an episode has ended
	EventUndo                    // an episode was taken back
	EventSent                    // a segment was sent
	EventLost                    // a segment was found lost
	EventLimit                   // something else limits the connection than before
	EventSwitch                  // another algorithm took over
	EventReplaced                // the guard put Reno in the algorithm's place
	EventClosed                  // the last record: nothing is sent any more
)

// String returns the event as it is logged.
func (e Event) String() string {
	switch e {
	case EventOpen:
		return "open"
	case EventAck:
		return "ack"
	case EventCongestion:
		return "congestion"
	case EventRecovered:
		return "recovered"
	case EventUndo:
		return "undo"
	case EventSent:
		return "sent"
	case EventLost:
		return "lost"
	case EventLimit:
		return "limit"
	case EventSwitch:
		return "switch"
	case EventReplaced:
		return "replaced"
	case EventClosed:
		return "closed"
	}
	return "unknown"
}

// Recovery is what the sender is recovering from.
type Recovery uint8

// The states of recovery.
const (
	RecoveryNone Recovery = iota
	RecoveryFast          // from loss that the detector found
	RecoveryLoss          // from a retransmission time-out
)

// String returns the state as it is logged.
func (r Recovery) String() string {
	switch r {
	case RecoveryNone:
		return "open"
	case RecoveryFast:
		return "recovery"
	case RecoveryLoss:
		return "loss"
	}
	return "unknown"
}

// Limit is what held data back when the connection was last asked to send.
type Limit uint8

// The limits.
const (
	LimitApplication Limit = iota // there is nothing to send, or Nagle's algorithm waits for more
	LimitCwnd
	LimitPacing
	LimitReceiver // the peer's window
)

// String returns the limit as it is logged.
func (l Limit) String() string {
	switch l {
	case LimitApplication:
		return "application"
	case LimitCwnd:
		return "cwnd"
	case LimitPacing:
		return "pacing"
	case LimitReceiver:
		return "rwnd"
	}
	return "unknown"
}
