package xsk

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ring is the part that all four rings have: shared indexes that count from 0 and wrap at
// 2^32, of which each side writes one, and our own copies of both. The kernel shares
// nothing else but the flags.
type ring struct {
	producer, consumer, flags *atomic.Uint32

	mask uint32
	prod uint32 // as we know it; ours to write in the fill and TX rings
	cons uint32 // as we know it; ours to write in the RX and completion rings

	mem []byte // the mapping
}

// wakeupWanted says whether the kernel sleeps on this ring until it is told of news.
func (r *ring) wakeupWanted() bool { return r.flags.Load()&unix.XDP_RING_NEED_WAKEUP != 0 }

// available is for a ring that we consume: how many entries, at most want, can be read. It
// looks at the shared index only if what is known does not do.
func (r *ring) available(want uint32) uint32 {
	n := r.prod - r.cons
	if n < want {
		r.prod = r.producer.Load()
		n = r.prod - r.cons
	}
	return min(n, want)
}

// release tells the producer that everything before cons has been read.
func (r *ring) release() { r.consumer.Store(r.cons) }

// publish tells the consumer that everything before prod has been written.
func (r *ring) publish() { r.producer.Store(r.prod) }

// unread is for a ring that we produce: how many entries the kernel has not read yet.
func (r *ring) unread() uint32 { return r.prod - r.consumer.Load() }

// drained is for a ring that we consume: whether all was read and released. It looks at the
// shared indexes alone, so any goroutine may call it.
func (r *ring) drained() bool { return r.producer.Load() == r.consumer.Load() }

// descRing is an RX or TX ring: addresses with lengths.
type descRing struct {
	ring
	descs []unix.XDPDesc
}

// addrRing is a fill or completion ring: bare addresses.
type addrRing struct {
	ring
	addrs []uint64
}
