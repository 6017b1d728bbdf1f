package tcp_test

import (
	"testing"

	"github.com/millrace-tcp/millrace/stack/wire"
)

// "FlightSize is the amount of outstanding data in the network" when the loss is found. ACKs
// that came in one batch with the duplicates left no turn to send what they made room for: that
// the network held a full window a moment ago is what counts.
// https://www.rfc-editor.org/rfc/rfc5681.html#section-3.1
func TestFlightSizeOfBatch(t *testing.T) {
	s := flight(t, 20, wire.Options{})
	s.in(wire.ACK, 1, 0, 5001) // cwnd 22,000, of which 15,000 are out
	for range 3 {
		s.in(wire.ACK, 1, 0, 5001)
	}
	if got := s.Info(s.now).Ssthresh; got != 11000 {
		t.Errorf("ssthresh = %d, want 11000, half of the window", got)
	}
}
