// Package bench measures TCP stacks through net.Conn: a Server runs on any net.Listener, a
// Client on anything that dials, so that this stack, the kernel's and others are measured by
// the same code. A client may run in a process of its own (Remote), so that no stack is
// measured with the help of a scheduler that both ends share.
package bench

import (
	"fmt"
	"time"
)

// Kind is what a workload does.
type Kind string

// The kinds.
const (
	// Bulk moves as many octets as it can for a time.
	Bulk Kind = "bulk"
	// Exact moves a number of octets drawn from a seed, and compares their SHA-256.
	Exact Kind = "exact"
	// RequestResponse sends a message and waits for one of the same size, again and again on
	// one connection, for a time.
	RequestResponse Kind = "rr"
	// Connect opens a connection for each message, waits for the answer and closes it, one
	// after the other, for a time.
	Connect Kind = "crr"
)

// Way is the direction of the octets of Bulk and Exact.
type Way string

// The ways.
const (
	Upload   Way = "upload"   // from the client to the server
	Download Way = "download" // from the server to the client
)

// Limits of a workload: what a server does for who asks.
const (
	TimeMax   = time.Hour
	SizeMax   = 1 << 20
	OctetsMax = 1 << 40
	// BlockSize is how many octets one Read or Write of a bulk transfer asks for.
	BlockSize = 128 << 10
)

// Workload is what to measure.
type Workload struct {
	Kind Kind `json:"kind"`
	Way  Way  `json:"way,omitempty"` // of Bulk and Exact
	// Size is the octets of a message of RequestResponse and Connect.
	Size int `json:"size,omitempty"`
	// Octets is how many Exact moves.
	Octets int64 `json:"octets,omitempty"`
	// Time is how long all kinds but Exact go on.
	Time time.Duration `json:"time,omitempty"`
}

// String names the workload as tables and logs do.
func (w Workload) String() string {
	switch w.Kind {
	case Bulk:
		return fmt.Sprintf("%s %s for %v", w.Kind, w.Way, w.Time)
	case Exact:
		return fmt.Sprintf("%s %s of %d octets", w.Kind, w.Way, w.Octets)
	case RequestResponse, Connect:
		return fmt.Sprintf("%s of %d octets for %v", w.Kind, w.Size, w.Time)
	}
	return string(w.Kind)
}

// Check says what is wrong with the workload.
func (w Workload) Check() error {
	transfer := w.Kind == Bulk || w.Kind == Exact
	switch {
	case w.Kind != Bulk && w.Kind != Exact && w.Kind != RequestResponse && w.Kind != Connect:
		return fmt.Errorf("bench: there is no workload %q", w.Kind)
	case transfer && w.Way != Upload && w.Way != Download:
		return fmt.Errorf("bench: way %q is neither %s nor %s", w.Way, Upload, Download)
	case !transfer && (w.Size < 1 || w.Size > SizeMax):
		return fmt.Errorf("bench: a message of %d octets is not from 1 to %d", w.Size, SizeMax)
	case w.Kind == Exact && (w.Octets < 1 || w.Octets > OctetsMax):
		return fmt.Errorf("bench: %d octets is not from 1 to %d", w.Octets, int64(OctetsMax))
	case w.Kind != Exact && (w.Time <= 0 || w.Time > TimeMax):
		return fmt.Errorf("bench: a time of %v is not above 0 and at most %v", w.Time, TimeMax)
	}
	return nil
}

// Result is what came of a workload. What does not apply is zero.
type Result struct {
	// Octets is what the receiver of a transfer got, in Elapsed from its first octet on.
	Octets int64 `json:"octets,omitempty"`
	// Count is how many messages were answered in Elapsed.
	Count   int64         `json:"count,omitempty"`
	Elapsed time.Duration `json:"elapsed"`
	// SHA256 is that of what Exact moved, in hexadecimal digits; both ends agree on it.
	SHA256 string `json:"sha256,omitempty"`
	// Latency is how long each message took, of Connect with the handshake.
	Latency Latency `json:"latency,omitzero"`
}

// BitsPerSecond is the rate of a transfer.
func (r Result) BitsPerSecond() float64 { return perSecond(float64(r.Octets)*8, r.Elapsed) }

// PerSecond is the rate of messages.
func (r Result) PerSecond() float64 { return perSecond(float64(r.Count), r.Elapsed) }

func perSecond(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}
