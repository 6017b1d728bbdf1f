package millrace_test

import (
	"testing"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// kernelEcho serves an echo on the kernel's stack of a host, and returns its address.
func kernelEcho(t *testing.T, h *lab.Host) string {
	t.Helper()
	address := h.IP4.Addr().String() + ":7"
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	echo(t, l)
	return address
}

// A veth's peer answers on whichever queue it likes: each outgoing connection is served on that
// one, and its data is not forwarded from queue to queue.
func TestOutgoingOverQueues(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{Queues: 4})
	nic := open(t, l.A, millrace.Config{Mode: millrace.ModeCopy})
	address := kernelEcho(t, l.B)
	const conns = 40
	for range conns {
		c, err := dial(l.A, nic, address)
		if err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, 100_000)
	}
	var moved, forwarded, received uint64
	for i, s := range nic.Stats() {
		moved += s.Moved
		forwarded += s.Forwarded
		received += s.RXFrames
		if s.RXFrames == 0 || s.TXFrames == 0 {
			t.Errorf("queue %d received %d frames and sent %d", i, s.RXFrames, s.TXFrames)
		}
	}
	t.Logf("%d of %d connections moved, %d of %d frames were forwarded", moved, conns, forwarded, received)
	if moved == 0 || moved > conns {
		t.Errorf("%d of %d connections moved, want about three quarters", moved, conns)
	}
	// Before they moved three quarters were forwarded. The peer may spread anew when it resends.
	if 4*forwarded > received {
		t.Errorf("%d of %d frames were forwarded", forwarded, received)
	}
}
