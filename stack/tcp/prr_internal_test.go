package tcp

import (
	"fmt"
	"testing"

	"github.com/millrace-tcp/millrace/internal/oracle"
)

// O8: cwnd after ACKs 3 to 19, in segments, of a flight of 20 with the first lost.
func TestOraclePRRWindow(t *testing.T) {
	var p prr
	outstanding, sacked, lost := 22, 3, 1
	p.start(outstanding, sacked, 1)
	if p.flight != 20 {
		t.Fatalf("RecoverFS = %d, want 20", p.flight)
	}
	for i, want := range []int{19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 13, 13, 12, 12, 11, 10} {
		if i > 0 {
			sacked++
		}
		pipe := outstanding - sacked - lost
		p.onAck(1, pipe, 10, 1, false)
		oracle.Is(t, "O8", fmt.Sprintf("cwnd after ACK %d of 20 segments, the first lost", i+3), float64(want), float64(p.window), 0)
		if p.window > pipe { // one segment fits: the hole first, then new data
			p.out++
			if lost > 0 {
				lost = 0
			} else {
				outstanding++
			}
		}
	}
}

// O8's traps: products of more than 32 bits, and a difference below zero.
func TestOraclePRRArithmetic(t *testing.T) {
	p := prr{flight: 200_000}
	p.onAck(51_000, 200_000, 100_000, 1000, false)
	oracle.Is(t, "O8", "cwnd where products overflow 32 bits", 225_500, float64(p.window), 0)
	p = prr{flight: 100_000, delivered: 48_000, out: 50_000}
	p.onAck(2000, 50_000, 100_000, 1000, false)
	if p.window != 52_000 {
		t.Errorf("cwnd = %d, want 52000", p.window)
	}
	p = prr{flight: 100_000, delivered: 10_000, out: 50_000}
	p.onAck(2000, 50_000, 51_000, 1000, false)
	oracle.Is(t, "O8", "cwnd where more was sent than delivered", 51_000, float64(p.window), 0)
	p = prr{flight: 1 << 30, delivered: 1 << 29}
	p.onAck(1000, 1<<30, 1<<29, 1000, false)
	if p.window <= 1<<30 {
		t.Errorf("cwnd = %d wrapped", p.window)
	}
}
