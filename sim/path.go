package sim

import (
	"encoding/binary"
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
	// packet of up to 1500 octets leaves, or several that are smaller. After the last it
	// starts over.
	Trace []time.Duration
	// Changes is what becomes of Rate and Delay, in the order of its times.
	Changes []Change
	// Policer drops what arrives too fast, before the queue; Shaper lets it wait in it.
	Policer, Shaper Bucket

	// RED and PIE judge packets when they arrive at the queue, CoDel when they leave it; Fair
	// gives each flow a queue of its own, with a CoDel. MarkECT has them mark those that are
	// ECN-capable, rather than drop them.
	RED     RED
	PIE     PIE
	CoDel   CoDel
	Fair    bool
	MarkECT bool
	// StepOctets and StepPackets mark ECN-capable packets that find more in the queue; 0 does
	// not mark.
	StepOctets, StepPackets int

	Loss      float64
	Burst     Burst
	Reorder   float64       // of being held back, by up to ReorderBy
	ReorderBy time.Duration // the default is a millisecond
	Duplicate float64       // of arriving twice, the second up to ReorderBy later
	Corrupt   float64       // of arriving with one octet changed, anywhere in the frame
	ACKLoss   float64       // of a segment that carries neither data nor SYN, FIN or RST
	// Jitter adds up to so much to the delay, evenly spread, and keeps packets in order.
	Jitter time.Duration
	// Aggregate has packets arrive at multiples of it only, all at once, as links do that
	// gather frames for a turn on the air.
	Aggregate time.Duration
	// FlowDelay is added to Delay for the packets of each flow.
	FlowDelay []time.Duration
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
// Enter at each packet, loses all while it is, and turns well with probability Leave. After
// Elliott it loses a packet with probability Well while it is well, and Ill while it is not.
type Burst struct {
	Enter, Leave float64
	Well         float64
	Ill          float64 // 0 is 1
}

// Outage is a time in which a path is down.
type Outage struct{ From, To mono.Time }

// PathStats counts what became of the packets of a path.
type PathStats struct {
	Sent, Delivered uint64 // packets put in, and out at the far end, copies included
	Octets          uint64 // of IP packets that passed the queue
	QueueDrops      uint64 // no room, or dropped by its manager
	Policed         uint64
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
	spare   int // octets left in the present one, which is at free

	rateNext, delayNext int // indexes of Changes
	policer, shaper     bucket
	red                 red
	pie                 pie
	manager             manager // of the queue; nil: it judges what arrives
	busy                bool    // the manager's queue is being transmitted from
	lasts               []mono.Time

	delay delays // what packets waited in the queue
	watch func(QueueEvent)
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

func newPath(cfg PathConfig, rng *rand.Rand) *path {
	l := &path{cfg: cfg, rng: rng, policer: bucket{cfg: cfg.Policer}, shaper: bucket{cfg: cfg.Shaper}}
	l.lasts = make([]mono.Time, len(cfg.FlowDelay))
	l.red = newRED(cfg.RED, l.meanRate())
	l.pie = newPIE(cfg.PIE)
	if cfg.CoDel.Interval == 0 {
		cfg.CoDel.Interval = 100 * time.Millisecond
	}
	switch {
	case cfg.Fair:
		l.manager = newFairQueue(cfg.CoDel, rng.Uint64())
	case cfg.CoDel.Target > 0:
		l.manager = &codelQueue{codel: codel{cfg: cfg.CoDel}}
	}
	return l
}

// meanRate is the rate in bits a second, of a trace its mean.
func (l *path) meanRate() float64 {
	if n := len(l.cfg.Trace); n > 0 {
		return float64(n) * MTU * 8 / l.cfg.Trace[n-1].Seconds()
	}
	return float64(l.cfg.Rate)
}

// put decides about a frame that is sent at now, on a path whose queue judges what arrives.
func (l *path) put(now mono.Time, frame []byte) verdict {
	if v := l.admit(now, frame); v.dropped {
		return v
	}
	octets := len(frame) - wire.EthernetLen
	leaves, mark, ok := l.enqueue(now, octets, l.marks() && ecnCapable(frame))
	if !ok {
		l.stats.QueueDrops++
		l.log(QueueEvent{At: now, Kind: QueueDrop, Octets: octets})
		return verdict{dropped: true}
	}
	l.stats.Octets += uint64(octets)
	v := l.deliver(frame, leaves)
	if t := l.cfg.CEThreshold; mark || t > 0 && leaves.Sub(now) > t {
		v.mark = true
	}
	return v
}

// admit decides whether a frame reaches the queue.
func (l *path) admit(now mono.Time, frame []byte) verdict {
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
	case l.polices(now, octets):
		return verdict{dropped: true}
	}
	return verdict{}
}

// polices says whether the policer drops a packet.
func (l *path) polices(now mono.Time, octets int) bool {
	if l.cfg.Policer.Rate == 0 || l.policer.take(now, octets) {
		return false
	}
	l.stats.Policed++
	return true
}

// deliver settles what becomes of a frame behind the transmitter.
func (l *path) deliver(frame []byte, leaves mono.Time) verdict {
	v := verdict{again: mono.Never, arrives: leaves.Add(l.delayAt(leaves))}
	if l.hit(l.cfg.Corrupt) {
		l.stats.Corrupted++
		v.corrupt = true
	}
	v.left, v.squeeze = l.squeezes()
	last := &l.last
	if l.cfg.FlowDelay != nil {
		if i := flowOf(frame); i >= 0 && i < len(l.cfg.FlowDelay) {
			last = &l.lasts[i]
			v.arrives = v.arrives.Add(l.cfg.FlowDelay[i])
		}
	}
	l.schedule(&v, last)
	return v
}

// schedule settles when a packet and its copy arrive. last is when the one before did.
func (l *path) schedule(v *verdict, last *mono.Time) {
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
	v.arrives = max(*last, v.arrives.Add(l.spread(l.cfg.Jitter)))
	if g := mono.Time(l.cfg.Aggregate); g > 0 {
		v.arrives = (v.arrives + g - 1) / g * g
	}
	*last = v.arrives
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
		b := &l.cfg.Burst
		switch {
		case l.ill && b.Ill == 0:
			return true
		case l.ill && l.hit(b.Ill), !l.ill && l.hit(b.Well):
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

// markCE sets CE on an IPv4 or IPv6 packet that is ECN-capable, and says whether it was.
func markCE(frame []byte) bool {
	var eth wire.EthHeader
	if wire.ParseEthernet(frame, &eth) != nil || len(frame) < eth.Len+20 {
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

// ecnCapable says whether a packet may be marked, or is.
func ecnCapable(frame []byte) bool {
	ip := frame[wire.EthernetLen:]
	if len(ip) < 20 {
		return false
	}
	if ip[0]>>4 == 6 {
		return ip[1]>>4&3 != wire.ECNNotECT
	}
	return ip[1]&3 != wire.ECNNotECT
}

// flowOf returns which flow of a scenario a frame is of, by its client's port, which is the
// larger; negative if it is of none.
func flowOf(frame []byte) int {
	h := wire.EthernetLen + 40
	if len(frame) > wire.EthernetLen && frame[wire.EthernetLen]>>4 == 4 {
		h = wire.EthernetLen + int(frame[wire.EthernetLen]&15)*4
	}
	if len(frame) < h+4 {
		return -1
	}
	return int(max(binary.BigEndian.Uint16(frame[h:]), binary.BigEndian.Uint16(frame[h+2:]))) - portFirst
}

// parse reads the TCP segment of a frame, whether its checksums are right or not.
func parse(frame []byte, seg *wire.Segment) bool {
	var eth wire.EthHeader
	if wire.ParseEthernet(frame, &eth) != nil {
		return false
	}
	var ip wire.Packet
	if wire.ParseIP(frame[eth.Len:], &ip) != nil || ip.Proto != wire.ProtoTCP {
		return false
	}
	return wire.ParseTCP(ip.Payload, seg) == nil
}
