// Package bench measures TCP stacks through net.Conn: a Server runs on any net.Listener, a
// Client on anything that dials, so that this stack, the kernel's and others are measured by
// the same code. Either may run in a process of its own (Agent, Remote), so that no stack is
// measured with the help of a scheduler that both ends share, and what each has used of the
// machine is known.
package bench

import (
	"fmt"
	"time"

	"github.com/millrace-tcp/millrace/bench/usage"
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
	// Idle opens connections and leaves them alone for a time.
	Idle Kind = "idle"
	// HTTP asks a web server for a few octets again and again, on as many connections as
	// there are flows, for a time. It is no workload of Server and Client: a stock client
	// runs it.
	HTTP Kind = "http"
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
	FlowsMax  = ConnsMax - 1
	CountMax  = 1 << 40
	// BlockSize is how many octets one Read or Write of a bulk transfer asks for.
	BlockSize = 128 << 10
)

// stretchMax is how many times as long as its Time a workload may take for its Count.
const stretchMax = 5

// Workload is what to measure.
type Workload struct {
	Kind Kind `json:"kind"`
	Way  Way  `json:"way,omitempty"` // of Bulk and Exact
	// Size is the octets of a message of RequestResponse and Connect.
	Size int `json:"size,omitempty"`
	// Octets is how many Exact moves.
	Octets int64 `json:"octets,omitempty"`
	// Count is how many messages RequestResponse sends at least, all connections together: it
	// goes on for them when Time is over, for up to stretchMax times as long.
	Count int64 `json:"count,omitempty"`
	// Time is how long all kinds but Exact go on.
	Time time.Duration `json:"time,omitempty"`
	// Flows is how many connections do it at once, or are idle; 0 is one.
	Flows int `json:"flows,omitempty"`
}

// flows is the number of connections.
func (w Workload) flows() int { return max(1, w.Flows) }

// Longest is how long the workload goes on at most, of Exact 0: as long as it takes.
func (w Workload) Longest() time.Duration {
	switch w.Kind {
	case Exact:
		return 0
	case RequestResponse:
		return stretchMax * w.Time
	case Bulk, Connect, Idle, HTTP:
	}
	return w.Time
}

// String names the workload as tables and logs do.
func (w Workload) String() string {
	flows := ""
	if w.flows() > 1 {
		flows = fmt.Sprintf(" on %d connections", w.Flows)
	}
	switch w.Kind {
	case Bulk:
		return fmt.Sprintf("%s %s%s for %v", w.Kind, w.Way, flows, w.Time)
	case Exact:
		return fmt.Sprintf("%s %s of %d octets%s", w.Kind, w.Way, w.Octets, flows)
	case RequestResponse, Connect:
		return fmt.Sprintf("%s of %d octets%s for %v", w.Kind, w.Size, flows, w.Time)
	case Idle, HTTP:
		return fmt.Sprintf("%s%s for %v", w.Kind, flows, w.Time)
	}
	return string(w.Kind)
}

// Check says what is wrong with the workload.
func (w Workload) Check() error {
	transfer := w.Kind == Bulk || w.Kind == Exact
	messages := w.Kind == RequestResponse || w.Kind == Connect
	switch {
	case !transfer && !messages && w.Kind != Idle && w.Kind != HTTP:
		return fmt.Errorf("bench: there is no workload %q", w.Kind)
	case w.Flows < 0 || w.Flows > FlowsMax:
		return fmt.Errorf("bench: %d connections is not from 1 to %d", w.Flows, FlowsMax)
	case transfer && w.Way != Upload && w.Way != Download:
		return fmt.Errorf("bench: way %q is neither %s nor %s", w.Way, Upload, Download)
	case messages && (w.Size < 1 || w.Size > SizeMax):
		return fmt.Errorf("bench: a message of %d octets is not from 1 to %d", w.Size, SizeMax)
	case w.Kind == Exact && (w.Octets < 1 || w.Octets > OctetsMax):
		return fmt.Errorf("bench: %d octets is not from 1 to %d", w.Octets, int64(OctetsMax))
	case w.Count < 0 || w.Count > CountMax:
		return fmt.Errorf("bench: %d messages is not from 0 to %d", w.Count, int64(CountMax))
	case w.Kind != Exact && (w.Time <= 0 || w.Time > TimeMax):
		return fmt.Errorf("bench: a time of %v is not above 0 and at most %v", w.Time, TimeMax)
	}
	return nil
}

// Result is what came of a workload. What does not apply is zero.
type Result struct {
	// Octets is what the receiver of a transfer got, in Elapsed from when it was asked for until
	// the client had it all, or knew that the server had.
	Octets int64 `json:"octets,omitempty"`
	// Count is how many messages were answered in Elapsed.
	Count   int64         `json:"count,omitempty"`
	Elapsed time.Duration `json:"elapsed"`
	// SHA256 is that of what Exact moved, in hexadecimal digits; both ends agree on it.
	SHA256 string `json:"sha256,omitempty"`
	// Latency is how long each message took, of Connect with the handshake.
	Latency Latency `json:"latency,omitzero"`
	// CPU is what was used meanwhile, where that is known.
	CPU CPU `json:"cpu,omitzero"`
	// Allocs is how many objects were allocated meanwhile, where that is counted.
	Allocs int64 `json:"allocs,omitempty"`
	// Memory is what Idle connections take, where that is known.
	Memory Memory `json:"memory,omitzero"`

	began time.Time // when Elapsed did
}

// CPU is what a workload used of the processors. Ends that share a process are counted in
// Server, and those that are the kernel's own, or far away, nowhere but in Machine.
type CPU struct {
	Machine        usage.Machine
	Server, Client usage.Process
}

// Memory is what a number of connections take, in octets: of the serving process what is
// resident and what is live after a collection, and of the whole machine.
type Memory struct {
	Conns                   int
	Resident, Live, Machine int64
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
