package queue_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
)

// nic is frames in ordinary memory, and the test in the place of their worker. What is free
// holds something else than data.
type nic struct {
	t      *testing.T
	frames queue.Frames
	mem    [][]byte
	free   []uint64
	out    map[uint64]bool // that are kept, as far as the worker knows
}

const (
	frameSize = 1024
	headerLen = 50 // of each frame, for simplicity
)

func newNIC(t *testing.T, pool *queue.Pool, frames, most int) *nic {
	return newNICOf(t, pool, frames, most, frameSize)
}

// newNICOf is newNIC with frames of size octets.
func newNICOf(t *testing.T, pool *queue.Pool, frames, most, size int) *nic {
	n := &nic{t: t, mem: make([][]byte, frames), out: make(map[uint64]bool)}
	for i := range n.mem {
		n.mem[i] = make([]byte, size)
		n.free = append(n.free, uint64(i))
	}
	n.frames.Init(pool, most, size)
	return n
}

// keeping returns a queue whose reader has had bytes lent, so that frames are kept for it.
func (n *nic) keeping(pool *queue.Pool) *queue.Recv {
	q := new(queue.Recv)
	q.Init(pool, 1<<30)
	q.KeepFrames(&n.frames)
	q.Lend(1)
	return q
}

// receive writes data at off as a worker does with what comes in one frame.
func (n *nic) receive(q *queue.Recv, data []byte, off uint64) {
	n.t.Helper()
	n.receivePacket(q, off, data)
}

// receivePacket writes, from off on, what comes in a packet of several frames.
func (n *nic) receivePacket(q *queue.Recv, off uint64, pieces ...[]byte) {
	n.t.Helper()
	if len(n.free) < len(pieces) {
		n.t.Fatal("the link has no frame left")
	}
	n.frames.Begin()
	room := make([][]byte, len(pieces))
	in := n.free[:len(pieces)]
	n.free = n.free[len(pieces):]
	for i, b := range pieces {
		room[i] = n.mem[in[i]][:headerLen+copy(n.mem[in[i]][headerLen:], b)]
	}
	if n.frames.Begins(room[0]) {
		for i, h := range in {
			n.frames.Offer(room[i], h)
		}
	}
	for _, b := range room {
		q.WriteAt(b[headerLen:], off)
		off += uint64(len(b) - headerLen)
	}
	kept := make([]bool, len(pieces))
	n.frames.Settle(kept)
	for i, h := range in {
		if kept[i] {
			n.out[h] = true
		} else {
			n.recycle(h)
		}
	}
	n.comeHome()
}

// comeHome takes back what is not looked at any more.
func (n *nic) comeHome() {
	for h, ok := n.frames.Next(); ok; h, ok = n.frames.Next() {
		if !n.out[h] {
			n.t.Fatalf("frame %d came home, and was not kept", h)
		}
		delete(n.out, h)
		n.recycle(h)
	}
	n.frames.Charge()
}

func (n *nic) recycle(h uint64) {
	for i := range n.mem[h] {
		n.mem[h][i] = 0xee
	}
	n.free = append(n.free, h)
}

func (n *nic) wantOut(want int) {
	n.t.Helper()
	n.comeHome()
	if got := n.frames.Stats().Out; got != want || len(n.out) != want || len(n.free) != len(n.mem)-want {
		n.t.Errorf("%d frames are out, %d as the worker sees it, want %d", got, len(n.out), want)
	}
}

// inside says whether b lies in memory.
func inside(b, memory []byte) bool {
	for i := range memory {
		if &memory[i] == &b[0] {
			return true
		}
	}
	return false
}

// What a frame carries is lent where it lies, and the frame is free when the lease has ended.
func TestFrameIsLent(t *testing.T) {
	var pool queue.Pool
	n := newNIC(t, &pool, 4, 2)
	q := n.keeping(&pool)
	data := pattern(900)
	n.receive(q, data, 0)
	q.Settle(900)
	first, second := q.Lend(500), q.Lend(1000)
	if !bytes.Equal(first.Bytes(), data[:500]) || !bytes.Equal(second.Bytes(), data[500:]) {
		t.Fatal("what is lent differs")
	}
	if !inside(first.Bytes(), n.mem[0]) || pool.InUse() != 0 || pool.Leases().Frames != 2 {
		t.Errorf("the lease is of a copy: %d octets of chunks, %+v", pool.InUse(), pool.Leases())
	}
	first.Release()
	n.wantOut(1)
	second.Release()
	n.wantOut(0)
	if q.Taken() != 900 {
		t.Errorf("%d octets are taken, want 900", q.Taken())
	}
}

// Nothing small is kept for a reader that copies, nor what is little beside its frame.
func TestFrameIsNotKept(t *testing.T) {
	var pool queue.Pool
	n := newNIC(t, &pool, 4, 2)
	q := n.keeping(&pool)
	n.receive(q, pattern(frameSize/4-1), 0)
	q.Settle(frameSize/4 - 1)
	n.wantOut(0)
	q.Read(make([]byte, 10))
	n.receive(q, pattern(900), frameSize/4-1)
	n.wantOut(0)
	if !n.frames.Begins(nil) {
		t.Error("frames are not wanted, though there was a lease")
	}
}

// Of a large packet the frames that are a quarter full are kept for who only reads, too, and
// are free when they were read; of the next one, which is small, none.
func TestLargePacketIsKept(t *testing.T) {
	var pool queue.Pool
	n := newNICOf(t, &pool, 8, 4, 4096)
	q := new(queue.Recv)
	q.Init(&pool, 1<<30)
	q.KeepFrames(&n.frames)
	want := pattern(4000 + 4000 + 1024 + 1023 + 1400)
	rest := want
	cut := func(size int) (b []byte) { b, rest = rest[:size], rest[size:]; return b }
	n.receivePacket(q, 0, cut(4000), cut(4000), cut(1024), cut(1023))
	n.wantOut(3)
	n.receivePacket(q, uint64(len(want)-len(rest)), cut(1400))
	n.wantOut(3)
	q.Settle(uint64(len(want)))
	got := make([]byte, len(want))
	if m := q.Read(got[:4000]); m != 4000 {
		t.Fatalf("read %d octets of 4000", m)
	}
	n.wantOut(2)
	if m := q.Read(got[4000:]); m != len(want)-4000 || !bytes.Equal(got, want) {
		t.Errorf("read %d octets of %d, or others", m, len(want)-4000)
	}
	n.wantOut(0)
	if pool.InUse() != 0 {
		t.Errorf("%d octets of chunks are left", pool.InUse())
	}
}

// A reader that never reads gets no more frames than may be out; what comes then is copied, and when
// it reads all the same, that is all there.
func TestLargePacketsForWhoSleeps(t *testing.T) {
	var pool queue.Pool
	const most, packets = 4, 10
	n := newNICOf(t, &pool, 8, most, 4096)
	q := new(queue.Recv)
	q.Init(&pool, 1<<30)
	q.KeepFrames(&n.frames)
	want := pattern(packets * 4000)
	for i := range packets {
		n.receivePacket(q, uint64(i*4000), want[i*4000:][:4000])
	}
	n.wantOut(most)
	if st := n.frames.Stats(); st.Short != packets-most {
		t.Errorf("%+v: want %d frames short", st, packets-most)
	}
	q.Settle(uint64(len(want)))
	got := make([]byte, len(want)+1)
	if got = got[:q.Read(got)]; !bytes.Equal(got, want) {
		t.Errorf("read %d octets of %d, or others", len(got), len(want))
	}
	n.wantOut(0)
}

// Frames run short: what comes is copied, and so is, after a while, what nobody reads. What is
// lent stays.
func TestFramesShort(t *testing.T) {
	var pool queue.Pool
	const most, each = 4, 900
	n := newNIC(t, &pool, 8, most)
	idle, busy := n.keeping(&pool), n.keeping(&pool)
	want := pattern(100 * each)
	for i := range most {
		n.receive(idle, want[i*each:][:each], uint64(i*each))
	}
	idle.Settle(most * each)
	lease := idle.Lend(100)
	lent := bytes.Clone(lease.Bytes())
	at := uint64(0)
	for range 1000 {
		n.receive(busy, want[:each], at)
		at += each
		busy.Settle(at)
		var both [2]queue.Lease // of a chunk there may be two
		busy.LendAll(both[:], each)
		if got := append(bytes.Clone(both[0].Bytes()), both[1].Bytes()...); !bytes.Equal(got, want[:each]) {
			t.Fatal("what is lent differs")
		}
		queue.ReleaseAll(both[:])
	}
	n.comeHome()
	st := n.frames.Stats()
	kept := st.Kept - most
	if st.Short == 0 || kept == 0 || st.Short+kept != 1000 {
		t.Errorf("%+v: want some of 1000 frames short, and the others kept", st)
	}
	if st.Spilled == 0 || st.Spilled >= most || st.Out != most-int(st.Spilled) {
		t.Errorf("%+v: want some of %d spilled, not the lent one, and the others out", st, most)
	}
	if !bytes.Equal(lease.Bytes(), lent) {
		t.Error("the lease has changed")
	}
	got := make([]byte, most*each)
	if got = got[:idle.Read(got)]; !bytes.Equal(got, want[100:most*each]) {
		t.Error("what was spilled differs")
	}
	lease.Release()
	n.wantOut(0)
}

// Frames that are out count against the ceiling of the pool.
func TestFramesAreCharged(t *testing.T) {
	var pool queue.Pool
	pool.SetMax(2 * frameSize)
	n := newNIC(t, &pool, 4, 4)
	q := n.keeping(&pool)
	for i := range 2 {
		n.receive(q, pattern(900), uint64(i*900))
	}
	if pool.Level() != queue.Full {
		t.Errorf("the level is %d with 2 frames out, want %d", pool.Level(), queue.Full)
	}
	q.Shut()
	n.wantOut(0)
	if pool.Level() != queue.Plenty {
		t.Errorf("the level is %d with none, want %d", pool.Level(), queue.Plenty)
	}
}

// reader reads and has lent at random, and checks the stream.
type reader struct {
	q    *queue.Recv
	want []byte // what is still to come
	held []heldLease
}

type heldLease struct {
	l    queue.Lease
	want []byte
}

func (r *reader) turn(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	switch rnd.IntN(5) {
	case 0:
		b := make([]byte, rnd.IntN(6000))
		b = b[:r.q.Read(b)]
		if !bytes.HasPrefix(r.want, b) {
			t.Fatalf("read %d octets that differ, %d before the end", len(b), len(r.want))
		}
		r.want = r.want[len(b):]
	case 1, 2:
		some := make([]queue.Lease, 1+rnd.IntN(5))
		for _, l := range some[:r.q.LendAll(some, rnd.IntN(4000))] {
			if !bytes.HasPrefix(r.want, l.Bytes()) {
				t.Fatalf("was lent %d octets that differ, %d before the end", len(l.Bytes()), len(r.want))
			}
			r.held = append(r.held, heldLease{l, r.want[:len(l.Bytes())]})
			r.want = r.want[len(l.Bytes()):]
		}
	case 3, 4:
		if len(r.held) > 0 {
			i := rnd.IntN(len(r.held))
			r.release(t, i)
			r.held = append(r.held[:i], r.held[i+1:]...)
		}
	}
}

func (r *reader) release(t *testing.T, i int) {
	t.Helper()
	if !bytes.Equal(r.held[i].l.Bytes(), r.held[i].want) {
		t.Fatal("a lease has changed")
	}
	r.held[i].l.Release()
}

// Whatever comes in whatever order, and however it is read: the stream is whole, and every frame
// comes home.
func TestFramesRandom(t *testing.T) {
	for seed := range uint64(60) {
		var pool queue.Pool
		rnd := rand.New(rand.NewPCG(seed, 7))
		if seed%3 == 0 {
			pool.SetMax(100_000)
		}
		n := newNIC(t, &pool, 64, 1+rnd.IntN(24))
		q := n.keeping(&pool)
		data := pattern(300_000)
		r := reader{q: q, want: data}
		next := 0
		for next < len(data) {
			next = n.burst(q, data, next, rnd)
			for range 1 + rnd.IntN(12) {
				r.turn(t, rnd)
			}
			n.comeHome()
		}
		for len(r.want) > 0 {
			r.turn(t, rnd)
		}
		n.comeHome()
		if st := n.frames.Stats(); st.Kept == 0 {
			t.Errorf("seed %d: no frame was kept: %+v", seed, st)
		}
		if seed%2 == 0 {
			q.Shut()
		}
		for i := range r.held {
			r.release(t, i)
		}
		n.wantOut(0)
		wantEmpty(t, &pool)
	}
}

// burst has a part of data from next on come in segments, some out of order, some twice, some
// overlapping, and some pruned, and returns how far it is whole.
func (n *nic) burst(q *queue.Recv, data []byte, next int, rnd *rand.Rand) int {
	end := min(len(data), next+1+rnd.IntN(8000))
	var cuts []int
	for at := next; at < end; at += 1 + rnd.IntN(900) {
		cuts = append(cuts, at)
	}
	segment := func(i int) {
		to := min(end, cuts[i]+900)
		n.receive(q, data[cuts[i]:to], uint64(cuts[i]))
	}
	if rnd.IntN(3) == 0 {
		for _, i := range rnd.Perm(len(cuts)) {
			if i > 0 {
				segment(i)
			}
		}
		if rnd.IntN(2) == 0 {
			q.Prune()
		}
	}
	for i := range cuts {
		segment(i)
		q.Settle(uint64(min(end, cuts[i]+900)))
	}
	return end
}

// The worker ends: what is queued can still be read, what is lent stays, and its frames go to the
// port one by one, while they are released by others.
func TestFramesLeave(t *testing.T) {
	for range 50 {
		var pool queue.Pool
		const each = 900
		n := newNIC(t, &pool, 32, 32)
		q := n.keeping(&pool)
		data := pattern(16 * each)
		for i := range 16 {
			n.receive(q, data[i*each:][:each], uint64(i*each))
		}
		q.Settle(uint64(len(data)))
		leases := make([]queue.Lease, 10)
		q.LendAll(leases, 1<<20)
		var all sync.WaitGroup
		for i := range leases {
			all.Go(func() {
				if !bytes.Equal(leases[i].Bytes(), data[i*each:][:each]) {
					t.Error("a lease has changed")
				}
				leases[i].Release()
			})
		}
		freed, left, ended := 0, 0, 0
		n.frames.Leave(func(h uint64) { n.recycle(h); freed++ },
			func(h uint64) { n.recycle(h); ended++ },
			func(handles []uint64) { left = len(handles) })
		all.Wait()
		if freed+left != 16 || ended != left || freed < 6 {
			t.Errorf("%d frames were freed, %d left and %d returned, of 16", freed, left, ended)
		}
		got := make([]byte, len(data))
		if got = got[:q.Read(got)]; !bytes.Equal(got, data[10*each:]) {
			t.Error("what was queued differs")
		}
		wantEmpty(t, &pool)
		if st := n.frames.Stats(); st.Out != 0 {
			t.Errorf("%+v at the end, want none out", st)
		}
	}
}

// A lease of a frame allocates nothing.
func TestFramesNoAllocation(t *testing.T) {
	var pool queue.Pool
	n := newNIC(t, &pool, 64, 64)
	q := n.keeping(&pool)
	data := pattern(900)
	at := uint64(0)
	leases := make([]queue.Lease, 32)
	turn := func() {
		for range 32 {
			n.receive(q, data, at)
			at += 900
		}
		q.Settle(at)
		queue.ReleaseAll(leases[:q.LendAll(leases, 1<<20)])
	}
	turn()
	n.free = append(make([]uint64, 0, 1<<16), n.free...)
	if allocs := testing.AllocsPerRun(100, turn); allocs != 0 {
		t.Errorf("allocs = %v, want 0", allocs)
	}
}
