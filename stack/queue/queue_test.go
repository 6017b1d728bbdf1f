package queue_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
)

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

func wantEmpty(t *testing.T, pool *queue.Pool) {
	t.Helper()
	if n := pool.InUse(); n != 0 {
		t.Errorf("%d octets of chunks are lent out, want 0", n)
	}
}

func TestSendTakesUpToItsLimit(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 10_000)
	data := pattern(25_000)
	if n := q.Write(data); n != 10_000 {
		t.Fatalf("Write = %d, want 10000", n)
	}
	if n := q.Write(data); n != 0 || q.Space() != 0 {
		t.Fatalf("a full queue took %d and has space %d", n, q.Space())
	}
	q.Release(4000)
	if n := q.Write(data[10_000:]); n != 4000 {
		t.Fatalf("Write after Release = %d, want 4000", n)
	}
	got := make([]byte, 20_000)
	if n := q.ReadAt(got, 4000); n != 10_000 || !bytes.Equal(got[:n], data[4000:14_000]) {
		t.Fatalf("ReadAt = %d octets, want 10000 of the stream", n)
	}
	if n := q.ReadAt(got[:5], 8190); n != 5 || !bytes.Equal(got[:5], data[8190:8195]) {
		t.Fatalf("ReadAt across chunks = %d, %x", n, got[:5])
	}
	q.Release(14_000)
	wantEmpty(t, &pool)
}

func TestSendShut(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 10_000)
	q.Write(pattern(9000))
	q.Shut()
	wantEmpty(t, &pool)
	if n := q.Write(pattern(10)); n != 0 {
		t.Errorf("a queue that is shut took %d", n)
	}
}

// Segments arrive in any order, some twice; what is read is the stream.
func TestRecvOutOfOrder(t *testing.T) {
	var pool queue.Pool
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		var q queue.Recv
		q.Init(&pool, 1<<20)
		data := pattern(100_000)
		const size = 1460
		have := make([]bool, (len(data)+size-1)/size)
		var got []byte
		next := 0
		for _, i := range r.Perm(len(have)) {
			q.WriteAt(data[i*size:min(len(data), (i+1)*size)], uint64(i*size))
			have[i] = true
			for next < len(have) && have[next] {
				next++
			}
			q.Settle(uint64(min(len(data), next*size)))
			buf := make([]byte, r.IntN(5000))
			got = append(got, buf[:q.Read(buf)]...)
		}
		rest := make([]byte, len(data))
		got = append(got, rest[:q.Read(rest)]...)
		if !bytes.Equal(got, data) {
			t.Fatalf("seed %d: the stream differs", seed)
		}
		wantEmpty(t, &pool)
	}
}

func TestRecvUpdateDue(t *testing.T) {
	var pool queue.Pool
	var q queue.Recv
	q.Init(&pool, 10_000)
	q.Offer(10_000)
	q.WriteAt(pattern(8000), 0)
	q.Settle(8000)
	if q.UpdateDue() {
		t.Error("an update is due before anything was read")
	}
	buf := make([]byte, 8000)
	q.Read(buf[:1000])
	if q.UpdateDue() {
		t.Error("3000 of room against 2000 left is worth no update")
	}
	q.Read(buf)
	if !q.UpdateDue() {
		t.Error("10000 of room against 2000 left is worth an update")
	}
	q.Offer(18_000)
	if q.UpdateDue() {
		t.Error("an update is due after it was given")
	}
}

// One application and one worker at full speed: run with -race.
func TestQueuesUnderConcurrency(t *testing.T) {
	var pool queue.Pool
	var send queue.Send
	var recv queue.Recv
	send.Init(&pool, 30_000)
	recv.Init(&pool, 30_000)
	data := pattern(4 << 20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for rest := data; len(rest) > 0; {
			rest = rest[send.Write(rest[:min(len(rest), 5000)]):]
		}
	})
	wg.Go(func() { // the worker moves one queue into the other
		buf := make([]byte, 1460)
		for off := uint64(0); off < uint64(len(data)); {
			room := 30_000 - int(off-recv.Taken())
			n := send.ReadAt(buf[:max(0, min(room, len(buf)))], off)
			recv.WriteAt(buf[:n], off)
			off += uint64(n)
			if n == 0 || off%5 == 0 || off == uint64(len(data)) {
				recv.Settle(off) // a batch has ended
			}
			send.Release(off)
		}
	})
	var got []byte
	buf := make([]byte, 7000)
	for len(got) < len(data) {
		got = append(got, buf[:recv.Read(buf)]...)
	}
	wg.Wait()
	if !bytes.Equal(got, data) {
		t.Error("the stream differs")
	}
	wantEmpty(t, &pool)
}

// The worker writes into a chunk without asking again, whatever the reader does meanwhile: the
// chunk stays until the batch has ended, and no longer.
func TestRecvHoldsAChunkForABatch(t *testing.T) {
	var pool queue.Pool
	var q, other queue.Recv
	q.Init(&pool, 1<<20)
	other.Init(&pool, 1<<20)
	got := make([]byte, 100)
	wantRead := func(q *queue.Recv, want string) {
		t.Helper()
		if n := q.Read(got); string(got[:n]) != want {
			t.Errorf("read %q, want %q", got[:n], want)
		}
	}
	q.WriteAt([]byte("one"), 0)
	q.Settle(3)
	room := q.Room(3)
	wantRead(&q, "one")
	other.WriteAt([]byte("stranger"), 0) // takes the chunk if it was given back
	copy(room, "two")
	q.Written(6)
	wantRead(&q, "")
	q.Settle(6)
	other.Settle(8)
	wantRead(&q, "two")
	wantRead(&other, "stranger")
	wantEmpty(t, &pool)
	if copy(q.Room(6), "lost") != 4 {
		t.Error("no room for four octets")
	}
	q.Settle(6)
	wantEmpty(t, &pool) // what was put into Room alone was never there

	// Memory runs short: what lies ahead goes, and is not written to any more.
	q.WriteAt([]byte("ahead"), 6+queue.ChunkSize)
	q.Prune()
	wantEmpty(t, &pool)
	q.WriteAt([]byte("three"), 6)
	q.Settle(11)
	wantRead(&q, "three")
	wantEmpty(t, &pool)
}

// Either side may be copying while the other shuts the queue: run with -race.
func TestShutUnderConcurrency(t *testing.T) {
	for range 200 {
		var pool queue.Pool
		var send queue.Send
		var recv queue.Recv
		send.Init(&pool, 1<<20)
		recv.Init(&pool, 1<<20)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				send.Write(pattern(3000))
			}
		})
		wg.Go(func() {
			for i := range uint64(20) {
				recv.WriteAt(pattern(3000), 3000*i)
				recv.Settle(3000 * (i + 1))
			}
		})
		send.Shut()
		recv.Shut()
		wg.Wait()
		wantEmpty(t, &pool)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	var pool queue.Pool
	var send queue.Send
	var recv queue.Recv
	send.Init(&pool, 1<<16)
	recv.Init(&pool, 1<<16)
	buf := make([]byte, 1460)
	off := uint64(0)
	step := func() {
		send.Write(buf)
		send.ReadAt(buf, off)
		recv.WriteAt(buf, off)
		off += uint64(len(buf))
		send.Release(off)
		recv.Settle(off)
		recv.Read(buf)
	}
	if n := testing.AllocsPerRun(5000, step); n != 0 {
		t.Errorf("allocs = %v, want 0", n)
	}
}

func BenchmarkSegmentThroughBothQueues(b *testing.B) {
	var pool queue.Pool
	var send queue.Send
	var recv queue.Recv
	send.Init(&pool, 1<<20)
	recv.Init(&pool, 1<<20)
	buf := make([]byte, 1460)
	off := uint64(0)
	b.SetBytes(1460)
	for b.Loop() {
		send.Write(buf)
		send.ReadAt(buf, off)
		recv.WriteAt(buf, off)
		off += uint64(len(buf))
		send.Release(off)
		recv.Settle(off)
		recv.Read(buf)
	}
}
