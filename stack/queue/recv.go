package queue

import (
	"sync"
	"sync/atomic"
)

// Recv is the bytes that came from the peer and the application has not read. The worker
// puts them at their final place by WriteAt, in any order, and publishes the part without
// holes by Settle; the application takes them by Read, or has them lent by Lend. Bytes that lie
// in a frame which can be kept stay there: see Frames.
type Recv struct {
	mu   sync.Mutex
	row  row
	high uint64 // bytes before it may have been written; the worker's while held
	lent *loans // nil until the first lease, and again when many have ended

	frames *Frames // nil: none can be kept
	kept   *kept   // the last one, whose next is the first; nil: none
	shut   bool
	held   bool        // the worker writes into a chunk without the mutex, until Settle
	intoNo uint32      // the number of that chunk, modulo 2^32; the worker's
	lends  atomic.Bool // the reader has bytes lent: it did so last
	into   *chunk      // that the worker writes into; the worker's

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
func (q *Recv) Offer(edge uint64) {
	// Who sends data tells the same with each segment, and a store waits for all those before it.
	if q.edge.Load() != edge {
		q.edge.Store(edge)
	}
}

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
	if q.keeps(len(p)) && q.keep(p, off) {
		return
	}
	for len(p) > 0 {
		room := q.Room(off)
		if room == nil {
			return
		}
		n := copy(room, p)
		p = p[n:]
		off += uint64(n)
		q.Written(off)
	}
}

// Written says that bytes before end were put where Room has said. For the worker only, before
// Settle.
func (q *Recv) Written(end uint64) { q.high = max(q.high, end) }

// Copies says whether WriteAt would copy n bytes in order, at end, and not keep the frame that they
// lie in or have reason not to be called. For the worker only.
func (q *Recv) Copies(end uint64, n int) bool {
	return !q.keeps(n) && !q.Refuses(end, n)
}

// Room returns where the bytes from offset off on go, not before End, up to the end of their
// chunk; nil where nobody will read them. What is put there is nothing until Written says that it is
// there. It is valid until Settle. For the worker only.
//
// The chunk is held: the row keeps it though all of it were read, so that the mutex is taken once
// for what comes into a chunk at once, not for each segment.
func (q *Recv) Room(off uint64) []byte {
	if (q.into == nil || q.intoNo != uint32(off/ChunkSize)) && !q.hold(off) {
		return nil
	}
	return q.into[off%ChunkSize:]
}

// hold looks the chunk of offset off up for Room, and says whether there is one.
func (q *Recv) hold(off uint64) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		q.into = nil
		return false
	}
	q.into, q.intoNo = q.place(off), uint32(off/ChunkSize)
	q.held = true
	return true
}

// Settle says that the worker has written what it has for now, and publishes the bytes before end,
// which are without holes, to the reader. For the worker only.
func (q *Recv) Settle(end uint64) {
	if q.end.Load() != end {
		q.end.Store(end)
	}
	if q.into != nil {
		q.release()
	}
}

// release ends the hold.
func (q *Recv) release() {
	q.into = nil
	q.mu.Lock()
	q.held = false
	if !q.shut && q.read.Load() == q.high {
		q.drop() // the reader has been as quick
	}
	q.mu.Unlock()
}

// keeps says whether so many bytes are worth a frame. For the worker.
func (q *Recv) keeps(n int) bool {
	f := q.frames
	return f != nil && n >= f.least && (f.bulk || q.lends.Load())
}

// place returns the chunk for offset off. The caller holds mu.
func (q *Recv) place(off uint64) *chunk {
	if q.row.n == 0 {
		// The row starts at the chunk of the next byte to be read, not at that of one out of
		// order: what comes before may be written later, or lie in a frame that is spilled.
		q.row.first = q.read.Load() / ChunkSize
		q.row.push()
	}
	return q.row.at(off)
}

// piecesMax is how many pieces Read copies without taking the mutex again.
const piecesMax = 8

// Read moves bytes into p and returns how many; 0 when there are none. For the application
// only, one call at a time.
func (q *Recv) Read(p []byte) int {
	if q.lends.Load() {
		q.lends.Store(false)
	}
	var pieces [piecesMax]piece
	total := 0
	for total < len(p) {
		n := q.pin(&pieces, len(p)-total)
		if n == 0 {
			break
		}
		from := total
		for i := range n {
			total += copy(p[total:], pieces[i].b)
		}
		q.advanceRead(uint64(total-from), pieces[:n])
	}
	return total
}

// pin fills pieces with the next bytes to be read, most at the most.
func (q *Recv) pin(pieces *[piecesMax]piece, most int) (n int) {
	read := q.read.Load()
	left := min(uint64(most), q.end.Load()-read)
	if left == 0 {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.shut {
		return 0
	}
	for k := q.first(); n < piecesMax && left > 0; n++ {
		pieces[n], k = q.next(k, read, left)
		read += uint64(len(pieces[n].b))
		left -= uint64(len(pieces[n].b))
	}
	return n
}

// advanceRead records that m bytes more were read, those of pieces, and gives back what is empty.
func (q *Recv) advanceRead(m uint64, pieces []piece) {
	var home homeward
	q.mu.Lock()
	if !q.shut {
		read := q.read.Add(m)
		q.taken.Add(m)
		q.passKept(read, &home)
		q.drop()
	}
	for i := range pieces {
		if k := pieces[i].k; k != nil {
			q.unpin(k, &home)
		}
	}
	q.mu.Unlock()
	home.send()
}

// Shut drops everything: nobody will read. Later writes are dropped. Safe for concurrent
// use with either side.
func (q *Recv) Shut() {
	var home homeward
	q.mu.Lock()
	q.shut = true
	q.read.Store(q.end.Load())
	q.taken.Store(q.end.Load())
	q.shutLent()
	q.dropKept(0, &home)
	// The worker or the reader may be copying at this moment.
	q.row.abandon()
	q.mu.Unlock()
	home.send()
}
