package tcp

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The sum that goes with a copy is that of the payload as a whole, wherever chunks of the queue and
// frames of the packet end: between the two octets of a word as well.
func TestSumOfTheCopy(t *testing.T) {
	var pool queue.Pool
	var q queue.Send
	q.Init(&pool, 1<<20)
	data := make([]byte, 3*queue.ChunkSize)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	q.Write(data)
	x := &Scratch{Sums: true}
	c := &Conn{p: Params{Send: &q, Scratch: x}}
	for _, off := range []int{0, 1, queue.ChunkSize - 1, queue.ChunkSize - 2, 2*queue.ChunkSize - 1459} {
		for _, first := range []int{1, 2, 700, 701, 1448} {
			for _, n := range []int{1, 2, 1447, 1448, 9001} {
				b, rest := make([]byte, first), [][]byte{make([]byte, 401), make([]byte, 9001)}
				x.rest, x.sum = rest, 0
				if got := c.readOut(b, n, uint64(off)); got != n {
					t.Fatalf("%d octets at %d: %d were copied", n, off, got)
				}
				copied := bytes.Join([][]byte{b, rest[0], rest[1]}, nil)[:n]
				if !bytes.Equal(copied, data[off:off+n]) {
					t.Errorf("%d octets at %d, %d in the first frame: not a copy", n, off, first)
				}
				if got, want := x.sum.Fold(), wire.Sum(copied, 0).Fold(); got != want {
					t.Errorf("%d octets at %d, %d in the first frame: sum %#x, want %#x", n, off, first, got, want)
				}
			}
		}
	}
}
