package queue_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
)

// Below the ceiling a queue holds its limit, near it 64 KiB, at it what it may always hold.
func TestCeiling(t *testing.T) {
	var pool queue.Pool
	pool.SetMax(1 << 20)
	var first, second queue.Send
	first.Init(&pool, 1<<20)
	second.Init(&pool, 1<<20)
	want := func(level queue.Level, bound int) {
		t.Helper()
		if pool.Level() != level || second.Bound() != bound || second.Space() != bound-second.Len() {
			t.Errorf("level %d, bound %d, space %d; want %d, %d", pool.Level(), second.Bound(), second.Space(), level, bound)
		}
	}
	want(queue.Plenty, 1<<20)
	first.Write(make([]byte, 3<<18))
	want(queue.Pressure, queue.PressureOctets)
	if second.MayGrow() {
		t.Error("a queue may grow under pressure")
	}
	pool.Charge(1 << 18)
	want(queue.Full, queue.FloorOctets)
	if n := second.Write(make([]byte, 100_000)); n != queue.FloorOctets {
		t.Errorf("took %d octets, want %d", n, queue.FloorOctets)
	}
	if second.Roomy() || second.Space() != 0 {
		t.Error("a full queue is roomy")
	}
	if first.Space() != 0 {
		t.Error("a queue that holds more than it may has space")
	}
	second.Release(queue.FloorOctets)
	if !second.Roomy() {
		t.Error("an empty queue is not roomy at the ceiling")
	}
	first.Release(3 << 18)
	want(queue.Plenty, 1<<20)
	pool.Charge(3 << 18)
	want(queue.Full, queue.FloorOctets)
	pool.SetMax(0)
	want(queue.Plenty, 1<<20)
}

// At the ceiling what arrives beyond the floor is refused, in order or not, and what came out
// of order can be dropped; what lies before the hole stays, and the hole can be filled again.
func TestPrune(t *testing.T) {
	var pool queue.Pool
	pool.SetMax(1)
	var q queue.Recv
	q.Init(&pool, 1<<20)
	data := pattern(100_000)
	if q.Refuses(0, 10) || q.RefusesAhead() {
		t.Error("octets are refused though none are held")
	}
	q.WriteAt(data[:5000], 0)
	q.Settle(5000)
	if q.Refuses(5000, queue.FloorOctets-5000) || !q.Refuses(5000, queue.FloorOctets-4999) || !q.RefusesAhead() {
		t.Error("the floor is not kept")
	}
	q.WriteAt(data[20_000:60_000], 20_000)
	if got := pool.InUse(); got != 7*queue.ChunkSize {
		t.Errorf("%d octets in use", got)
	}
	q.Prune()
	if got := pool.InUse(); got != queue.ChunkSize {
		t.Errorf("%d octets in use after pruning, want %d", got, queue.ChunkSize)
	}
	q.WriteAt(data[5000:30_000], 5000)
	q.Settle(30_000)
	buf := make([]byte, 50_000)
	if n := q.Read(buf); n != 30_000 || string(buf[:n]) != string(data[:n]) {
		t.Errorf("read %d octets, or others", n)
	}
	q.WriteAt(data[40_000:60_000], 40_000)
	q.Prune()
	wantEmpty(t, &pool)
}
