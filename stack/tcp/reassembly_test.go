package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// However many holes an attacker makes, 4096 ranges are remembered, and 256 while memory is
// short. One more is as if it had been lost on the way, and counted; what lies next to a range
// still joins it, and all that was kept is there when the holes are filled.
func TestHolesAreBounded(t *testing.T) {
	holesAreBounded(t, established(t, tcp.Config{}, sackOK), 4096)
	short := established(t, tcp.Config{}, sackOK)
	short.pool.SetMax(1 << 20)
	short.pool.Charge(800 << 10)
	holesAreBounded(t, short, 256)
}

func holesAreBounded(t *testing.T, s *script, ranges int) {
	t.Helper()
	const more = 44
	for i := range ranges + more {
		s.in(wire.ACK, 2+2*i, 1, 1)
		s.out()
	}
	if s.stats.TCPOFOQueue != uint64(ranges) || s.stats.TCPOFODrop != more {
		t.Errorf("%d kept, %d dropped; want %d, %d", s.stats.TCPOFOQueue, s.stats.TCPOFODrop, ranges, more)
	}
	s.in(wire.ACK, 1+2*ranges, 1, 1) // behind the last of them
	if s.stats.TCPOFODrop != more {
		t.Error("an octet that joins a range was dropped")
	}
	for i := range ranges {
		s.in(wire.ACK, 1+2*i, 1, 1)
		s.out()
	}
	if got := s.recv.Len(); got != 2*ranges+1 {
		t.Errorf("%d octets to read, want %d", got, 2*ranges+1)
	}
}
