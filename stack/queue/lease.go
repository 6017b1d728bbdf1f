package queue

// Lease is bytes of a Recv lent to a reader, where they lie, until Release. It is a value with
// one owner: copies of it must not be released. Neither a later Read nor Shut touches the bytes.
type Lease struct {
	q *Recv
	b []byte
	c *chunk // that holds b; nil is that k does, or that b is a copy
	k *kept  // that holds b
}

// Bytes returns the bytes, which are not to be changed; nil after Release.
func (l *Lease) Bytes() []byte { return l.b }

// lent is a chunk with leases in it. In the row it stays for what comes behind; out of it the
// last release gives it back.
type lent struct {
	c      *chunk
	no     uint64 // chunk number
	leases int
	out    bool // of the row: all of it was read
	dead   bool // taken from a row that was shut: the worker may still be copying into it
}

// Lend takes up to most bytes as Read does, without copying them; an empty lease is that there
// are none. They end with their chunk, or their frame, at the latest. The peer may send more for
// them when they are released, not before, so that who holds leases holds no more than the
// queue's limit.
//
// Where memory is short the bytes are copied and the chunk is given back: a few bytes that
// somebody keeps would hold ChunkSize. The copy counts against the ceiling just as well. For
// the application only, as Read.
func (q *Recv) Lend(most int) Lease {
	var one [1]Lease
	q.LendAll(one[:], most)
	return one[0]
}

// LendAll fills leases with what Lend would return one by one, up to most bytes together, and
// says how many there are. From then on frames are kept for the queue.
func (q *Recv) LendAll(leases []Lease, most int) (n int) {
	if q.frames != nil && !q.lends.Load() {
		q.lends.Store(true)
		q.frames.wanted.Store(true)
	}
	read := q.read.Load()
	left := min(uint64(max(0, most)), q.end.Load()-read)
	if left == 0 {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return 0
	}
	frames := 0
	for k := q.first(); n < len(leases) && left > 0; n++ {
		var p piece
		p, k = q.next(k, read, left)
		leases[n] = q.lease(p, read)
		read += uint64(len(p.b))
		left -= uint64(len(p.b))
		if p.k != nil {
			frames++
		}
	}
	pool := q.row.pool
	pool.leases.Add(int64(n))
	if frames > 0 {
		pool.leaseFrames.Add(uint64(frames))
	}
	q.read.Store(read)
	q.passKept(read, nil) // what is passed is pinned
	q.drop()
	return n
}

// lease lends p, which begins at offset off. The caller holds mu.
func (q *Recv) lease(p piece, off uint64) Lease {
	n := len(p.b)
	l := Lease{q: q, b: p.b[:n:n], k: p.k}
	pool := q.row.pool
	switch {
	case p.k != nil:
		// The frame takes its memory as long as the port is open, lent or not.
	case pool.Level() == Plenty:
		l.c = q.row.at(off)
		q.noteLent(l.c, off/ChunkSize)
	default:
		// Under the mutex, against the rule: nobody waits long for a copy of one chunk.
		l.b = append([]byte(nil), p.b...)
		pool.Charge(int64(n))
		pool.leaseCopies.Add(1)
	}
	return l
}

// loans is the chunks of a Recv with leases in them, by number. nil is none.
type loans struct{ list []lent }

func (l *loans) none() bool { return l == nil || len(l.list) == 0 }

// noteLent counts a lease of chunk c, number no. The caller holds mu.
func (q *Recv) noteLent(c *chunk, no uint64) {
	if q.lent == nil {
		q.lent = new(loans)
	}
	all := q.lent.list
	if last := len(all) - 1; last >= 0 && all[last].c == c {
		all[last].leases++
		return
	}
	q.lent.list = append(all, lent{c: c, no: no, leases: 1})
}

// Release ends the lease, by any goroutine; the bytes belong to the next one from then on. To
// release an empty lease, or one that was released, does nothing. It says whether the queue
// has room that the peer should hear of: see UpdateDue.
func (l *Lease) Release() (updateDue bool) {
	one := [1]Lease{*l}
	*l = Lease{}
	return ReleaseAll(one[:])
}

// ReleaseAll releases leases of one queue.
func ReleaseAll(leases []Lease) (updateDue bool) {
	var q *Recv
	for i := range leases {
		if leases[i].q != nil {
			q = leases[i].q
			break
		}
	}
	if q == nil {
		return false
	}
	var home homeward
	octets, copied, n := 0, 0, 0
	q.mu.Lock()
	for i := range leases {
		l := &leases[i]
		if l.q == nil {
			continue
		}
		n++
		octets += len(l.b)
		switch {
		case l.c != nil:
			q.unlend(l.c)
		case l.k != nil:
			q.unpin(l.k, &home)
		default:
			copied += len(l.b)
		}
		*l = Lease{}
	}
	shut := q.shut
	if !shut {
		q.taken.Add(uint64(octets))
		if q.lent.none() {
			q.drop()
		}
	}
	q.mu.Unlock()
	pool := q.row.pool
	pool.leases.Add(int64(-n))
	if copied > 0 {
		pool.Charge(int64(-copied))
	}
	home.send()
	return !shut && q.UpdateDue()
}

// unlend counts a lease of c less. The caller holds mu.
func (q *Recv) unlend(c *chunk) {
	for i := range q.lent.list {
		if l := &q.lent.list[i]; l.c == c && l.leases > 0 {
			if l.leases--; l.leases == 0 {
				q.endLent(i)
			}
			return
		}
	}
	panic("BUG: lease released twice")
}

// endLent gives back the chunk of an entry without leases. What lies in the row stays there.
func (q *Recv) endLent(i int) {
	all := q.lent.list
	switch l := &all[i]; {
	case l.dead:
		q.row.pool.forget()
	case l.out:
		q.row.pool.put(l.c)
	}
	copy(all[i:], all[i+1:])
	all[len(all)-1] = lent{}
	q.lent.list = all[:len(all)-1]
	if len(all) == 1 && cap(all) > lentIdleMax {
		q.lent = nil
	}
}

// lentIdleMax is the longest list that a queue without leases keeps.
const lentIdleMax = 16

// drop gives back the chunks that were read. Those that are lent leave the row all the same,
// but for the last one if there is more to come in it: a peer that sends octet by octet would
// have each held by a chunk of its own. The caller holds mu.
func (q *Recv) drop() {
	read := q.read.Load()
	if !q.held && read == q.high && q.lent.none() {
		q.row.dropAll()
		return
	}
	n := 0
	for q.row.n > 0 && (q.row.first+1)*ChunkSize <= read {
		q.keepLent(q.row.first, false)
		n += q.row.dropFirst()
	}
	q.row.pool.returned(n)
}

// keepLent takes chunk number no out of the row if it is lent. The caller holds mu.
func (q *Recv) keepLent(no uint64, dead bool) {
	if q.lent.none() {
		return
	}
	for i := range q.lent.list {
		if l := &q.lent.list[i]; l.no == no && !l.out {
			l.out, l.dead = true, dead
			*q.row.slot(int32(no - q.row.first)) = nil
			return
		}
	}
}

// shutLent takes what is lent out of a row that is about to be abandoned. The caller holds mu.
func (q *Recv) shutLent() {
	if q.lent.none() {
		return
	}
	for i := range q.lent.list {
		if l := &q.lent.list[i]; !l.out {
			q.keepLent(l.no, true)
		}
	}
}

// LeaseStats counts what a pool's queues lend.
type LeaseStats struct {
	Open   int64  // leases not released
	Frames uint64 // leases of what lies in a received frame; the others are of buffers
	Copies uint64 // leases that were copies, because memory was short
	Moved  uint64 // reservations that a Write overtook, so that they were copied
}

// Leases returns the counters. Safe for concurrent use.
func (p *Pool) Leases() LeaseStats {
	return LeaseStats{Open: p.leases.Load(), Frames: p.leaseFrames.Load(), Copies: p.leaseCopies.Load(), Moved: p.moved.Load()}
}
