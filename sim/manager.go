package sim

import "github.com/millrace-tcp/millrace/mono"

// manager is a queue whose packets are judged when they leave it, so that each has an event
// when it does. Queues that judge what arrives know at once when it will leave, and need none.
type manager interface {
	// put takes a packet, or gives up on it or on others.
	put(n *network, l *path, w waiting)
	// take gives up on what is due, and returns the next packet, and whether to mark it; not ok:
	// nothing is left.
	take(n *network, l *path) (w waiting, mark, ok bool)
	// backlog is what waits.
	backlog() (packets, octets int)
	// clear gives all that waits to f, for the end.
	clear(f func(w waiting))
}

// waiting is a packet in the queue. Cross traffic has a length only.
type waiting struct {
	ref    int32 // negative: cross traffic, of the source number -1-ref
	octets int32
	came   mono.Time
}

// fifo is packets in the order in which they came.
type fifo struct {
	ring    []waiting // of length a power of two
	head, n int
	octets  int
}

func (s *fifo) push(w waiting) {
	if s.n == len(s.ring) {
		ring := make([]waiting, max(16, 2*len(s.ring)))
		for i := range s.n {
			ring[i] = s.ring[(s.head+i)&(len(s.ring)-1)]
		}
		s.ring, s.head = ring, 0
	}
	s.ring[(s.head+s.n)&(len(s.ring)-1)] = w
	s.n++
	s.octets += int(w.octets)
}

// clear is manager's.
func (s *fifo) clear(f func(w waiting)) {
	for s.n > 0 {
		f(s.pop())
	}
}

func (s *fifo) pop() waiting {
	w := s.ring[s.head]
	s.head = (s.head + 1) & (len(s.ring) - 1)
	s.n--
	s.octets -= int(w.octets)
	return w
}

// serve puts packet ref, or one of cross traffic, into the managed queue of path number at.
func (n *network) serve(at int16, ref int32, octets int) {
	l := n.paths[at]
	l.manager.put(n, l, waiting{ref, int32(octets), n.now})
	if !l.busy {
		n.transmit(at)
	}
}

// transmit takes the next packet that the manager lets pass, and begins to send it.
func (n *network) transmit(at int16) {
	l := n.paths[at]
	w, mark, ok := l.manager.take(n, l)
	if l.busy = ok; !ok {
		return
	}
	begins, leaves := l.leave(n.now, int(w.octets))
	l.free = leaves
	l.log(QueueEvent{At: leaves, Kind: QueueOut, Octets: int(w.octets), Waited: leaves.Sub(w.came)})
	l.delay.add(n.now, begins.Sub(w.came))
	l.stats.Octets += uint64(w.octets)
	n.events.put(event{at: leaves, kind: eventTransmit, arg: at})
	if w.ref < 0 {
		return
	}
	frame := n.packets.all[w.ref].frame()
	v := l.deliver(frame, leaves)
	v.mark = mark
	n.fly(w.ref, l, &v)
}

// abandon takes what is left in a managed queue at the end.
func (n *network) abandon(l *path) {
	if l.manager == nil {
		return
	}
	l.manager.clear(func(w waiting) {
		if w.ref >= 0 {
			n.packets.drop(w.ref, placeFlying)
		}
	})
}

// flowOfPacket numbers flows, those of cross traffic from below.
func (n *network) flowOfPacket(ref int32) int {
	if ref < 0 {
		return int(ref)
	}
	return flowOf(n.packets.all[ref].frame())
}

// hit marks a packet if it can be, and loses it else.
func (n *network) hit(l *path, w waiting) (marked bool) {
	if w.ref >= 0 && ecnCapable(n.packets.all[w.ref].frame()) && l.cfg.MarkECT {
		return true
	}
	n.refuse(l, w)
	return false
}

// refuse drops a packet at the queue.
func (n *network) refuse(l *path, w waiting) {
	l.stats.QueueDrops++
	l.log(QueueEvent{At: n.now, Kind: QueueDrop, Octets: int(w.octets)})
	n.lose(w.ref)
}

// lose gives up a packet that is on a path; one of cross traffic has no buffer.
func (n *network) lose(ref int32) {
	if ref < 0 {
		return
	}
	p := &n.packets.all[ref]
	n.paths[p.path].lostData(p.frame())
	v := verdict{dropped: true}
	n.trace.add(n.now, p.from, p.frame(), &v)
	n.packets.drop(ref, placeFlying)
}
