package sim

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// PathConfig is one direction of a link: a queue, a transmitter of a rate, a delay, and what
// goes wrong. The zero value is a perfect path of infinite rate. Probabilities are of each
// packet, 0 to 1.
type PathConfig struct {
	// Rate is in bits a second, of IP packets; 0 is without limit.
	Rate int64
	// Delay is what every packet takes besides queue and transmission.
	Delay time.Duration
	// QueueOctets and QueuePackets bound what waits, the packet being transmitted included;
	// 0 is without limit. What finds no room is dropped (drop tail). An empty queue takes a
	// packet of any size.
	QueueOctets, QueuePackets int
	// Trace, if not nil, replaces Rate: each entry is a time after the start at which one
	// packet of up to 1500 octets leaves. After the last it starts over.
	Trace []time.Duration

	Loss      float64
	Burst     Burst
	Reorder   float64       // of being held back, by up to ReorderBy
	ReorderBy time.Duration // the default is a millisecond
	Duplicate float64       // of arriving twice, the second up to ReorderBy later
	Corrupt   float64       // of arriving with one octet changed, anywhere in the frame
	ACKLoss   float64       // of a segment that carries neither data nor SYN, FIN or RST
	// Jitter adds up to so much to the delay, evenly spread, and keeps packets in order.
	Jitter time.Duration
	// Down is when nothing passes, in virtual time. The intervals are in order.
	Down []Outage
	// CEThreshold marks ECN-capable packets that waited for longer; 0 does not mark.
	CEThreshold time.Duration
	// Narrows is when the path carries less than the hosts' MTU.
	Narrows Narrows
	// Squeeze is of the window that a segment offers being made smaller on its way.
	Squeeze float64
	// Drop, if not nil, is asked about each packet, counted from 1, and loses those that it
	// says true to. seg is valid during the call.
	Drop func(no int, now mono.Time, seg *wire.Segment) bool
}

// Burst is loss in bursts after Gilbert: a path that is well turns ill with probability
// Enter at each packet, loses all while it is, and turns well with probability Leave.
type Burst struct{ Enter, Leave float64 }

// Outage is a time in which a path is down.
type Outage struct{ From, To mono.Time }

// PathStats counts what became of the packets of a path.
type PathStats struct {
	Sent, Delivered uint64 // packets put in, and out at the far end, copies included
	Octets          uint64 // of IP packets that passed the queue
	QueueDrops      uint64 // no room
	Lost            uint64 // by chance, or by Drop
	Outage          uint64 // while it was down
	Reordered       uint64
	Duplicated      uint64
	Corrupted       uint64
	Marked          uint64 // with CE
	LostData        uint64 // for whatever reason, of those that must be sent again: data, SYN or FIN
	TooBig          uint64 // larger than what the path carries
	Squeezed        uint64 // with a smaller window than was sent
}

// path is a direction of a link at work.
type path struct {
	cfg   PathConfig
	rng   *rand.Rand
	stats PathStats
	to    int16 // the host at its end

	free    mono.Time // when the transmitter is free
	last    mono.Time // when the last packet arrived, of those in order
	ill     bool      // in a burst of loss
	no      int       // packets put in
	queue   []queued  // not transmitted yet, a ring of length a power of two
	head, n int
	octets  int // in queue
	loop    int // rounds of Trace done
	at      int // index of the next opportunity of Trace

	delay delays // what packets waited in the queue
}

type queued struct {
	leaves mono.Time
	octets int
}

// hit draws with probability p. With p = 0 nothing is drawn.
func (l *path) hit(p float64) bool { return p > 0 && l.rng.Float64() < p }

// spread returns a duration from 0 up to, but not including, d.
func (l *path) spread(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(l.rng.Int64N(int64(d)))
}

// verdict is what becomes of a packet.
type verdict struct {
	dropped bool
	arrives mono.Time
	again   mono.Time // when a copy arrives, or mono.Never
	corrupt bool
	mark    bool
	tooBig  bool // dropped for its size
	squeeze bool // offers less than was sent: left of 65536 parts
	left    uint32
}

// put decides about a frame that is sent at now.
func (l *path) put(now mono.Time, frame []byte) verdict {
	l.no++
	l.stats.Sent++
	octets := len(frame) - wire.EthernetLen
	switch {
	case l.down(now):
		l.stats.Outage++
		return verdict{dropped: true}
	case l.tooBig(now, octets):
		l.stats.TooBig++
		return verdict{dropped: true, tooBig: true}
	case l.chosen(now, frame) || l.unlucky():
		l.stats.Lost++
		return verdict{dropped: true}
	}
	leaves, ok := l.enqueue(now, octets)
	if !ok {
		l.stats.QueueDrops++
		return verdict{dropped: true}
	}
	l.stats.Octets += uint64(octets)
	v := verdict{again: mono.Never, arrives: leaves.Add(l.cfg.Delay)}
	if t := l.cfg.CEThreshold; t > 0 && leaves.Sub(now) > t {
		v.mark = true
	}
	if l.hit(l.cfg.Corrupt) {
		l.stats.Corrupted++
		v.corrupt = true
	}
	v.left, v.squeeze = l.squeezes()
	l.schedule(&v)
	return v
}

// schedule settles when a packet and its copy arrive.
func (l *path) schedule(v *verdict) {
	by := l.cfg.ReorderBy
	if by == 0 {
		by = time.Millisecond
	}
	if l.hit(l.cfg.Duplicate) {
		l.stats.Duplicated++
		v.again = v.arrives.Add(l.spread(by))
	}
	if l.hit(l.cfg.Reorder) {
		l.stats.Reordered++
		v.arrives = v.arrives.Add(l.spread(by))
		return
	}
	v.arrives = max(l.last, v.arrives.Add(l.spread(l.cfg.Jitter)))
	l.last = v.arrives
}

func (l *path) down(now mono.Time) bool {
	for len(l.cfg.Down) > 0 && l.cfg.Down[0].To <= now {
		l.cfg.Down = l.cfg.Down[1:]
	}
	return len(l.cfg.Down) > 0 && l.cfg.Down[0].From <= now
}

// unlucky draws for loss, single and in bursts.
func (l *path) unlucky() bool {
	if l.cfg.Burst.Enter > 0 {
		if l.ill {
			l.ill = !l.hit(l.cfg.Burst.Leave)
		} else {
			l.ill = l.hit(l.cfg.Burst.Enter)
		}
		if l.ill {
			return true
		}
	}
	return l.hit(l.cfg.Loss)
}

// chosen asks about a packet by what it carries.
func (l *path) chosen(now mono.Time, frame []byte) bool {
	if l.cfg.Drop == nil && l.cfg.ACKLoss == 0 {
		return false
	}
	var seg wire.Segment
	if !parse(frame, &seg) {
		return false
	}
	if l.cfg.Drop != nil && l.cfg.Drop(l.no, now, &seg) {
		return true
	}
	return seg.LEN() == 0 && seg.Flags&wire.RST == 0 && l.hit(l.cfg.ACKLoss)
}

// enqueue returns when the packet has left the transmitter; false if the queue is full.
func (l *path) enqueue(now mono.Time, octets int) (leaves mono.Time, ok bool) {
	if l.cfg.Rate == 0 && l.cfg.Trace == nil {
		return now, true
	}
	for l.n > 0 && l.queue[l.head].leaves <= now {
		l.octets -= l.queue[l.head].octets
		l.head = (l.head + 1) & (len(l.queue) - 1)
		l.n--
	}
	c := &l.cfg
	if l.n > 0 && (c.QueueOctets > 0 && l.octets+octets > c.QueueOctets || c.QueuePackets > 0 && l.n >= c.QueuePackets) {
		return 0, false
	}
	begins := max(now, l.free)
	if c.Trace != nil {
		l.free = l.opportunity(begins)
	} else {
		l.free = begins.Add(transmission(octets, c.Rate))
	}
	l.delay.add(now, begins.Sub(now))
	l.push(queued{l.free, octets})
	return l.free, true
}

// opportunity takes the first entry of the trace at or after t.
func (l *path) opportunity(t mono.Time) mono.Time {
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

// transmission is how long octets take at rate bits a second. A packet of 64 KiB in
// nanobits is 5e14, far from overflow.
func transmission(octets int, rate int64) time.Duration {
	return time.Duration(math.Ceil(float64(octets) * 8e9 / float64(rate)))
}

// markCE sets CE on an IPv4 or IPv6 packet that is ECN-capable, and says whether it was.
func markCE(frame []byte) bool {
	eth, err := wire.ParseEthernet(frame)
	if err != nil || len(frame) < eth.Len+20 {
		return false
	}
	ip := frame[eth.Len:]
	if ip[0]>>4 == 6 {
		if ip[1]>>4&3 == wire.ECNNotECT {
			return false
		}
		ip[1] |= wire.ECNCE << 4
		return true
	}
	if ip[1]&3 == wire.ECNNotECT {
		return false
	}
	// Update the header checksum by the word that changes (RFC 1624, equation 3).
	was := binary.BigEndian.Uint16(ip[0:2])
	ip[1] |= wire.ECNCE
	is := binary.BigEndian.Uint16(ip[0:2])
	sum := uint32(^binary.BigEndian.Uint16(ip[10:12])) + uint32(^was) + uint32(is)
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(ip[10:12], ^uint16(sum))
	return true
}

// parse reads the TCP segment of a frame, whether its checksums are right or not.
func parse(frame []byte, seg *wire.Segment) bool {
	eth, err := wire.ParseEthernet(frame)
	if err != nil {
		return false
	}
	var ip wire.Packet
	if wire.ParseIP(frame[eth.Len:], &ip) != nil || ip.Proto != wire.ProtoTCP {
		return false
	}
	return wire.ParseTCP(ip.Payload, seg) == nil
}
