package pcap

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/millrace-tcp/millrace/dataplane"
)

// direction is which way a frame went.
type direction uint8

const (
	inbound direction = iota
	outbound
)

// record is what the queue says of a frame; its octets follow.
type record struct {
	time             int64 // Unix, in nanoseconds
	length, captured uint32
	dir              direction
	missed           uint32 // frames that found no room since the record before
}

// recordHeader is the length of an encoded record.
const recordHeader = 8 + 4 + 4 + 4 + 4

// queue is a ring of octets from the worker to the writing goroutine. Indexes count from 0
// and never wrap: 64 bits outlast the machine.
type queue struct {
	buf  []byte
	mask uint64

	// The worker's.
	at      uint64 // next to write
	room    uint64 // the last value read of tail
	missing uint32 // frames that found no room since the last that did

	head atomic.Uint64 // octets before it may be read
	tail atomic.Uint64 // octets before it may be overwritten

	queued, missed atomic.Uint64

	parked atomic.Bool   // the writer sleeps, or is about to
	gate   chan struct{} // holds one wake-up
	ended  atomic.Bool
}

func newQueue(size int) *queue {
	return &queue{buf: make([]byte, size), mask: uint64(size - 1), gate: make(chan struct{}, 1)}
}

// put appends a packet, of which it copies r.captured octets, if there is room.
func (q *queue) put(r record, frames []dataplane.Frame) {
	need := uint64(recordHeader + r.captured)
	if q.at+need-q.room > uint64(len(q.buf)) {
		q.room = q.tail.Load()
		if q.at+need-q.room > uint64(len(q.buf)) {
			q.missing++
			q.missed.Add(1)
			return
		}
	}
	var b [recordHeader]byte
	binary.NativeEndian.PutUint64(b[0:], uint64(r.time))
	binary.NativeEndian.PutUint32(b[8:], r.length)
	binary.NativeEndian.PutUint32(b[12:], r.captured)
	binary.NativeEndian.PutUint32(b[16:], uint32(r.dir))
	binary.NativeEndian.PutUint32(b[20:], q.missing)
	q.missing = 0
	q.copyIn(b[:])
	left := int(r.captured)
	for i := range frames {
		n := min(left, len(frames[i].Data))
		q.copyIn(frames[i].Data[:n])
		left -= n
	}
	q.queued.Add(1)
}

// copyIn appends octets, for which there is room.
func (q *queue) copyIn(b []byte) {
	start := q.at & q.mask
	n := copy(q.buf[start:], b)
	copy(q.buf, b[n:])
	q.at += uint64(len(b))
}

// publish shows the writer what was put, and wakes it if it sleeps.
func (q *queue) publish() {
	q.head.Store(q.at)
	if q.parked.Load() {
		q.kick()
	}
}

func (q *queue) kick() {
	select {
	case q.gate <- struct{}{}:
	default:
	}
}

// end says that nothing more will be put.
func (q *queue) end() {
	q.ended.Store(true)
	q.kick()
}

// wait is for the writer: it blocks until there is something at tail, or the end has come,
// which it returns.
func (q *queue) wait(tail uint64) (ended bool) {
	for {
		// The end is read first: what was put before it is then seen.
		ended := q.ended.Load()
		if q.head.Load() != tail {
			return false
		}
		if ended {
			return true
		}
		// Say parked, look again, sleep; publish stores, then looks whether parked.
		q.parked.Store(true)
		if q.head.Load() == tail && !q.ended.Load() {
			<-q.gate
		}
		q.parked.Store(false)
	}
}

// get is for the writer: it reads the record at tail, its octets into data, and returns
// where the next begins.
func (q *queue) get(tail uint64, data []byte) (record, uint64) {
	var b [recordHeader]byte
	q.copyOut(b[:], tail)
	r := record{
		time:     int64(binary.NativeEndian.Uint64(b[0:])),
		length:   binary.NativeEndian.Uint32(b[8:]),
		captured: binary.NativeEndian.Uint32(b[12:]),
		dir:      direction(binary.NativeEndian.Uint32(b[16:])),
		missed:   binary.NativeEndian.Uint32(b[20:]),
	}
	q.copyOut(data[:r.captured], tail+recordHeader)
	return r, tail + recordHeader + uint64(r.captured)
}

func (q *queue) copyOut(b []byte, from uint64) {
	start := from & q.mask
	n := copy(b, q.buf[start:])
	copy(b[n:], q.buf)
}
