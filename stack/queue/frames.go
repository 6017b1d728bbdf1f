package queue

import (
	"sync"
	"sync/atomic"
)

// Frames is the received frames of one port that queues keep: their bytes stay where the port has
// put them, and are copied once, by the reader, or not at all, where they are lent. It belongs
// to the worker of the port, but for what comes home, which any goroutine sends.
//
// It is done for readers who have bytes lent, and want them where they lie; and for all readers where
// the packet is large, so that no copy is made of it into a queue that the reader copies it out of
// again. Engines alone moved 1.45 times as much at MTU 9000, and 1.9 times at 3498; of 1,500
// octets 1.03 times, for their checksum has brought those into the cache: they are copied.
//
// A frame that is kept takes from the link what it needs to receive, so there is a bound. When
// it is reached new bytes are copied as they come, and so are old ones that nobody reads, a
// frame for each that finds no room: a reader that sleeps has its bytes, and not the frames.
type Frames struct {
	pool  *Pool
	most  int // frames kept at a time
	least int // bytes worth a frame
	large int // octets of the first frame of a packet that is kept for all readers
	size  int // octets that a frame takes

	offers  []offer // the frames of the packet being looked at
	bulk    bool    // it is large
	at      int     // the first one that may be found
	batch   uint64
	out     int   // frames that are kept, or on their way home
	charged int64 // octets of them that the pool has been told of

	oldest, newest *kept // those that are out, in the order of keeping
	home           *kept // came home, to be freed
	spare          *kept
	stats          FrameStats

	_    [64]byte // back is written by readers
	back atomic.Pointer[kept]
	left atomic.Bool // the worker has ended: set under mu

	wanted atomic.Bool
	mu     sync.Mutex
	end    func(handle uint64) // where a frame goes then
}

// FrameStats counts frames whose bytes stayed where they lie.
type FrameStats struct {
	Kept    uint64 // frames
	Out     int    // at this moment
	Short   uint64 // frames that would have been kept, but most were out already: copied at once
	Spilled uint64 // frames that were kept, and copied later, to make room
}

// kept is a frame, or what of it a queue has, that a queue keeps.
type kept struct {
	handle       uint64
	batch        uint64 // when it was kept
	older, newer *kept

	home *Frames

	// Under the mutex of q.
	q          *Recv
	b          []byte
	off        uint64 // of b in the stream
	prev, next *kept  // in the queue; next is also the next one on the way home
	pins       int32  // readers and leases
	queued     bool   // there is more of it to be read
}

type offer struct {
	end    *byte // the last octet of the frame's room
	handle uint64
	kept   bool
}

// leastShare is how little of a frame's memory its bytes may be: a quarter. A peer that sends
// them one by one has them copied.
const leastShare = 4

// largeLeast is how long the first frame of a large packet is at least, and half of its room. So
// what is kept unread takes no more than twice its memory, and a packet of 1,500 octets is not.
const largeLeast = 2048

// restBatches is how many batches of frames the port receives before one that nobody reads gives
// way: some 10 ms of a busy link.
const restBatches = 256

// Init makes f ready for a port of which most frames may be kept, each of size octets.
func (f *Frames) Init(pool *Pool, most, size int) {
	f.pool, f.most, f.size = pool, most, size
	f.least, f.large = max(1, size/leastShare), max(largeLeast, size/2)
}

// KeepFrames has q keep frames of f where it can. For the worker, before the first byte.
func (q *Recv) KeepFrames(f *Frames) { q.frames = f }

// Begins says that a packet is looked at whose first frame has these octets, and whether it is any
// use to offer its frames: it is large, or somebody has had bytes lent.
func (f *Frames) Begins(first []byte) bool {
	f.bulk = len(first) >= f.large
	return f.bulk || f.wanted.Load()
}

// Begin says that a batch of frames is being looked at.
func (f *Frames) Begin() { f.batch++ }

// Offer adds a frame to those of the packet that is being looked at. data is its octets.
func (f *Frames) Offer(data []byte, handle uint64) {
	if cap(data) == 0 {
		f.offers = append(f.offers, offer{handle: handle})
		return
	}
	f.offers = append(f.offers, offer{end: &data[:cap(data)][cap(data)-1], handle: handle})
}

// Settle ends the packet. It says whether frames of it are kept, and which of those that were
// offered, in that order: kept[i]. All others are the caller's to free.
func (f *Frames) Settle(kept []bool) (some bool) {
	for i := range f.offers {
		kept[i] = f.offers[i].kept
		some = some || kept[i]
	}
	f.offers, f.at, f.bulk = f.offers[:0], 0, false
	return some
}

// find returns the offer that p is a part of; nil is that there is none. Slices of a frame end
// at the same octet, however they were cut.
func (f *Frames) find(p []byte) *offer {
	end := &p[:cap(p)][cap(p)-1]
	for ; f.at < len(f.offers); f.at++ {
		if o := &f.offers[f.at]; o.end == end && !o.kept {
			return o
		}
	}
	return nil
}

// take returns a record for a frame to be kept; nil is that most are out.
func (f *Frames) take(handle uint64) *kept {
	if f.out >= f.most && !f.makeRoom() {
		f.stats.Short++
		return nil
	}
	k := f.spare
	if k == nil {
		k = &kept{home: f}
	} else {
		f.spare = k.next
	}
	k.handle, k.batch, k.next = handle, f.batch, nil
	f.out++
	f.list(k)
	return k
}

// list appends k to those that are out.
func (f *Frames) list(k *kept) {
	k.older, k.newer = f.newest, nil
	if f.newest != nil {
		f.newest.newer = k
	} else {
		f.oldest = k
	}
	f.newest = k
}

func (f *Frames) unlist(k *kept) {
	if k.older != nil {
		k.older.newer = k.newer
	} else {
		f.oldest = k.newer
	}
	if k.newer != nil {
		k.newer.older = k.older
	} else {
		f.newest = k.older
	}
	k.older, k.newer = nil, nil
}

// makeRoom looks at the oldest frame that is out, and copies it if nobody has read it for long.
func (f *Frames) makeRoom() bool {
	k := f.oldest
	if k == nil || f.batch-k.batch < restBatches {
		return false
	}
	if k.q.spill(k) {
		f.stats.Spilled++
		f.bringHome(k)
		return true
	}
	// Lent, or on its way home: its turn comes again.
	f.unlist(k)
	k.batch = f.batch
	f.list(k)
	return false
}

// bringHome has Next return k.
func (f *Frames) bringHome(k *kept) {
	f.unlist(k)
	f.out--
	k.next, f.home = f.home, k
}

// Next returns a frame that came home, to be freed, until there is none.
func (f *Frames) Next() (handle uint64, ok bool) {
	if f.back.Load() != nil {
		for k := f.back.Swap(nil); k != nil; {
			next := k.next
			f.bringHome(k)
			k = next
		}
	}
	k := f.home
	if k == nil {
		return 0, false
	}
	f.home = k.next
	k.q, k.b = nil, nil
	k.next, f.spare = f.spare, k
	return k.handle, true
}

// Charge has what is out count against the ceiling of the pool. Called once a step.
func (f *Frames) Charge() {
	if now := int64(f.out) * int64(f.size); now != f.charged {
		f.pool.Charge(now - f.charged)
		f.charged = now
	}
}

// Stats returns the counters.
func (f *Frames) Stats() FrameStats {
	s := f.stats
	s.Out = f.out
	return s
}

// Leave ends the worker's part. What can be copied is, so that it comes home; left is told of
// the others, which readers hold, and end gets each of them as it comes, one at a time, by the
// goroutine that sends it.
func (f *Frames) Leave(free, end func(handle uint64), left func(handles []uint64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for k := f.oldest; k != nil; {
		newer := k.newer
		if k.q.spill(k) {
			f.stats.Spilled++
			f.bringHome(k)
		}
		k = newer
	}
	// Who sends a frame home puts it on the list and then looks whether the worker has left.
	f.left.Store(true)
	f.end = end
	for h, ok := f.Next(); ok; h, ok = f.Next() {
		free(h)
	}
	var held []uint64
	for k := f.oldest; k != nil; k = k.newer {
		held = append(held, k.handle)
	}
	f.Charge()
	left(held)
}

// sendHome hands over a chain of frames that nobody looks at any more.
func (f *Frames) sendHome(first, last *kept) {
	for {
		head := f.back.Load()
		last.next = head
		if f.back.CompareAndSwap(head, first) {
			break
		}
	}
	if f.left.Load() {
		f.sendLate()
	}
}

// sendLate is what the worker would do.
func (f *Frames) sendLate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for h, ok := f.Next(); ok; h, ok = f.Next() {
		f.end(h)
	}
	f.Charge()
}
