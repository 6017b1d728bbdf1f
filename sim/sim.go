// Package sim runs the production stack in virtual time: the engines of package
// stack/engine, unchanged, over simulated ports and links. An event queue takes the place of
// the clock and of all goroutines, and one seed that of all chance, so that a run is as fast
// as the machine, and the same every time.
//
// It serves two ends. Run measures congestion control: flows over one bottleneck, and what
// became of them. The tests of this package look for bugs: they draw networks and
// applications from seeds, and check the rules of the protocol at every packet.
package sim

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// Algorithms is the congestion control algorithms that can be named. An entry makes one for a
// connection, from what stands behind the question mark of "name?key=value&…", or says what
// is wrong with that.
type Algorithms map[string]func(options string) (congestion.Algorithm, error)

// Limits of a Spec.
const (
	FlowsMax = 1000
	TimeMax  = 240 * time.Hour
)

// Spec says what to simulate: flows that have more to send than there is time for, all in
// one direction over one bottleneck.
type Spec struct {
	Link       LinkSpec
	CC         []string // flow i runs the i-th, cyclic; names in Algorithms
	Algorithms Algorithms
	Flows      int           // 1 if 0
	Time       time.Duration // a minute if 0
	Seed       uint64

	// TCP is the configuration of both sides; its Congestion is replaced.
	TCP tcp.Config
	// SampleEvery is how often Sample is called for each flow.
	SampleEvery time.Duration
	Sample      func(Sample)
	// Progress, if not nil, is called 200 times in a run with the virtual time done. When it
	// says no, Run returns ErrStopped.
	Progress func(done time.Duration) bool
}

// ErrStopped is returned by a Run that Progress has stopped.
var ErrStopped = errors.New("stopped")

// Sample is the state of a flow's sender at a time.
type Sample struct {
	Flow              int
	At                time.Duration
	Cwnd, Ssthresh    int // octets
	InFlight          int // octets
	SRTT, MinRTT, RTO time.Duration
	Delivered         int64 // octets read at the far end
	Retransmits       uint64
	Queue             int // octets that wait in the bottleneck
}

// Result is what became of it. Its JSON is what "millrace sim --json" prints.
type Result struct {
	Seed   uint64       `json:"seed"`
	TimeS  float64      `json:"time_s"`
	WallS  float64      `json:"wall_s"` // for the caller to fill in: there is no clock here
	Flows  []FlowResult `json:"flows"`
	Link   LinkResult   `json:"link"`
	Jain   float64      `json:"jain"` // fairness of the goodputs: 1 is even
	Digest string       `json:"digest"`
}

// FlowResult is what became of one flow.
type FlowResult struct {
	CC          string  `json:"cc"`
	GoodputBPS  float64 `json:"goodput_bps"` // bits a second that were read, from its start to the end
	Octets      int64   `json:"bytes"`
	Retransmits uint64  `json:"retransmits"`
	Timeouts    uint64  `json:"timeouts"`
	RTTMillis   struct {
		Min float64 `json:"min"`
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"rtt_ms"` // as the sender measured it
	CwndPackets struct {
		Min float64 `json:"min"`
		Max float64 `json:"max"`
		Avg float64 `json:"avg"`
	} `json:"cwnd_pkts"` // in the second half
	StartS float64 `json:"start_s"`
}

// LinkResult is what became of the bottleneck.
type LinkResult struct {
	// Utilization is the goodput of all flows over what the rate leaves for payload, in the
	// second half.
	Utilization float64 `json:"utilization"`
	Drops       uint64  `json:"drops"` // for whatever reason
	QueueDrops  uint64  `json:"queue_drops"`
	Marks       uint64  `json:"marks"`
	QueueMillis struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
	} `json:"queue_ms"`
}

// Run simulates what spec says. Its time is virtual: it returns as soon as it is done.
func Run(spec Spec) (*Result, error) {
	if err := spec.complete(); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	m := newMeasurement(spec)
	if err := m.run(); err != nil {
		return nil, fmt.Errorf("sim: seed %d: %w", spec.Seed, err)
	}
	return m.result(), nil
}

// complete checks a spec and fills in what it leaves out.
func (s *Spec) complete() error {
	if s.Flows == 0 {
		s.Flows = 1
	}
	if s.Time == 0 {
		s.Time = time.Minute
	}
	if len(s.CC) == 0 {
		s.CC = []string{"reno"}
	}
	s.CC = append([]string(nil), s.CC...)
	switch {
	case s.Flows < 0 || s.Flows > FlowsMax:
		return fmt.Errorf("flows: %d is not from 1 to %d", s.Flows, FlowsMax)
	case s.Time < 0 || s.Time > TimeMax:
		return fmt.Errorf("time: %v is not above 0 and at most %v", s.Time, TimeMax)
	case s.Link.Rate <= 0 && len(s.Link.Trace) == 0:
		return errors.New("link: no rate")
	}
	for _, name := range s.CC {
		if _, err := s.algorithm(name); err != nil {
			return err
		}
	}
	return nil
}

// algorithm returns what makes the algorithm of a name.
func (s *Spec) algorithm(text string) (func() congestion.Algorithm, error) {
	name, options, _ := strings.Cut(text, "?")
	create, ok := s.Algorithms[name]
	if !ok {
		return nil, fmt.Errorf("congestion control: no algorithm is called %q", name)
	}
	if _, err := create(options); err != nil {
		return nil, fmt.Errorf("congestion control %q: %w", text, err)
	}
	return func() congestion.Algorithm {
		a, err := create(options)
		if err != nil {
			panic("BUG: sim: " + err.Error()) // the same options were good before
		}
		return a
	}, nil
}

// jain is Jain's fairness index: 1 when all are equal, 1/n when one has everything.
func jain(x []float64) float64 {
	sum, squares := 0.0, 0.0
	for _, v := range x {
		sum += v
		squares += v * v
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(x)) * squares)
}

func millis(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round keeps six digits behind the point: the rest is noise to who reads the result.
func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// half is when the second half begins.
func (s *Spec) half() mono.Time { return mono.Time(s.Time / 2) }
