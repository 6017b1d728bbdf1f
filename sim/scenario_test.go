package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
)

// hour bounds scenarios in which every connection ends.
const hour = mono.Time(time.Hour)

// playOut runs a scenario until nothing happens any more, and wants no rule broken.
func playOut(t *testing.T, cfg scenarioConfig, end mono.Time) *scenario {
	t.Helper()
	s := newScenario(cfg)
	s.run(end)
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	return s
}

// symmetric is a link of a rate and a round trip, with a queue of one BDP both ways.
func symmetric(rate int64, rtt time.Duration) PathConfig {
	return PathConfig{Rate: rate, Delay: rtt / 2, QueueOctets: max(3000, int(float64(rate)/8*rtt.Seconds()))}
}

// TestTransfer sends data both ways over a good link and closes in good order.
func TestTransfer(t *testing.T) {
	link := symmetric(20e6, 50*time.Millisecond)
	for _, v6 := range []bool{false, true} {
		s := playOut(t, scenarioConfig{
			seed: 1, there: link, back: link, v6: v6,
			flows: []flowConfig{
				{client: behaviour{write: 3 << 20}, server: behaviour{write: 1 << 20}},
				{client: behaviour{write: 1000}, server: behaviour{write: 0, ending: endAfterPeer}},
			},
		}, hour)
		if s.flows[0].server.read != 3<<20 || s.flows[0].client.read != 1<<20 {
			t.Errorf("read %d and %d octets", s.flows[0].server.read, s.flows[0].client.read)
		}
	}
}
