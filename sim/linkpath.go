package sim

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// Check says what is wrong with a link as a whole, and sorts what has an order.
func (l *LinkSpec) Check() error {
	l.Changes = slices.Clone(l.Changes)
	slices.SortStableFunc(l.Changes, func(a, b LinkChange) int { return int(min(max(a.At-b.At, -1), 1)) })
	l.Down = slices.Clone(l.Down)
	slices.SortStableFunc(l.Down, func(a, b Outage) int { return int(min(max(a.From-b.From, -1), 1)) })
	managers := 0
	for _, is := range []bool{l.RED != nil, l.PIE != nil, l.CoDel != nil} {
		if is {
			managers++
		}
	}
	switch {
	case l.Rate <= 0 && len(l.Trace) == 0:
		return errors.New("no rate")
	case managers > 1:
		return errors.New("a queue has one manager: red, pie, codel or fq_codel")
	case l.Fair && l.CoDel == nil:
		return errors.New("queues of flows need a codel")
	case l.MarkECT && managers == 0:
		return errors.New("ecn=aqm needs aqm=red, pie, codel or fq_codel")
	case l.CoDel != nil && (l.CEThreshold > 0 || l.Step != QueueSpec{}):
		return errors.New("codel marks by itself: ecn=aqm")
	case len(l.Trace) > 0 && slices.ContainsFunc(l.Changes, func(c LinkChange) bool { return c.Rate > 0 }):
		return errors.New("a trace has no rate that could change")
	}
	for _, b := range []Bucket{l.Policer, l.Shaper} {
		if b.Rate > 0 && (b.Burst < MTU || b.Burst > burstMax) {
			return fmt.Errorf("a burst of %d octets is not from %d to %d", b.Burst, MTU, int(burstMax))
		}
	}
	if r := l.RED; r != nil && r.Max != (QueueSpec{}) && l.octets(r.Min) >= l.octets(r.Max) {
		return fmt.Errorf("red begins at %d octets, and %d is no more", l.octets(r.Min), l.octets(r.Max))
	}
	return nil
}

// marks says whether the link marks packets.
func (l *LinkSpec) marks() bool {
	return l.CEThreshold > 0 || l.Step != QueueSpec{} || l.MarkECT
}

// rate is the link's rate in the beginning, of a trace its mean.
func (l *LinkSpec) rate() float64 {
	r := float64(l.Rate)
	if n := len(l.Trace); n > 0 {
		r = float64(n) * MTU * 8 / l.Trace[n-1].Seconds()
	}
	return l.shaped(r)
}

// shaped is what the token buckets leave of a rate in the long run.
func (l *LinkSpec) shaped(r float64) float64 {
	for _, b := range []Bucket{l.Shaper, l.Policer} {
		if b.Rate > 0 {
			r = min(r, float64(b.Rate))
		}
	}
	return r
}

// MeanRate is the rate between two times, in bits a second.
func (l *LinkSpec) MeanRate(from, to time.Duration) float64 {
	if len(l.Trace) > 0 {
		return l.shaped(float64(l.opportunities(to)-l.opportunities(from)) * MTU * 8 / (to - from).Seconds())
	}
	rate, at, bits := l.rate(), from, 0.0
	for _, c := range l.Changes {
		if c.Rate == 0 || c.At >= to {
			continue
		}
		if c.At > at {
			bits += rate * (c.At - at).Seconds()
			at = c.At
		}
		rate = l.shaped(float64(c.Rate))
	}
	return (bits + rate*(to-at).Seconds()) / (to - from).Seconds()
}

// opportunities is how many the trace has before a time.
func (l *LinkSpec) opportunities(t time.Duration) int {
	period := l.Trace[len(l.Trace)-1]
	i, _ := slices.BinarySearch(l.Trace, t%period)
	return int(t/period)*len(l.Trace) + i
}

// Opportunities returns a function that tells when a packet may leave, one after the other, up to a time: by
// the trace, or as often as the rate carries packets of 1504 octets.
func (l *LinkSpec) Opportunities(end time.Duration) func() (at time.Duration, ok bool) {
	i, at := 0, time.Duration(0)
	rate, changes := l.rate(), l.Changes
	return func() (time.Duration, bool) {
		if n := len(l.Trace); n > 0 {
			at = time.Duration(i/n)*l.Trace[n-1] + l.Trace[i%n]
			i++
			return at, at <= end
		}
		for len(changes) > 0 && changes[0].At <= at {
			if r := changes[0].Rate; r > 0 {
				rate = l.shaped(float64(r))
			}
			changes = changes[1:]
		}
		at += time.Duration(opportunityLen * 8e9 / rate)
		return at, at <= end
	}
}

// bdp is the bandwidth-delay product in octets, in the beginning.
func (l *LinkSpec) bdp() float64 { return l.rate() / 8 * l.RTT.Seconds() }

// bdpMax is the largest that any flow has at any time.
func (s *Spec) bdpMax() float64 {
	rate, rtt := s.Link.rate(), s.Link.RTT
	for _, c := range s.Link.Changes {
		rate, rtt = max(rate, s.Link.shaped(float64(c.Rate))), max(rtt, c.RTT)
	}
	extra := time.Duration(0)
	for _, f := range s.FlowSpecs {
		extra = max(extra, f.RTT-s.Link.RTT)
	}
	return rate / 8 * (rtt + extra).Seconds()
}

// octets is the room of a queue of the link; of one that is bounded in packets, that of as many large ones.
func (l *LinkSpec) octets(q QueueSpec) int {
	switch {
	case q.Packets > 0:
		return q.Packets * MTU
	case q.Octets > 0:
		return q.Octets
	case q.Time > 0:
		return int(math.Ceil(l.rate() / 8 * q.Time.Seconds()))
	}
	return int(math.Ceil(l.bdp() * q.BDP))
}

// paths makes the two directions.
func (l *LinkSpec) paths() (there, back PathConfig) {
	there = PathConfig{
		Rate: l.Rate, Trace: l.Trace, Delay: l.RTT / 2, CEThreshold: l.CEThreshold,
		Loss: l.Loss, Reorder: l.Reorder, Duplicate: l.Duplicate, Corrupt: l.Corrupt,
		ReorderBy: max(l.RTT/2, time.Millisecond),
		Burst:     l.Burst, Policer: l.Policer, Shaper: l.Shaper, MarkECT: l.MarkECT, Down: l.Down,
		StepPackets: l.Step.Packets,
	}
	q := l.Queue
	if q == (QueueSpec{}) {
		q.BDP = 1
	}
	if there.QueuePackets = q.Packets; q.Packets == 0 {
		// Less than a packet would drop all that do not find it idle.
		there.QueueOctets = max(l.octets(q), MTU)
	}
	if l.Step != (QueueSpec{}) && l.Step.Packets == 0 {
		there.StepOctets = max(1, l.octets(l.Step))
	}
	if l.CoDel != nil {
		there.CoDel, there.Fair = *l.CoDel, l.Fair
	}
	if l.PIE != nil {
		there.PIE = *l.PIE
	}
	if r := l.RED; r != nil {
		there.RED = RED{Min: l.octets(q) / 6, Max: max(1, l.octets(q)/2), P: r.P}
		if r.Max != (QueueSpec{}) {
			there.RED.Min, there.RED.Max = l.octets(r.Min), l.octets(r.Max)
		}
	}
	there.Aggregate = l.Aggregate
	back = PathConfig{Delay: l.RTT - l.RTT/2, ACKLoss: l.ACKLoss, Aggregate: l.ACKAggregate}
	if l.Back.Rate > 0 {
		way := LinkSpec{Rate: l.Back.Rate, RTT: l.RTT, Queue: l.Back.Queue}
		there, _ := way.paths()
		back.Rate, back.QueueOctets, back.QueuePackets = there.Rate, there.QueueOctets, there.QueuePackets
	}
	switch {
	case l.Jitter == 0:
		back.Jitter = transmission(MTU, max(1, int64(l.rate())))
	case l.Jitter > 0:
		there.Jitter, back.Jitter = l.Jitter, l.Jitter
	}
	for _, c := range l.Changes {
		to, fro := Change{At: mono.Time(c.At), Rate: c.Rate, Delay: -1}, Change{At: mono.Time(c.At), Delay: -1}
		if c.RTT > 0 {
			to.Delay, fro.Delay = c.RTT/2, c.RTT-c.RTT/2
		}
		there.Changes, back.Changes = append(there.Changes, to), append(back.Changes, fro)
	}
	return there, back
}

// paths makes the two directions for flows of different round trips. Where one is shorter
// than the link's, the way there is shorter for all, and the way back longer for the others.
func (s *Spec) paths() (there, back PathConfig) {
	link := s.Link
	link.RTT = s.leastRTT()
	short := s.Link.RTT - link.RTT
	link.Changes = slices.Clone(link.Changes)
	for i := range link.Changes {
		if c := &link.Changes[i]; c.RTT > 0 {
			c.RTT = max(c.RTT-short, 1)
		}
	}
	there, back = link.paths()
	// The queue is as large as the link says, whatever the flows.
	full, _ := s.Link.paths()
	there.QueueOctets, there.RED, there.StepOctets = full.QueueOctets, full.RED, full.StepOctets
	return there, back
}

func (s *Spec) leastRTT() time.Duration {
	least := s.Link.RTT
	for _, f := range s.FlowSpecs {
		least = min(least, f.RTT)
	}
	return least
}

// flowDelays is by how much the round trip of each flow exceeds the shortest; nil: none does.
func (s *Spec) flowDelays(flows int) []time.Duration {
	least := s.leastRTT()
	delays := make([]time.Duration, flows)
	differs := false
	for i := range delays {
		rtt := s.Link.RTT
		if i < len(s.FlowSpecs) {
			rtt = s.FlowSpecs[i].RTT
		}
		delays[i] = rtt - least
		differs = differs || delays[i] > 0
	}
	if !differs {
		return nil
	}
	return delays
}

// queueMax is the most octets that wait.
func (p *PathConfig) queueMax() int {
	if p.QueuePackets > 0 {
		return p.QueuePackets * MTU
	}
	return p.QueueOctets
}
