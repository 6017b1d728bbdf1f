package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
)

// TestCeiling: thirty flows with a tenth of the memory that they would use, over a path
// that loses and reorders. Each comes to its end, with every octet, and what was over is given
// back.
func TestCeiling(t *testing.T) {
	const flows, octets, conn, ceiling = 30, 300_000, 4 << 10, 1 << 20
	for seed := uint64(1); seed <= 5; seed++ {
		path := PathConfig{Rate: 100e6, Delay: 20 * time.Millisecond, Loss: 0.01, Reorder: 0.02, ReorderBy: 10 * time.Millisecond}
		cfg := scenarioConfig{seed: seed, there: path, back: path}
		for _, h := range []*hostOptions{&cfg.a, &cfg.b} {
			h.recvBuffer, h.sendBuffer = 256<<10, 256<<10
		}
		for range flows {
			does := behaviour{write: octets, pauses: 0.05, pauseMax: 500 * time.Millisecond}
			cfg.flows = append(cfg.flows, flowConfig{client: does, server: does})
		}
		s := newScenario(cfg)
		most, full := int64(0), 0
		const watch = 10 * time.Millisecond
		var look func(now mono.Time)
		look = func(mono.Time) {
			most = max(most, s.pool.InUse())
			if s.pool.Level() == queue.Full {
				full++
			}
			if s.network.now < mono.Time(5*time.Second) {
				s.after(watch, look)
			}
		}
		s.pool.SetMax(flows*2*conn + ceiling)
		s.after(0, look)
		s.run(mono.Time(time.Hour))
		for _, f := range s.flows {
			if f.client.read != octets || f.server.read != octets {
				t.Errorf("seed %d: flow %v: %d and %d octets arrived, want %d", seed, f.name, f.client.read, f.server.read, octets)
			}
		}
		if floor := int64(flows * 4 * (queue.FloorOctets + queue.ChunkSize)); most > ceiling+floor {
			t.Errorf("seed %d: held %d octets, want at most %d", seed, most, ceiling+floor)
		}
		if full == 0 {
			t.Errorf("seed %d: the ceiling was never reached", seed)
		}
		a, b := s.a.eng.Stats().TCP, s.b.eng.Stats().TCP
		t.Logf("seed %d: %d KiB at the most, full %d of 501 times, dropped %d in order, %d out of order",
			seed, most>>10, full, a.TCPRcvQDrop+b.TCPRcvQDrop, a.TCPOFODrop+b.TCPOFODrop)
		if err := s.finish(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
