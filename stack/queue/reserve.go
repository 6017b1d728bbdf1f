package queue

// Reservation is space of a Send lent to a writer, to be filled in place, until Commit. It is
// a value with one owner, and each is to be committed.
type Reservation struct {
	q      *Send
	b      []byte
	serial uint32
}

// Bytes returns the space, which holds anything; nil where there was none.
func (r *Reservation) Bytes() []byte { return r.b }

// Reserve lends up to n octets of space behind the last byte written; an empty reservation is
// that there is none. It ends with its chunk at the latest. For the application only, one call
// at a time with Write and Commit: a Write before the Commit overtakes it.
func (q *Send) Reserve(n int) Reservation {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.overtake()
	end := q.end.Load()
	in := int(end % ChunkSize)
	n = min(n, ChunkSize-in, q.Space())
	if n <= 0 || q.shut {
		return Reservation{}
	}
	c := q.row.at(end)
	q.reserved = true
	q.serial++
	return Reservation{q: q, b: c[in : in+n : in+n], serial: q.serial}
}

// Commit ends the reservation and appends its first n octets. It says false if those are still
// to be appended by Write, because another Write overtook them, or because the connection is
// gone: Bytes holds them. For the application only, one call at a time with Write and Reserve.
func (r *Reservation) Commit(n int) (appended bool) {
	q := r.q
	if q == nil {
		return n == 0
	}
	_ = r.b[:n] // more than was lent is a mistake of the caller's
	r.q = nil
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.reserved || q.serial != r.serial {
		q.row.pool.forget()
		return n == 0
	}
	q.reserved = false
	if q.shut {
		return n == 0
	}
	end := q.end.Load() + uint64(n)
	q.end.Store(end)
	if end == q.una.Load() {
		q.row.dropAll()
	}
	r.b = nil
	return true
}

// overtake puts a chunk of its own in the place of one that is reserved, so that who fills
// that one is in nobody's way. The caller holds mu.
func (q *Send) overtake() {
	if !q.reserved || q.shut {
		return
	}
	pool := q.row.pool
	end := q.end.Load()
	fresh := pool.get()
	// Under the mutex, against the rule: it is at most one chunk, and happens only where two
	// goroutines write at the same time. The worker may be copying out of the old chunk, whose
	// bytes stay as they are; so it goes to the garbage collector in the end.
	copy(fresh[:end%ChunkSize], q.row.at(end)[:])
	q.row.replace(end, fresh)
	q.moved.Store(true)
	q.reserved = false
	pool.moved.Add(1)
}
