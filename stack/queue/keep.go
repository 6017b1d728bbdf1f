package queue

// keep takes p at offset off by reference, if it lies in a frame that can be kept, and says
// whether it did. It is behind all other bytes, so those that are kept are in order and apart:
// what else is written lies between them, or says once more what they say. For the worker.
func (q *Recv) keep(p []byte, off uint64) bool {
	f := q.frames
	if off < q.high {
		return false
	}
	o := f.find(p)
	if o == nil {
		return false
	}
	k := f.take(o.handle)
	if k == nil {
		return false
	}
	k.q, k.b, k.off = q, p, off
	q.mu.Lock()
	if q.shut {
		q.mu.Unlock()
		f.bringHome(k)
		return false
	}
	q.enqueue(k)
	q.high = off + uint64(len(p))
	q.mu.Unlock()
	o.kept = true
	f.stats.Kept++
	return true
}

// first returns the first frame that is kept, or nil. The caller holds mu.
func (q *Recv) first() *kept {
	if q.kept == nil {
		return nil
	}
	return q.kept.next
}

// enqueue puts k behind the others. The caller holds mu.
func (q *Recv) enqueue(k *kept) {
	k.queued = true
	if last := q.kept; last != nil {
		k.prev, k.next = last, last.next
		last.next.prev, last.next = k, k
	} else {
		k.prev, k.next = k, k
	}
	q.kept = k
}

// unqueue takes k out of the queue. Its last reader, if it has one, sends it home. The caller
// holds mu.
func (q *Recv) unqueue(k *kept) {
	switch {
	case k.next == k:
		q.kept = nil
	case q.kept == k:
		q.kept = k.prev
	}
	k.prev.next, k.next.prev = k.next, k.prev
	k.prev, k.next = nil, nil
	k.queued = false
}

// spill copies what is still to be read of k into chunks, and says whether nobody looks at the
// frame any more. Under the mutex, against the rule: it is one frame. For the worker.
func (q *Recv) spill(k *kept) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !k.queued || k.pins > 0 {
		return false
	}
	off := max(k.off, q.read.Load())
	for b := k.b[off-k.off:]; len(b) > 0; {
		n := copy(q.place(off)[off%ChunkSize:], b)
		b = b[n:]
		off += uint64(n)
	}
	q.unqueue(k)
	return true
}

// piece is bytes to be read, where they lie.
type piece struct {
	b []byte
	k *kept // that they lie in, and that is pinned; nil is that they lie in a chunk
}

// next returns the bytes at offset off, at most n and as many as lie together, of which there
// is one at least. k is the first frame that ends behind off, or nil; so is the one returned for
// what follows. The caller holds mu.
func (q *Recv) next(k *kept, off, n uint64) (piece, *kept) {
	if k != nil && off >= k.off {
		b := k.b[off-k.off:]
		b = b[:min(n, uint64(len(b)))]
		k.pins++
		switch {
		case off+uint64(len(b)) < k.off+uint64(len(k.b)):
			return piece{b: b, k: k}, k
		case k == q.kept:
			return piece{b: b, k: k}, nil
		}
		return piece{b: b, k: k}, k.next
	}
	in := off % ChunkSize
	n = min(n, ChunkSize-in)
	if k != nil {
		n = min(n, k.off-off)
	}
	c := q.row.at(off)
	return piece{b: c[in : in+n : in+n]}, k
}

// homeward is frames of one port that nobody looks at any more, to be sent home at once.
type homeward struct{ first, last *kept }

func (h *homeward) add(k *kept) {
	k.next = h.first
	h.first = k
	if h.last == nil {
		h.last = k
	}
}

func (h *homeward) send() {
	if h.first != nil {
		h.first.home.sendHome(h.first, h.last)
	}
}

// unpin says that one reader less looks at k. The caller holds mu.
func (q *Recv) unpin(k *kept, home *homeward) {
	if k.pins <= 0 {
		panic("BUG: frame released twice")
	}
	if k.pins--; k.pins == 0 && !k.queued {
		home.add(k)
	}
}

// passKept takes what was read to its end out of the queue. The caller holds mu.
func (q *Recv) passKept(read uint64, home *homeward) {
	for k := q.first(); k != nil && k.off+uint64(len(k.b)) <= read; k = q.first() {
		q.unqueue(k)
		if k.pins == 0 {
			home.add(k)
		}
	}
}

// dropKept takes what lies at off and behind out of the queue. The caller holds mu.
func (q *Recv) dropKept(off uint64, home *homeward) {
	for k := q.kept; k != nil && k.off >= off; k = q.kept {
		q.unqueue(k)
		if k.pins == 0 {
			home.add(k)
		}
	}
}
