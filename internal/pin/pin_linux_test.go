package pin_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/millrace-tcp/millrace/internal/pin"
)

// A thread that is kept on one processor may use that one only; the others are as they were.
func TestThread(t *testing.T) {
	all, err := pin.Allowed()
	if err != nil || len(all) == 0 {
		t.Fatalf("got %v, %v", all, err)
	}
	for _, cpu := range all {
		done := make(chan []int)
		go func() {
			defer close(done)
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			if err := pin.Thread(cpu); err != nil {
				t.Error(err)
				return
			}
			only, err := pin.Allowed()
			if err != nil {
				t.Error(err)
			}
			done <- only
		}()
		if only := <-done; !slices.Equal(only, []int{cpu}) {
			t.Errorf("kept on %d it may use %v", cpu, only)
		}
	}
	if again, err := pin.Allowed(); err != nil || !slices.Equal(again, all) {
		t.Errorf("got %v, %v, want %v as before", again, err, all)
	}
	if pin.Thread(8000) == nil {
		t.Error("a processor that does not exist is accepted")
	}
}

func TestNear(t *testing.T) {
	if got := pin.Near(-1); got != nil {
		t.Errorf("node -1 has %v", got)
	}
	// Every machine with nodes has a node 0, though not always processors there.
	t.Logf("node 0: %v", pin.Near(0))
}
