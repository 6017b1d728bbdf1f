package queue_test

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
)

// What View remembers is not what it shows when a write has overtaken a reservation, whose chunk
// it looked into, or when the chunk was given back and another is in its place.
func TestViewSeesTheChunkInPlace(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 64<<10)
	want := func(off uint64, octets string) {
		t.Helper()
		if got := q.View(off); string(got) != octets {
			t.Errorf("View(%d): got %q, want %q", off, got, octets)
		}
	}
	q.Write([]byte("first"))
	want(0, "first")
	want(2, "rst")
	want(5, "")
	r := q.Reserve(100)
	copy(r.Bytes(), "late")
	q.Write([]byte("second"))
	want(0, "firstsecond")
	want(5, "second")
	if r.Commit(4) {
		t.Error("a reservation that was overtaken is appended")
	}
	q.Release(11)
	if got := pool.InUse(); got != 0 {
		t.Errorf("%d octets in use by an empty queue", got)
	}
	var other queue.Send // takes the chunk that q gave back
	other.Init(&pool, 64<<10)
	other.Write(bytes.Repeat([]byte{'x'}, queue.ChunkSize))
	q.Write([]byte("third"))
	want(11, "third")

	// Up to the end of its chunk, and on in the next one.
	q.Write(bytes.Repeat([]byte{'y'}, 2*queue.ChunkSize))
	if got := len(q.View(11)); got != queue.ChunkSize-11 {
		t.Errorf("View shows %d octets, want those up to the end of the chunk", got)
	}
	want(queue.ChunkSize+1, string(bytes.Repeat([]byte{'y'}, queue.ChunkSize-1)))
	q.Release(queue.ChunkSize + 1)
	want(2*queue.ChunkSize+14, "yy")
}
