// Package queue holds the bytes between an application and the worker of its connection:
// the one type by which data crosses goroutines. A queue has one writer and one reader.
//
// A queue is a row of pooled chunks addressed by the offset in the stream. The mutex guards
// the row: it is held for a few instructions, and what is copied lies where the other side
// does not look. The exceptions are leases and reservations that cannot have their place, of
// which each copies a chunk at the most. A queue without bytes holds no chunk.
package queue

import (
	"sync"
	"sync/atomic"
)

// ChunkSize is the unit of buffer memory, in octets. Five full segments of 1460: large
// enough that taking the lock once a chunk does not show, small enough that ten thousand
// connections with a few bytes each in both queues stay within 160 MiB.
const ChunkSize = 8 << 10

type chunk [ChunkSize]byte

// Pool lends chunks to the queues of a stack. The zero value is ready. It is safe for
// concurrent use; idle chunks go back to the garbage collector by themselves.
type Pool struct {
	free    sync.Pool
	inUse   atomic.Int64
	charged atomic.Int64 // octets besides chunks
	max     atomic.Int64 // octets; 0 is no ceiling

	leases      atomic.Int64 // see LeaseStats
	leaseCopies atomic.Uint64
	leaseFrames atomic.Uint64
	moved       atomic.Uint64

	_     [64]byte // level changes seldom and is read often
	level atomic.Uint32
}

// InUse returns how many octets of chunks are lent out.
func (p *Pool) InUse() int64 { return p.inUse.Load() * ChunkSize }

func (p *Pool) get() *chunk {
	p.inUse.Add(1)
	p.relevel()
	if c, ok := p.free.Get().(*chunk); ok {
		return c
	}
	return new(chunk)
}

func (p *Pool) put(c *chunk) {
	p.free.Put(c)
	p.returned(1)
}

// returned counts n chunks that came back.
func (p *Pool) returned(n int) {
	if n > 0 {
		p.inUse.Add(int64(-n))
		p.relevel()
	}
}

// forget takes note of a chunk that is left to the garbage collector, because the other
// side may be copying out of it or into it at this moment.
func (p *Pool) forget() {
	p.inUse.Add(-1)
	p.relevel()
}

// row is the chunks of the stream from chunk number first on; an entry is nil where nothing
// was written yet. It is a ring, so that dropping the first moves nothing.
type row struct {
	pool  *Pool
	ring  []*chunk // length a power of two, or zero
	first uint64   // chunk number: offset / ChunkSize
	head  int32    // index in ring of chunk number first
	n     int32    // entries in use
}

// at returns the chunk that holds offset off, taking one from the pool if there is none.
// off is not before the first chunk of a row that has one.
func (r *row) at(off uint64) *chunk {
	no := off / ChunkSize
	if r.n == 0 {
		r.first = no
	}
	i := int32(no - r.first)
	for r.n <= i {
		r.push()
	}
	slot := r.slot(i)
	if *slot == nil {
		*slot = r.pool.get()
	}
	return *slot
}

// slot returns entry number i.
func (r *row) slot(i int32) **chunk { return &r.ring[int(r.head+i)&(len(r.ring)-1)] }

// replace puts c in the place of the chunk that holds offset off.
func (r *row) replace(off uint64, c *chunk) {
	*r.slot(int32(off/ChunkSize - r.first)) = c
}

// push lengthens the row by an empty entry.
func (r *row) push() {
	if int(r.n) == len(r.ring) {
		ring := make([]*chunk, max(2, 2*len(r.ring)))
		for i := range r.n {
			ring[i] = *r.slot(i)
		}
		r.ring, r.head = ring, 0
	}
	*r.slot(r.n) = nil
	r.n++
}

// dropTo gives back the chunks that lie wholly before off.
func (r *row) dropTo(off uint64) {
	n := 0
	for r.n > 0 && (r.first+1)*ChunkSize <= off {
		n += r.dropFirst()
	}
	r.pool.returned(n)
}

// dropAll gives every chunk back.
func (r *row) dropAll() {
	n := 0
	for r.n > 0 {
		n += r.dropFirst()
	}
	r.pool.returned(n)
	if len(r.ring) > ringIdleMax {
		r.ring, r.head = nil, 0
	}
}

// ringIdleMax is the longest ring that an empty row keeps: 16 pointers are 128 octets.
const ringIdleMax = 16

// dropFirst gives the first chunk back, and returns how many that are, which the caller tells the
// pool.
func (r *row) dropFirst() (n int) {
	slot := r.slot(0)
	if *slot != nil {
		r.pool.free.Put(*slot)
		*slot, n = nil, 1
	}
	r.head = (r.head + 1) & int32(len(r.ring)-1)
	r.first++
	r.n--
	return n
}

// abandon leaves every chunk to the garbage collector.
func (r *row) abandon() {
	for i := range r.n {
		if *r.slot(i) != nil {
			r.pool.forget()
		}
	}
	// The pool stays as it is: both sides ask it for its level without the lock.
	r.ring, r.head, r.first, r.n = nil, 0, 0, 0
}
