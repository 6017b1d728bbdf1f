package sim

import "slices"

// fairQueue is FQ-CoDel (RFC 8290): flows are spread over queues by a hash, each has a CoDel,
// and they take turns by deficit round robin, those that have just begun first.
type fairQueue struct {
	queues [fairQueues]subqueue
	fresh  []int16 // queues with packets, in turn: new_flows
	old    []int16 // and old_flows
	key    uint64  // of the hash
	n      int
	octets int
}

// subqueue is the queue of the flows that one hash has.
type subqueue struct {
	codelQueue
	deficit int
	listed  bool // in fresh or old
}

// The constants. https://www.rfc-editor.org/rfc/rfc8290.html#section-5.2
const (
	fairQueues  = 1024
	fairQuantum = MTU // octets a turn
	fairBatch   = 64  // most packets that are dropped at once
)

func newFairQueue(cfg CoDel, key uint64) *fairQueue {
	q := &fairQueue{key: key}
	for i := range q.queues {
		q.queues[i].codel.cfg = cfg
	}
	return q
}

// hash spreads flows (the finalizer of splitmix64).
func (q *fairQueue) hash(flow int) int16 {
	z := q.key + uint64(flow)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int16((z ^ z>>31) % fairQueues)
}

// backlog is manager's.
func (q *fairQueue) backlog() (packets, octets int) { return q.n, q.octets }

// clear is manager's.
func (q *fairQueue) clear(f func(w waiting)) {
	for i := range q.queues {
		q.queues[i].clear(f)
	}
	q.n, q.octets = 0, 0
}

// put is manager's. The packet is taken in any case: when there is no room left, the flow that
// has the most in the queue pays.
func (q *fairQueue) put(n *network, l *path, w waiting) {
	l.log(QueueEvent{At: n.now, Kind: QueueIn, Octets: int(w.octets)})
	i := q.hash(n.flowOfPacket(w.ref))
	s := &q.queues[i]
	over := !l.room(q.n, q.octets, int(w.octets))
	s.push(w)
	q.n++
	q.octets += int(w.octets)
	if !s.listed {
		s.listed, s.deficit = true, fairQuantum
		q.fresh = append(q.fresh, i)
	}
	if over {
		q.drop(n, l)
	}
}

// drop drops from the head of the longest queue: half of its packets, at most a batch, and at
// least what is too much.
func (q *fairQueue) drop(n *network, l *path) {
	longest := &q.queues[0]
	for i := range q.queues {
		if q.queues[i].octets > longest.octets {
			longest = &q.queues[i]
		}
	}
	for range min(fairBatch, (longest.n+1)/2) {
		w := longest.pop()
		q.n--
		q.octets -= int(w.octets)
		n.refuse(l, w)
	}
}

// take is manager's. https://www.rfc-editor.org/rfc/rfc8290.html#section-4.2
func (q *fairQueue) take(n *network, l *path) (w waiting, mark, ok bool) {
	for {
		list, fresh := &q.fresh, true
		if len(q.fresh) == 0 {
			list, fresh = &q.old, false
		}
		if len(*list) == 0 {
			return waiting{}, false, false
		}
		i := (*list)[0]
		s := &q.queues[i]
		if s.deficit <= 0 {
			s.deficit += fairQuantum
			*list = slices.Delete(*list, 0, 1)
			q.old = append(q.old, i)
			continue
		}
		packets, octets := s.n, s.octets
		w, mark, ok = s.take(n, l)
		q.n -= packets - s.n
		q.octets -= octets - s.octets
		if !ok {
			// One of the new ones goes to the end of the old ones first, so that it cannot come
			// back as a new one before they had their turn.
			*list = slices.Delete(*list, 0, 1)
			if s.listed = fresh && len(q.old) > 0; s.listed {
				q.old = append(q.old, i)
			}
			continue
		}
		s.deficit -= int(w.octets)
		return w, mark, ok
	}
}
