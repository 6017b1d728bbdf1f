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

// Spec says what to simulate: flows in one direction over one bottleneck, and what shares it
// with them.
type Spec struct {
	Link       LinkSpec
	CC         []string // flow i runs the i-th, cyclic; names in Algorithms
	Algorithms Algorithms
	Flows      int // 1 if 0; they have more to send than there is time for
	// FlowSpecs, if there are any, says of each flow what it is like; Flows is their number.
	FlowSpecs []FlowSpec
	Cross     []CrossSpec
	Time      time.Duration // a minute if 0
	Seed      uint64

	// TCP is the configuration of both sides; its Congestion is replaced.
	TCP tcp.Config
	// SampleEvery is how often Sample is called for each flow.
	SampleEvery time.Duration
	Sample      func(Sample)
	// Recorder, if not nil, makes what records a flow's sender; nil records nothing of it.
	Recorder func(flow int) congestion.Recorder
	// Queue, if not nil, is told what happens at the bottleneck's queue, and Packet of each
	// packet that a host sends: 0 is the senders', 1 the receivers'. The frame is valid during
	// the call.
	Queue  func(QueueEvent)
	Packet func(at time.Duration, host int, frame []byte)
	// Progress, if not nil, is called 200 times in a run with the virtual time done. When it
	// says no, Run returns ErrStopped.
	Progress func(done time.Duration) bool
}

// ErrStopped is returned by a Run that Progress has stopped.
var ErrStopped = errors.New("stopped")

// Sample is the state of a flow's sender at a time.
type Sample struct {
	Flow           int
	At             time.Duration
	Cwnd, Ssthresh int // octets
	InFlight       int // octets
	SRTT, RTTVar   time.Duration
	MinRTT, RTO    time.Duration
	Pacing         int64 // octets a second; 0: the algorithm does not pace
	DeliveryRate   int64 // octets a second
	Delivered      int64 // octets read at the far end
	Lost           int64 // octets
	Retransmits    uint64
	Recovery       congestion.Recovery
	Limit          congestion.Limit
	Queue          int           // octets that wait in the bottleneck
	QueueDelay     time.Duration // that a packet would find there
	// Values is what the algorithm shows of its state, if it is a congestion.Inspector: valid
	// during the call.
	Values []congestion.Value
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

// Check says what is wrong with a spec, and leaves it as it is.
func (s Spec) Check() error { return s.complete() }

// Check says what is wrong with the name of an algorithm, with or without options.
func (a Algorithms) Check(name string) error {
	_, err := (&Spec{Algorithms: a}).algorithm(name)
	return err
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
		if len(s.FlowSpecs) > 0 && s.FlowSpecs[0].CC != "" {
			s.CC[0] = s.FlowSpecs[0].CC
		}
	}
	s.CC = append([]string(nil), s.CC...)
	switch {
	case s.Flows < 0 || s.Flows > FlowsMax:
		return fmt.Errorf("flows: %d is not from 1 to %d", s.Flows, FlowsMax)
	case s.Time < 0 || s.Time > TimeMax:
		return fmt.Errorf("time: %v is not above 0 and at most %v", s.Time, TimeMax)
	}
	if err := s.Link.Check(); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	for _, name := range s.CC {
		if _, err := s.algorithm(name); err != nil {
			return err
		}
	}
	return s.completeFlows()
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

// half is when the second half begins.
func (s *Spec) half() mono.Time { return mono.Time(s.Time / 2) }
