package queue

import (
	"sync"
	"sync/atomic"
)

// Send is the bytes that the application wrote and the peer has not acknowledged. The
// application appends by Write; the worker copies any part by ReadAt, as often as it must
// be sent, and drops what is acknowledged by Release. Offsets count from the first byte.
type Send struct {
	mu      sync.Mutex
	row     row
	filling bool // Write is copying into the last chunks
	shut    bool

	reserved bool   // a Reservation is filling the last chunk
	serial   uint32 // of the last Reservation

	seen   *chunk      // that View returned last; the worker's
	seenNo uint32      // its chunk number, modulo 2^32: older ones are released long since
	moved  atomic.Bool // a chunk has taken another's place since seen was looked up

	una   atomic.Uint64 // bytes before it are acknowledged
	end   atomic.Uint64 // bytes before it are written
	limit atomic.Int64
}

// Init makes q ready for use: at most limit octets, in chunks from pool.
func (q *Send) Init(pool *Pool, limit int) {
	q.row.pool = pool
	q.limit.Store(int64(limit))
}

// Start returns the offset of the oldest byte held. Safe for concurrent use.
func (q *Send) Start() uint64 { return q.una.Load() }

// End returns the offset behind the last byte written. Safe for concurrent use.
func (q *Send) End() uint64 { return q.end.Load() }

// Len returns how many bytes are held. Safe for concurrent use.
func (q *Send) Len() int { return int(q.end.Load() - q.una.Load()) }

// Space returns how many bytes Write would take. Safe for concurrent use.
func (q *Send) Space() int { return max(0, q.Bound()-q.Len()) }

// Limit returns the most bytes that are held.
func (q *Send) Limit() int { return int(q.limit.Load()) }

// SetLimit changes the most bytes that are held. What is held already stays.
func (q *Send) SetLimit(octets int) { q.limit.Store(int64(octets)) }

// fillMax is how many chunks Write fills between two looks at the row: 64 KiB, which the worker
// sees at once when they are copied.
const fillMax = 8

// Write appends as much of p as there is space for and returns how much that was. For the
// application only, one call at a time. A queue that is shut takes nothing.
func (q *Send) Write(p []byte) int {
	written := 0
	for written < len(p) {
		var chunks [fillMax]*chunk
		end, n := q.beginFill(&chunks, len(p)-written)
		if n == 0 {
			break
		}
		in := end % ChunkSize
		for i, left := 0, p[written:written+n]; len(left) > 0; i++ {
			left = left[copy(chunks[i][in:], left):]
			in = 0
		}
		q.endFill(end + uint64(n))
		written += n
	}
	return written
}

// beginFill looks up the chunks for up to most bytes behind the last one, and returns where they
// begin and how many they are.
func (q *Send) beginFill(chunks *[fillMax]*chunk, most int) (end uint64, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.overtake()
	end = q.end.Load()
	in := int(end % ChunkSize)
	n = min(most, fillMax*ChunkSize-in, q.Space())
	if n <= 0 || q.shut {
		return end, 0
	}
	for i := range (in + n + ChunkSize - 1) / ChunkSize {
		chunks[i] = q.row.at(end - uint64(in) + uint64(i)*ChunkSize)
	}
	q.filling = true
	return end, n
}

// endFill appends what was copied into those chunks, up to end.
func (q *Send) endFill(end uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.filling = false
	if !q.shut {
		q.end.Store(end)
	}
}

// View returns the bytes from offset off on, up to the end of their chunk; none when all before off
// is all that was written. They are valid until Release passes them. For the worker only. off is
// not before Start.
func (q *Send) View(off uint64) []byte {
	end := q.end.Load()
	if off >= end {
		return nil
	}
	in := off % ChunkSize
	return q.chunkOf(off)[in:min(ChunkSize, in+(end-off))]
}

// chunkOf returns the chunk of offset off, which was written. Five full segments lie in one, so
// that the row is asked for every fifth.
func (q *Send) chunkOf(off uint64) *chunk {
	no := uint32(off / ChunkSize)
	// Who has seen the end of bytes sees that their chunk has taken another's place.
	if q.seen == nil || q.seenNo != no || q.moved.Load() {
		q.mu.Lock()
		q.moved.Store(false)
		q.seen, q.seenNo = q.row.at(off), no
		q.mu.Unlock()
	}
	return q.seen
}

// ReadAt copies the bytes from offset off on into dst and returns how many there were.
// For the worker only. off is not before Start.
func (q *Send) ReadAt(dst []byte, off uint64) int {
	n := 0
	for n < len(dst) {
		m := copy(dst[n:], q.View(off))
		if m == 0 {
			break
		}
		n += m
		off += uint64(m)
	}
	return n
}

// Release drops the bytes before offset off, at most up to End. For the worker only.
func (q *Send) Release(off uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	end := q.end.Load()
	off = min(off, end)
	q.una.Store(off)
	if off == end || int32(uint32(off/ChunkSize)-q.seenNo) > 0 {
		q.seen = nil
	}
	if off == end && !q.inUse() {
		q.row.dropAll()
		return
	}
	q.row.dropTo(off)
}

// Shut drops everything: the connection is gone. Later writes take nothing.
// For the worker only.
func (q *Send) Shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	q.seen = nil
	q.una.Store(q.end.Load())
	if q.inUse() {
		q.row.abandon()
		return
	}
	q.row.dropAll()
}

// inUse says that the application is filling the last chunk. The caller holds mu.
func (q *Send) inUse() bool { return q.filling || q.reserved }
