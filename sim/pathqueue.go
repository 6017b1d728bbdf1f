package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// limited says whether the path has a queue at all.
func (l *path) limited() bool {
	return l.cfg.Rate > 0 || l.cfg.Trace != nil || l.cfg.Shaper.Rate > 0
}

// marks says whether it matters if a packet is ECN-capable.
func (l *path) marks() bool {
	return l.cfg.MarkECT || l.cfg.StepOctets > 0 || l.cfg.StepPackets > 0
}

// room says whether a queue of n packets takes another.
func (l *path) room(n, queued, octets int) bool {
	c := &l.cfg
	return n == 0 || (c.QueueOctets == 0 || queued+octets <= c.QueueOctets) && (c.QueuePackets == 0 || n < c.QueuePackets)
}

// enqueue returns when the packet has left the transmitter; false if the queue is full, or
// RED will not have it.
func (l *path) enqueue(now mono.Time, octets int, ect bool) (leaves mono.Time, mark, ok bool) {
	if !l.limited() {
		return now, false, true
	}
	l.drain(now)
	if l.cfg.RED.Max > 0 && l.red.hits(now, l.octets, l.rng) {
		if mark = ect && l.cfg.MarkECT; !mark {
			return 0, false, false
		}
	}
	if l.cfg.PIE.Target > 0 {
		var drop bool
		if mark, drop = l.pie.judge(now, l.free, l.octets, ect && l.cfg.MarkECT, l.rng); drop {
			return 0, false, false
		}
	}
	if !l.room(l.n, l.octets, octets) {
		return 0, false, false
	}
	if c := &l.cfg; c.StepOctets > 0 && l.octets > c.StepOctets || c.StepPackets > 0 && l.n > c.StepPackets {
		mark = true
	}
	begins, leaves := l.leave(max(now, l.free), octets)
	l.free = leaves
	l.delay.add(now, begins.Sub(now))
	l.push(queued{leaves, octets})
	if l.watch != nil {
		l.log(QueueEvent{At: now, Kind: QueueIn, Octets: octets})
		l.log(QueueEvent{At: leaves, Kind: QueueOut, Octets: octets, Waited: leaves.Sub(now)})
	}
	return leaves, mark, true
}

// drain lets go of what has left.
func (l *path) drain(now mono.Time) {
	for l.n > 0 && l.queue[l.head].leaves <= now {
		l.octets -= l.queue[l.head].octets
		l.red.empty = l.queue[l.head].leaves
		l.head = (l.head + 1) & (len(l.queue) - 1)
		l.n--
	}
}

// backlog is what is in the queue, and how long a packet that came now would wait.
func (l *path) backlog(now mono.Time) (octets int, wait time.Duration) {
	if l.manager != nil {
		_, octets = l.manager.backlog()
		wait = max(0, l.free.Sub(now))
		if r := l.meanRate(); r > 0 {
			wait += time.Duration(float64(octets) * 8e9 / r)
		}
		return octets, wait
	}
	l.drain(now)
	return l.octets, max(0, l.free.Sub(now))
}

// leave returns when the transmitter begins with a packet, at a time or later, and when it
// has left.
func (l *path) leave(now mono.Time, octets int) (begins, leaves mono.Time) {
	if l.cfg.Shaper.Rate > 0 {
		now = l.shaper.when(now, octets)
	}
	switch {
	case l.cfg.Trace != nil:
		t := l.opportunity(now, octets)
		return t, t
	case l.cfg.Rate == 0:
		return now, now
	}
	return now, l.transmitted(now, octets)
}

// An opportunity of a trace is for so many octets; the format counts 4 octets more in each
// packet than it has.
const (
	opportunityLen = 1504
	opportunityTax = 4
)

// opportunity returns when a packet leaves: at the present entry of the trace, which is at
// free, as far as it has room, and at those after t. A packet may begin in one and end in
// the next.
func (l *path) opportunity(t mono.Time, octets int) mono.Time {
	octets += opportunityTax
	if t > l.free {
		l.spare = 0 // what was not used is lost
	}
	at := l.free
	for octets > l.spare {
		octets -= l.spare
		at = l.nextOpportunity(t)
		l.spare = opportunityLen
	}
	l.spare -= octets
	return at
}

// nextOpportunity takes the first entry of the trace at or after t.
func (l *path) nextOpportunity(t mono.Time) mono.Time {
	trace := l.cfg.Trace
	period := max(trace[len(trace)-1], time.Millisecond)
	if rounds := int(t / mono.Time(period)); rounds > l.loop {
		l.loop, l.at = rounds, 0
	}
	for {
		at := mono.Time(l.loop) * mono.Time(period)
		at = at.Add(trace[l.at])
		if l.at++; l.at == len(trace) {
			l.at = 0
			l.loop++
		}
		if at >= t {
			return at
		}
	}
}

func (l *path) push(q queued) {
	if l.n == len(l.queue) {
		ring := make([]queued, max(16, 2*len(l.queue)))
		for i := range l.n {
			ring[i] = l.queue[(l.head+i)&(len(l.queue)-1)]
		}
		l.queue, l.head = ring, 0
	}
	l.queue[(l.head+l.n)&(len(l.queue)-1)] = q
	l.n++
	l.octets += q.octets
}
