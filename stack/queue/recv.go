package queue

import (
	"sync"
	"sync/atomic"
)

// Recv is the bytes that came from the peer and the application has not read. The worker
// puts them at their final place by WriteAt, in any order, and publishes the part without
// holes by Advance; the application takes them by Read, or has them lent by Lend.
type Recv struct {
	mu   sync.Mutex
	row  row
	high uint64 // bytes before it may have been written
	shut bool
	lent *loans // nil until the first lease, and again when many have ended

	read  atomic.Uint64 // bytes before it were read, or lent
	taken atomic.Uint64 // bytes that were read, or released: what the window goes by
	end   atomic.Uint64 // bytes before it can be read
	edge  atomic.Uint64 // bytes before it were offered to the peer: the right edge of its window
	limit atomic.Int64
}

// Init makes q ready for use: at most limit octets, in chunks from pool.
func (q *Recv) Init(pool *Pool, limit int) {
	q.row.pool = pool
	q.limit.Store(int64(limit))
}

// Len returns how many bytes can be read. Safe for concurrent use.
func (q *Recv) Len() int { return int(q.end.Load() - q.read.Load()) }

// Taken returns how many bytes were read, and released if they were lent. Safe for concurrent
// use.
func (q *Recv) Taken() uint64 { return q.taken.Load() }

// End returns the offset behind the last byte that can be read. Safe for concurrent use.
func (q *Recv) End() uint64 { return q.end.Load() }

// Limit returns the most bytes that are held.
func (q *Recv) Limit() int { return int(q.limit.Load()) }

// SetLimit changes the most bytes that are held.
func (q *Recv) SetLimit(octets int) { q.limit.Store(int64(octets)) }

// Offer records the right edge of the window that the peer was told. For the worker only.
func (q *Recv) Offer(edge uint64) { q.edge.Store(edge) }

// Edge returns the right edge that the peer was told. Safe for concurrent use.
func (q *Recv) Edge() uint64 { return q.edge.Load() }

// UpdateDue says whether the reader has caught up so far that the peer should hear of it:
// the window could be at least twice what is left of the one it knows, and what is left
// is no more than half of the buffer. Safe for concurrent use; the reader asks after Read,
// and the worker decides by the same rule, so that one does not wake the other in vain.
func (q *Recv) UpdateDue() bool {
	limit := int64(q.Bound())
	end := q.end.Load()
	left := int64(q.edge.Load() - end)
	if 2*left > limit {
		return false
	}
	room := limit - int64(end-q.taken.Load())
	return room > 0 && room >= 2*left
}

// WriteAt puts p at offset off, not before End. For the worker only.
func (q *Recv) WriteAt(p []byte, off uint64) {
	for len(p) > 0 {
		in := off % ChunkSize
		n := min(len(p), int(ChunkSize-in))
		q.mu.Lock()
		if q.shut {
			q.mu.Unlock()
			return
		}
		if q.row.n == 0 {
			// The row starts at the chunk of the next byte to come, not at that of one out of order.
			q.row.first = q.end.Load() / ChunkSize
			q.row.push()
		}
		c := q.row.at(off)
		q.high = max(q.high, off+uint64(n))
		q.mu.Unlock()
		copy(c[in:], p[:n])
		p = p[n:]
		off += uint64(n)
	}
}

// Advance publishes the bytes before end to the reader. For the worker only.
func (q *Recv) Advance(end uint64) { q.end.Store(end) }

// Read moves bytes into p and returns how many; 0 when there are none. For the application
// only, one call at a time.
func (q *Recv) Read(p []byte) int {
	n := 0
	for n < len(p) {
		read := q.read.Load()
		avail := q.end.Load() - read
		if avail == 0 {
			break
		}
		in := read % ChunkSize
		m := min(uint64(len(p)-n), ChunkSize-in, avail)
		q.mu.Lock()
		if q.shut {
			q.mu.Unlock()
			break
		}
		c := q.row.at(read)
		q.mu.Unlock()

		copy(p[n:], c[in:in+m])
		n += int(m)
		q.advanceRead(m)
	}
	return n
}

// advanceRead records that m bytes more were read, and gives back what is empty.
func (q *Recv) advanceRead(m uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return
	}
	q.read.Add(m)
	q.taken.Add(m)
	q.drop()
}

// Shut drops everything: nobody will read. Later writes are dropped. Safe for concurrent
// use with either side.
func (q *Recv) Shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	q.read.Store(q.end.Load())
	q.taken.Store(q.end.Load())
	q.shutLent()
	// The worker or the reader may be copying at this moment.
	q.row.abandon()
}
