package pipe

import "sync/atomic"

// entry is a frame of a known owner: its index there, and its length. The packet goes on in the
// next entry if moreBit is set in that.
type entry struct{ index, length uint32 }

const moreBit = 1 << 31

// cacheLine keeps what two cores write on different lines; 128 because x86 fetches pairs.
const cacheLine = 128

// ring is a queue from one goroutine to one other. What was put is seen by the other side
// after publishPut, and room is seen after publishGet: one shared write a batch.
type ring struct {
	entries []entry
	mask    uint32
	limit   uint32 // most entries that wait; at most len(entries)

	_ [cacheLine]byte
	// The putter's side.
	putAt     uint32 // next to write
	seenTaken uint32 // the last value read of taken
	_         [cacheLine]byte
	ready     atomic.Uint32 // entries before this one may be read
	_         [cacheLine]byte
	// The taker's side.
	getAt     uint32 // next to read
	seenReady uint32 // the last value read of ready
	_         [cacheLine]byte
	taken     atomic.Uint32 // entries before this one may be overwritten
	_         [cacheLine]byte
}

// init makes a ring of size entries, a power of two, of which at most limit are used.
func (r *ring) init(size, limit int) {
	r.entries = make([]entry, size)
	r.mask = uint32(size - 1)
	r.limit = uint32(limit)
}

// room says whether n entries can be put.
func (r *ring) room(n uint32) bool {
	if r.putAt-r.seenTaken+n > r.limit {
		r.seenTaken = r.taken.Load()
	}
	return r.putAt-r.seenTaken+n <= r.limit
}

// put appends e, for which there is room.
func (r *ring) put(e entry) {
	r.entries[r.putAt&r.mask] = e
	r.putAt++
}

func (r *ring) publishPut() { r.ready.Store(r.putAt) }

// get removes the oldest entry, if one is published.
func (r *ring) get() (entry, bool) {
	if r.getAt == r.seenReady {
		r.seenReady = r.ready.Load()
		if r.getAt == r.seenReady {
			return entry{}, false
		}
	}
	e := r.entries[r.getAt&r.mask]
	r.getAt++
	return e, true
}

// whole says whether the oldest packet is of at most n entries. One is published.
func (r *ring) whole(n int) bool {
	for i := range uint32(n) {
		if r.entries[(r.getAt+i)&r.mask].length&moreBit == 0 {
			return true
		}
	}
	return false
}

func (r *ring) publishGet() { r.taken.Store(r.getAt) }

// drained says whether all that was published is taken. Any goroutine may call it.
func (r *ring) drained() bool { return r.taken.Load() == r.ready.Load() }
