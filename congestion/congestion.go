// Package congestion is the plug for congestion control: what an algorithm is told, what it
// may set, and nothing else. Sizes are octets, rates are octets a second, times are
// mono.Time handed in; an algorithm reads no clock, keeps no pointer it is given, and
// allocates nothing after Init.
//
// One ACK passes through the stack in this order: scoreboard and samples, loss detector,
// episode manager, algorithm, recovery governor, guard, pacer. The algorithm is one stage
// of it: it decides how large the window shall be and how fast it leaves, not what is lost
// nor what is sent.
//
// An Algorithm has three methods. What else it may be told, or asked, is an interface of its
// own, which it implements or not: SentObserver, LostObserver, RecoveryObserver, Undoer,
// RecoveryOwner, Adopter, Configurable, Inspector, Named.
package congestion

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// Algorithm decides the congestion window of one connection. Its methods are called by the
// worker that owns the connection, never at once.
type Algorithm interface {
	// Init is called once, before any other method: when the handshake ends, or when a
	// live connection switches to this algorithm, unless that is an Adopter. Flow holds the
	// window there is, at first the initial one, and no pacing.
	Init(f *Flow, now mono.Time)
	// OnAck is called for every ACK with news (data acknowledged, by SND.UNA or SACK, or
	// marked CE), in every state of recovery, after OnCongestion if the ACK caused one.
	OnAck(f *Flow, a *Ack)
	// OnCongestion is called once an episode: it sets ssthresh, and the window that the
	// episode ends with. What is sent until then is the recovery governor's, unless the
	// algorithm is a RecoveryOwner.
	OnCongestion(f *Flow, e *Congestion)
}

// Cause says what began an episode of congestion.
type Cause uint8

// The causes.
const (
	CauseLoss Cause = iota // the loss detector found a segment missing
	CauseRTO               // the retransmission timer expired
	CauseECN               // the peer echoed a congestion mark
	CauseIdle              // the connection was silent for longer than an RTO (RFC 5681, section 4.1)
)

// String returns the cause as it is logged.
func (c Cause) String() string {
	switch c {
	case CauseLoss:
		return "loss"
	case CauseRTO:
		return "rto"
	case CauseECN:
		return "ecn"
	case CauseIdle:
		return "idle"
	}
	return "unknown"
}

// Congestion is one episode. The stack owns it and reuses it.
type Congestion struct {
	Now    mono.Time
	Cause  Cause
	Flight int // octets outstanding when it began (FlightSize of RFC 5681)
	Lost   int // octets known to be lost
	Acked  int // octets that the ACK which began it delivered; 0 when it was a timer
}

// Ack is the news that one ACK brought. The stack owns it and reuses it.
type Ack struct {
	Now         mono.Time
	Acked       int // octets newly delivered: cumulatively or by SACK
	CumAcked    int // octets by which SND.UNA moved
	NewlyLost   int // octets newly found lost
	CEOctets    int // octets newly reported as marked CE
	ECE         bool
	RTT         time.Duration // of this ACK's newest segment; 0 when it gave no sample
	AckDelay    time.Duration // how long the peer says it held the ACK; 0 when unknown
	PriorFlight int           // octets in flight before this ACK
	Round       uint64        // packet-timed rounds since the connection opened
	RoundStart  bool          // this ACK is the first of its round
	CwndLimited bool          // the window, not the application or the peer, held data back
	InRecovery  bool          // an episode is under way
	Rate        RateSample
}

// RateSample is a delivery rate sample (draft-ietf-ccwg-bbr, section 4.1): what became of the
// flight of the newest segment that the ACK reports. Where that segment was sent more than
// once, its last transmission counts; a sample over less than the lowest round trip, as an
// ACK of an earlier transmission makes it, has no rate.
type RateSample struct {
	Delivered      int    // octets delivered over Interval
	Lost           int    // octets found lost since that segment was sent (RS.lost)
	CE             int    // octets reported as marked CE since then
	PriorDelivered uint64 // Flow.Delivered when it was sent
	TxInFlight     int    // octets in flight when it was sent, itself included; 0: there is no sample
	Interval       time.Duration
	OctetsPerSec   int64 // 0 when there is no sample
	AppLimited     bool
}
