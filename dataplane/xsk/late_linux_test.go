package xsk

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// What was left to readers is not missed, before Close and after, and what is not returned by one
// who has it is seen.
func TestFramesLeftToReaders(t *testing.T) {
	k := newKernel(t, 0)
	for range 4 {
		k.deliver(unix.XDPDesc{Addr: k.fillAddr() + 256, Len: 100})
	}
	n := k.Recv(k.batch[:])
	if n != 4 {
		t.Fatalf("Recv = %d, want 4", n)
	}
	k.Free(k.batch[1:2])
	left := []dataplane.Frame{k.batch[0], k.batch[2], k.batch[3]}
	k.Leave(left)
	k.wantBooks("with 3 frames left to readers")
	k.Return(left[1])
	k.wantBooks("with one of them returned")
	k.late.close(k.sock, false)
	if k.late.closed == nil || k.sock.umem == nil {
		t.Fatal("the memory is gone before the last frame was returned")
	}
	k.Return(left[2])
	k.Return(left[0])
	if k.late.closed != nil || k.sock.umem != nil {
		t.Error("the memory is still there after the last frame was returned")
	}
	defer func() {
		if recover() == nil {
			t.Error("a frame was returned twice and nobody saw it")
		}
	}()
	k.Return(left[0])
}
