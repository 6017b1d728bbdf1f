package queue_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
)

// fill puts data at the start of q.
func fill(q *queue.Recv, data []byte) {
	q.WriteAt(data, 0)
	q.Settle(uint64(len(data)))
}

// Leases are released in any order; the room that the peer is told comes with the release.
func TestLeasesInAnyOrder(t *testing.T) {
	for seed := range uint64(30) {
		var pool queue.Pool
		var q queue.Recv
		q.Init(&pool, 1<<20)
		data := pattern(100_000)
		fill(&q, data)
		r := rand.New(rand.NewPCG(seed, 1))
		var leases []queue.Lease
		for off := 0; off < len(data); {
			l := q.Lend(1 + r.IntN(12_000))
			if !bytes.Equal(l.Bytes(), data[off:off+len(l.Bytes())]) {
				t.Fatalf("seed %d: the lease at %d differs", seed, off)
			}
			off += len(l.Bytes())
			leases = append(leases, l)
		}
		if q.Len() != 0 || q.Taken() != 0 {
			t.Fatalf("%d octets to read and %d taken, want 0 and 0", q.Len(), q.Taken())
		}
		if n := pool.Leases().Open; n != int64(len(leases)) {
			t.Fatalf("%d leases are counted, want %d", n, len(leases))
		}
		for _, i := range r.Perm(len(leases)) {
			leases[i].Release()
			leases[i].Release() // does nothing
		}
		if q.Taken() != uint64(len(data)) || pool.Leases().Open != 0 {
			t.Errorf("%d octets are taken and %d leases open, want %d and 0", q.Taken(), pool.Leases().Open, len(data))
		}
		wantEmpty(t, &pool)
	}
}

// A peer that sends octet by octet does not have each lease hold a chunk of its own.
func TestLeasesOfOctetsShareAChunk(t *testing.T) {
	var pool queue.Pool
	var q queue.Recv
	q.Init(&pool, 1<<20)
	data := pattern(2 * queue.ChunkSize)
	var leases []queue.Lease
	for off := range data {
		q.WriteAt(data[off:off+1], uint64(off))
		q.Settle(uint64(off + 1))
		leases = append(leases, q.Lend(10))
	}
	if n := pool.InUse(); n != 2*queue.ChunkSize {
		t.Errorf("%d octets are in use for %d lent ones", n, len(data))
	}
	for off := range leases {
		if b := leases[off].Bytes(); len(b) != 1 || b[0] != data[off] {
			t.Fatalf("lease %d is %x", off, b)
		}
		leases[off].Release()
	}
	wantEmpty(t, &pool)
}

// A lease outlives the queue, and is counted until its end.
func TestLeaseOutlivesShut(t *testing.T) {
	var pool queue.Pool
	var q queue.Recv
	q.Init(&pool, 1<<20)
	data := pattern(3 * queue.ChunkSize)
	fill(&q, data)
	one, two := q.Lend(queue.ChunkSize), q.Lend(100)
	q.Shut()
	if n := pool.InUse(); n != 2*queue.ChunkSize {
		t.Errorf("%d octets in use, want the two chunks that are lent", n)
	}
	if l := q.Lend(1); l.Bytes() != nil {
		t.Error("a queue that is shut lends")
	}
	other := make([]queue.Recv, 4)
	for i := range other {
		other[i].Init(&pool, 1<<20)
		fill(&other[i], make([]byte, queue.ChunkSize)) // would be written over them if they were free
	}
	if !bytes.Equal(one.Bytes(), data[:queue.ChunkSize]) || !bytes.Equal(two.Bytes(), data[queue.ChunkSize:][:100]) {
		t.Error("the bytes changed while they were lent")
	}
	one.Release()
	two.Release()
	for i := range other {
		other[i].Shut()
	}
	wantEmpty(t, &pool)
}

// Where memory is short a lease is a copy, which counts against the ceiling too.
func TestLeaseCopiesUnderPressure(t *testing.T) {
	var pool queue.Pool
	var q queue.Recv
	pool.SetMax(4 * queue.ChunkSize)
	q.Init(&pool, 1<<20)
	data := pattern(4 * queue.ChunkSize)
	fill(&q, data)
	var leases []queue.Lease
	for range 8 {
		leases = append(leases, q.Lend(queue.ChunkSize/2))
	}
	if got := pool.Leases(); got.Copies == 0 || got.Open != 8 {
		t.Errorf("got %+v, want copies among 8 leases", got)
	}
	if pool.Level() == queue.Plenty {
		t.Error("the copies do not count against the ceiling")
	}
	for i := range leases {
		if !bytes.Equal(leases[i].Bytes(), data[i*queue.ChunkSize/2:][:queue.ChunkSize/2]) {
			t.Errorf("lease %d differs", i)
		}
		leases[i].Release()
	}
	if pool.Level() != queue.Plenty || q.Taken() != uint64(len(data)) {
		t.Errorf("level %d, %d octets taken after all", pool.Level(), q.Taken())
	}
	wantEmpty(t, &pool)
}

// wantSent checks what q holds.
func wantSent(t *testing.T, q *queue.Send, want []byte) {
	t.Helper()
	got := make([]byte, len(want)+1)
	if n := q.ReadAt(got, q.Start()); !bytes.Equal(got[:n], want) {
		t.Errorf("got %d octets %.20q, want %.20q", n, got[:n], want)
	}
}

func TestReserve(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 10_000)
	q.Write([]byte("abc"))
	r := q.Reserve(100_000)
	if n := len(r.Bytes()); n != queue.ChunkSize-3 {
		t.Errorf("got %d octets, want what is left of the chunk", n)
	}
	copy(r.Bytes(), "defgh")
	q.Release(3) // the chunk in use stays
	if !r.Commit(5) {
		t.Error("not appended")
	}
	wantSent(t, &q, []byte("defgh"))
	q.Release(8)
	wantEmpty(t, &pool)
	r = q.Reserve(10)
	if !r.Commit(0) {
		t.Error("nothing is not appended")
	}
	wantEmpty(t, &pool)
}

// A Write, or a second reservation, before the Commit overtakes the first.
func TestReservationOvertaken(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 100_000)
	q.Write([]byte("abc"))
	one := q.Reserve(10)
	copy(one.Bytes(), "0123456789")
	q.Write([]byte("def"))
	two := q.Reserve(10)
	copy(two.Bytes(), "ghi")
	if one.Commit(10) {
		t.Error("the first is appended in place")
	}
	if !two.Commit(3) {
		t.Error("the second is not appended")
	}
	if string(one.Bytes()) != "0123456789" {
		t.Errorf("the first holds %q", one.Bytes())
	}
	q.Write(one.Bytes())
	wantSent(t, &q, []byte("abcdefghi0123456789"))
	if n := pool.Leases().Moved; n != 1 {
		t.Errorf("%d were overtaken, want 1", n)
	}
	three := q.Reserve(10)
	q.Shut()
	if three.Commit(3) {
		t.Error("a queue that is shut takes something")
	}
	wantEmpty(t, &pool)
}

// Leases, reservations and the worker at full speed: run with -race.
func TestLeasesUnderConcurrency(t *testing.T) {
	var pool queue.Pool
	var send queue.Send
	var recv queue.Recv
	send.Init(&pool, 30_000)
	recv.Init(&pool, 30_000)
	data := pattern(256 << 10)
	var wg sync.WaitGroup
	wg.Go(func() {
		for rest := data; len(rest) > 0; {
			r := send.Reserve(5000)
			rest = rest[copy(r.Bytes(), rest):]
			r.Commit(len(r.Bytes()))
		}
	})
	wg.Go(func() {
		buf := make([]byte, 1460)
		for off := uint64(0); off < uint64(len(data)); {
			room := 30_000 - int(off-recv.Taken())
			n := send.ReadAt(buf[:max(0, min(room, len(buf)))], off)
			recv.WriteAt(buf[:n], off)
			off += uint64(n)
			recv.Settle(off)
			send.Release(off)
		}
	})
	leases := make(chan queue.Lease, 4)
	wg.Go(func() {
		defer close(leases)
		for left := len(data); left > 0; {
			if l := recv.Lend(7000); l.Bytes() != nil {
				left -= len(l.Bytes())
				leases <- l
			}
		}
	})
	var got []byte
	for l := range leases {
		got = append(got, l.Bytes()...)
		l.Release()
	}
	wg.Wait()
	if !bytes.Equal(got, data) {
		t.Error("the stream differs")
	}
	wantEmpty(t, &pool)
}
