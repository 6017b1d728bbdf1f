// Package oracles judges the stack in simulation by the models of TCP's throughput, over so
// many seeds that chance does not decide.
package oracles

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// seeds is over how many runs a figure is the mean.
const seeds = 8

// mss is the octets of data in a full segment: an MTU of 1500 less the headers and the
// timestamps option.
const mss = 1448

// runs simulates the link with each seed, and an ACK for each segment.
func runs(t *testing.T, link, cc string, d time.Duration, edit func(*sim.Spec)) [seeds]*sim.Result {
	t.Helper()
	l, err := sim.ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	var all [seeds]*sim.Result
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			spec := sim.Spec{
				Link: l, CC: []string{cc}, Algorithms: catalog.All().Creators(), Time: d, Seed: uint64(i + 1),
				TCP: tcp.Config{AckEvery: 1},
			}
			if edit != nil {
				edit(&spec)
			}
			r, err := sim.Run(spec)
			if err != nil {
				t.Errorf("seed %d: %v", i+1, err)
				return
			}
			all[i] = r
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// mean is the mean over the seeds.
func mean(all [seeds]*sim.Result, of func(r *sim.Result) float64) float64 {
	sum := 0.0
	for _, r := range all {
		sum += of(r)
	}
	return sum / seeds
}

// packets is how many segments a second the first flow carries.
func packets(r *sim.Result) float64 { return r.Flows[0].GoodputBPS / 8 / mss }

// One Reno flow over a queue of b BDP: its window swings between half and all of what pipe
// and queue hold, (1+b)/2 and (1+b) BDP, and from b = 1 on the link is never idle. The window
// exceeds what they hold by what is sent until the loss shows.
func TestOracleSawtooth(t *testing.T) {
	const bdp = 20e6 * 0.050 / 8 / sim.MTU
	for _, b := range []float64{0.5, 1, 2} {
		all := runs(t, fmt.Sprintf("rate=20mbit,rtt=50ms,queue=%gbdp", b), "reno", 2*time.Minute, nil)
		what := func(of string) string { return fmt.Sprintf("sawtooth of Reno over %v BDP of queue, %s", b, of) }
		oracle.Near(t, "model", what("least cwnd"), (1+b)/2*bdp,
			mean(all, func(r *sim.Result) float64 { return r.Flows[0].CwndPackets.Min }), 0.05)
		oracle.Near(t, "model", what("largest cwnd"), (1+b)*bdp,
			mean(all, func(r *sim.Result) float64 { return r.Flows[0].CwndPackets.Max }), 0.05)
		if b >= 1 {
			oracle.Near(t, "model", what("utilization"), 1,
				mean(all, func(r *sim.Result) float64 { return r.Link.Utilization }), 0.002)
		}
	}
}

// Mathis et al. (1997): MSS/RTT * C/√p, with C = 1.20 to 1.42 for Reno under random loss and
// an ACK for each packet. What the first slow start loses to the full queue is one event, and
// not chance: it does not count.
func TestOracleMathis(t *testing.T) {
	for _, p := range []float64{0.001, 0.003, 0.01} {
		all := runs(t, fmt.Sprintf("rate=100mbit,rtt=100ms,loss=%g", p), "reno", 5*time.Minute, nil)
		c := mean(all, func(r *sim.Result) float64 {
			lost := float64(r.Link.Drops - r.Link.QueueDrops)
			came := lost / (packets(r)*r.TimeS + lost)
			return packets(r) * r.Flows[0].RTTMillis.P50 / 1000 * math.Sqrt(came)
		})
		oracle.Within(t, "model", fmt.Sprintf("C of Mathis, loss %v", p), 1.20, 1.42, c)
	}
}

// Padhye et al. (1998) in packets a second, a round trip of 0.1 s, a time-out of 0.3 s, and an
// ACK for each packet.
func TestOraclePadhye(t *testing.T) {
	for _, tt := range []struct{ p, want float64 }{
		{1e-4, 1221.5}, {1e-3, 382.5}, {1e-2, 113.3}, {5e-2, 41.0}, {0.1, 23.9},
	} {
		d := 5 * time.Minute
		if tt.p >= 0.01 {
			d *= 4 // there are few packets
		}
		all := runs(t, fmt.Sprintf("rate=100mbit,rtt=100ms,loss=%g", tt.p), "reno", d, nil)
		oracle.Near(t, "model", fmt.Sprintf("packets a second of Padhye, loss %v", tt.p), tt.want, mean(all, packets), 0.25)
	}
}
