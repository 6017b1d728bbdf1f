package fault

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
)

// lane is one direction: it judges frames, and keeps those that wait. A frame that waits
// is a copy in a box, so that the wrapped port's own frames never do.
type lane struct {
	cfg   Direction
	rand  *rand.Rand
	bad   bool   // the state of Burst
	steps uint64 // frames that were not held back

	boxes []box
	idle  []uint32 // boxes that are empty
	// held are boxes held back, oldest first. All wait for the same number of frames and
	// the same time, so the oldest is always the first to go.
	held []uint32
	late delayed
	free mono.Time // when the bottleneck has sent what it has

	count counters
}

// box is a copy of a packet, in one piece.
type box struct {
	data  []byte
	after uint64    // held: goes when lane.steps gets here
	due   mono.Time // goes at this time at the latest
	order uint64    // breaks ties, so that equal delays keep the order
	taken bool      // with the worker
}

// init makes a lane with room boxes of size octets, if any fault of cfg needs boxes. A
// longer packet makes its box grow.
func (l *lane) init(cfg Direction, src rand.Source, room, size int) {
	l.cfg, l.rand = cfg, rand.New(src)
	if cfg.Duplicate == 0 && cfg.Reorder == 0 && !l.waits() {
		return
	}
	l.boxes = make([]box, room)
	slab := make([]byte, room*size)
	for i := range l.boxes {
		l.boxes[i].data = slab[i*size : i*size : (i+1)*size]
	}
	l.idle = make([]uint32, room)
	for i := range l.idle {
		l.idle[i] = uint32(room - 1 - i)
	}
	l.held = make([]uint32, 0, room)
	l.late = delayed{boxes: l.boxes, queue: make([]uint32, 0, room)}
}

// waits says whether every frame does.
func (l *lane) waits() bool { return l.cfg.Delay > 0 || l.cfg.Jitter > 0 || l.cfg.Rate > 0 }

// chance says yes with probability p. It draws only if there is a question, so that a
// fault that is off does not change the others.
func (l *lane) chance(p float64) bool { return p > 0 && l.rand.Float64() < p }

// admit judges the packet in frames, which it may change. True: it goes on at once. False: it
// was lost, or copied into a box, and the caller gives it back.
func (l *lane) admit(now mono.Time, frames []dataplane.Frame) bool {
	if l.lost() {
		return false
	}
	if l.chance(l.cfg.Duplicate) {
		if i, ok := l.pack(frames); ok {
			l.count.duplicated.Add(1)
			l.delay(now, i)
		}
	}
	if l.chance(l.cfg.Corrupt) {
		l.corrupt(frames)
	}
	if l.chance(l.cfg.Reorder) {
		if i, ok := l.pack(frames); ok {
			l.count.reordered.Add(1)
			l.boxes[i].after = l.steps + uint64(l.cfg.ReorderBy)
			l.boxes[i].due = now.Add(l.cfg.ReorderMax)
			l.held = append(l.held, i)
		}
		return false
	}
	l.steps++
	if l.waits() {
		if i, ok := l.pack(frames); ok {
			l.delay(now, i)
		}
		return false
	}
	l.count.passed.Add(1)
	return true
}

// lost decides on Loss and Burst.
func (l *lane) lost() bool {
	if l.chance(l.cfg.Loss) {
		l.count.lost.Add(1)
		return true
	}
	b := &l.cfg.Burst
	leave, loss := b.ToBad, b.LossGood
	if l.bad {
		leave = b.ToGood
	}
	if l.chance(leave) {
		l.bad = !l.bad
	}
	if l.bad {
		loss = b.LossBad
	}
	if l.chance(loss) {
		l.count.burstLost.Add(1)
		return true
	}
	return false
}

// corrupt flips one bit after the Ethernet header, if there is anything.
func (l *lane) corrupt(frames []dataplane.Frame) {
	const header = 14
	size := 0
	for i := range frames {
		size += len(frames[i].Data)
	}
	if size <= header {
		return
	}
	bit := l.rand.IntN(8 * (size - header))
	at := header + bit/8
	for i := range frames {
		if data := frames[i].Data; at < len(data) {
			data[at] ^= 1 << (bit % 8)
			break
		}
		at -= len(frames[i].Data)
	}
	l.count.corrupted.Add(1)
}

// pack copies a packet into an idle box.
func (l *lane) pack(frames []dataplane.Frame) (uint32, bool) {
	if len(l.idle) == 0 {
		l.count.overflowed.Add(1)
		return 0, false
	}
	i := l.idle[len(l.idle)-1]
	l.idle = l.idle[:len(l.idle)-1]
	b := l.boxes[i].data[:0]
	for j := range frames {
		b = append(b, frames[j].Data...)
	}
	l.boxes[i].data = b
	return i, true
}

// unpack makes a box idle again.
func (l *lane) unpack(i uint32) { l.idle = append(l.idle, i) }

// delay queues a box for when the bottleneck has sent it and its delay is over, which may be
// now. One that finds no room at the bottleneck is lost.
func (l *lane) delay(now mono.Time, i uint32) {
	at, ok := l.transmit(now, len(l.boxes[i].data))
	if !ok {
		l.count.queueDropped.Add(1)
		l.unpack(i)
		return
	}
	d := l.cfg.Delay
	if l.cfg.Jitter > 0 {
		d += time.Duration(l.rand.Int64N(int64(l.cfg.Jitter) + 1))
	}
	if d > 0 || at > now {
		l.count.delayed.Add(1)
	}
	l.late.order++
	l.boxes[i].due, l.boxes[i].order = at.Add(d), l.late.order
	l.late.push(i)
}

// transmit returns when the bottleneck will have sent so many octets, if they find room.
func (l *lane) transmit(now mono.Time, octets int) (mono.Time, bool) {
	if l.cfg.Rate == 0 {
		return now, true
	}
	l.free = max(l.free, now)
	end := l.free.Add(time.Duration(int64(octets) * 8 * int64(time.Second) / l.cfg.Rate))
	room := time.Duration(int64(l.cfg.Queue) * 8 * int64(time.Second) / l.cfg.Rate)
	if l.free > now && end.Sub(now) > room {
		return 0, false
	}
	l.free = end
	return end, true
}

// due moves on the boxes held back long enough, and returns the next one whose delay is
// over, without removing it; done does.
func (l *lane) due(now mono.Time) (uint32, bool) {
	for len(l.held) > 0 {
		i := l.held[0]
		if l.steps < l.boxes[i].after && now < l.boxes[i].due {
			break
		}
		l.held = l.held[:copy(l.held, l.held[1:])]
		l.delay(now, i)
	}
	if len(l.late.queue) == 0 || now < l.boxes[l.late.queue[0]].due {
		return 0, false
	}
	return l.late.queue[0], true
}

// done removes the box that due returned from the queue. It is not idle yet.
func (l *lane) done(now mono.Time) {
	if b := &l.boxes[l.late.queue[0]]; l.cfg.LateMax > 0 && now.Sub(b.due) > l.cfg.LateMax {
		l.count.late.Add(1)
	}
	l.late.pop()
	l.count.passed.Add(1)
}

// next is the earliest time at which due will have something.
func (l *lane) next() mono.Time {
	at := mono.Never
	if len(l.held) > 0 {
		at = l.boxes[l.held[0]].due
	}
	if len(l.late.queue) > 0 {
		at = min(at, l.boxes[l.late.queue[0]].due)
	}
	return at
}

// delayed is a heap of boxes by the time they are due. It never grows: there is room for
// every box. (container/heap would allocate an interface for each number.)
type delayed struct {
	boxes []box
	queue []uint32
	order uint64
}

func (d *delayed) less(i, j int) bool {
	a, b := &d.boxes[d.queue[i]], &d.boxes[d.queue[j]]
	return a.due < b.due || a.due == b.due && a.order < b.order
}

func (d *delayed) swap(i, j int) { d.queue[i], d.queue[j] = d.queue[j], d.queue[i] }

func (d *delayed) push(box uint32) {
	d.queue = append(d.queue, box)
	for i := len(d.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !d.less(i, up) {
			return
		}
		d.swap(i, up)
		i = up
	}
}

// pop removes the first box.
func (d *delayed) pop() {
	last := len(d.queue) - 1
	d.queue[0] = d.queue[last]
	d.queue = d.queue[:last]
	for i := 0; ; {
		down := 2*i + 1
		if down >= last {
			return
		}
		if down+1 < last && d.less(down+1, down) {
			down++
		}
		if !d.less(down, i) {
			return
		}
		d.swap(i, down)
		i = down
	}
}

type counters struct {
	passed, lost, burstLost, duplicated       atomic.Uint64
	corrupted, reordered, delayed, overflowed atomic.Uint64
	queueDropped, late                        atomic.Uint64
}

func (c *counters) read() Counters {
	return Counters{
		Passed:     c.passed.Load(),
		Lost:       c.lost.Load(),
		BurstLost:  c.burstLost.Load(),
		Duplicated: c.duplicated.Load(),
		Corrupted:  c.corrupted.Load(),
		Reordered:  c.reordered.Load(),
		Delayed:    c.delayed.Load(),
		Overflowed: c.overflowed.Load(),

		QueueDropped: c.queueDropped.Load(),
		Late:         c.late.Load(),
	}
}
