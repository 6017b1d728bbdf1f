package sim

import (
	"math"
	"sort"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// A single loss in a flight of 20 costs one round trip more, one retransmission and one
// reduction, whoever detects it and whichever segment it is, the last ones left out, after
// which too few duplicates come.
func TestSingleLossAnywhereInFlight(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, style := range recoveryStyles {
		o := hostOptions{tcp: style.tcp}
		o.tcp.InitialWindow = 20
		cfg := scenarioConfig{a: o, b: o, there: fast(rtt), back: fast(rtt)}
		clean, _ := wantRecovered(t, cfg, 20*1448)
		last := 17
		if style.tcp.NoSACK {
			last = 16 // the first of the ACKs opens the window, and is no duplicate (RFC 5681, section 2)
		}
		for lost := 1; lost <= last; lost++ {
			cfg.there = losing(fast(rtt), lost)
			took, info := wantRecovered(t, cfg, 20*1448)
			if took > clean+rtt+5*time.Millisecond || info.Timeouts != 0 || info.SegmentsRetransmitted != 1 || info.FastRecoveries != 1 {
				t.Errorf("%s, segment %d lost: %v, and %v without; %d time-outs, %d resent, %d recoveries; want a round trip more, 0, 1, 1",
					style.name, lost, took, clean, info.Timeouts, info.SegmentsRetransmitted, info.FastRecoveries)
			}
		}
	}
}

// RFC 8985, section 7: the last segment lost, or the last two or three, costs a probe
// time-out of two round trips and a little, not a retransmission time-out; without probes it
// is the latter.
func TestTailLost(t *testing.T) {
	for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond} {
		for n, lost := range [][]int{{20}, {19, 20}, {18, 19, 20}} {
			o := hostOptions{tcp: tcp.Config{InitialWindow: 20}}
			cfg := scenarioConfig{a: o, b: o, there: fast(rtt), back: fast(rtt)}
			clean, _ := wantRecovered(t, cfg, 20*1448)
			cfg.there = losing(fast(rtt), lost...)
			took, info := wantRecovered(t, cfg, 20*1448)
			// The probe leaves two round trips after the last ACK, and where a single segment is in
			// flight, after 200 ms more, which its ACK may be delayed. It repairs the loss of that. Of
			// more, it shows the loss, a quarter of a round trip after its answer, and then they are
			// sent one by one. The peer may take 40 ms for an ACK.
			limit := clean + 2*rtt + 200*time.Millisecond
			if n > 0 {
				limit = clean + 2*rtt + rtt/4 + time.Duration(n+1)*rtt + 50*time.Millisecond
			}
			if took > limit || info.Timeouts != 0 {
				t.Errorf("round trip %v, last %d lost: %v with %d time-outs; want at most %v, and none", rtt, n+1, took, info.Timeouts, limit)
			}
			cfg.a.tcp.NoTLP = true
			cfg.there = losing(fast(rtt), lost...)
			if _, info := wantRecovered(t, cfg, 20*1448); info.Timeouts == 0 {
				t.Errorf("round trip %v, last %d lost: no time-out without a probe", rtt, n+1)
			}
		}
	}
}

// reordered carries 20 MB over 20 Mbit/s and 50 ms, of which a share is overtaken by up to
// half a round trip, with the window so small that no queue overflows. It returns the time,
// and what was sent again in vain in the first 40 round trips and after.
func reordered(t *testing.T, seed uint64, share float64, c tcp.Config) (took time.Duration, early, late int64) {
	t.Helper()
	const octets = 20 << 20
	spec := LinkSpec{Rate: 20e6, RTT: 50 * time.Millisecond, Reorder: share, Queue: QueueSpec{BDP: 4}}
	cfg := scenarioConfig{seed: seed}
	cfg.there, cfg.back = spec.paths()
	cfg.a = hostOptions{tcp: c, recvBuffer: 400e3, sendBuffer: 4 << 20, noDelay: true}
	cfg.b = cfg.a
	cfg.flows = []flowConfig{{client: behaviour{write: octets}, server: behaviour{ending: endAfterPeer}}}
	s := newScenario(cfg)
	vain := func() int64 {
		return int64(s.a.eng.Stats().TCP.RetransSegs) - int64(s.paths[0].stats.LostData)
	}
	s.run(mono.Time(40 * spec.RTT))
	early = vain()
	s.run(hour)
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	return time.Duration(s.flows[0].server.readAt), early, vain() - early
}

// RFC 8985, section 6.2: RACK learns from DSACKs how far segments are overtaken. 3 % of them,
// by up to half a round trip, cost less than 2 % of the goodput, with timestamps and without, and
// after a few round trips nothing is sent again in vain: of some 430 overtaken segments, at most
// 20 are while the window of reordering is being learnt, and 4 later, which is what these seeds
// show, not what theory says.
func TestReorderingCostsLittle(t *testing.T) {
	for _, c := range []struct {
		name string
		tcp  tcp.Config
	}{
		{"timestamps", tcp.Config{}},
		{"no timestamps", tcp.Config{NoTimestamps: true}},
	} {
		var costs []float64
		for seed := uint64(1); seed <= 12; seed++ {
			clean, _, _ := reordered(t, seed, 0, c.tcp)
			took, early, late := reordered(t, seed, 0.03, c.tcp)
			costs = append(costs, took.Seconds()/clean.Seconds()-1)
			if early > 20 || late > 4 {
				t.Errorf("%s, seed %d: %d segments in vain in 40 round trips, and %d later; want at most 20 and 4",
					c.name, seed, early, late)
			}
		}
		sort.Float64s(costs)
		t.Logf("%s: costs %.3f", c.name, costs)
		within(t, c.name+": least cost of reordering", costs[0], -0.01, 0.02)
		within(t, c.name+": largest cost of reordering", costs[len(costs)-1], -0.01, 0.02)
	}
}

// padhye is what the model of Padhye et al. (1998) gives in packets a second, for an ACK for
// each packet.
func padhye(p float64, rtt, rto time.Duration) float64 {
	return 1 / (rtt.Seconds()*math.Sqrt(2*p/3) + rto.Seconds()*min(1, 3*math.Sqrt(3*p/8))*p*(1+32*p*p))
}

// Reno under random loss, an ACK for each packet, reaches what the models say: the constant C
// of Mathis et al. (1997) is 1.20 to 1.42 for each of 8 seeds, and each is within 25 % of Padhye.
// The loss is that which came: in five minutes there are some 700 of them, a few per cent more
// or less than the probability says. C is at the low end because Mathis leaves out the round trip
// that each recovery takes, in which the window does not grow: at this window, 7 % of the time.
func TestRenoReachesTheModels(t *testing.T) {
	sum := 0.0
	for seed := uint64(1); seed <= 8; seed++ {
		l := mustLink(t, "rate=20mbit,rtt=50ms,queue=2bdp,loss=0.01")
		r := mustRun(t, Spec{Link: l, TCP: tcp.Config{AckEvery: 1}, Time: 5 * time.Minute, Seed: seed})
		f := r.Flows[0]
		rtt := f.RTTMillis.P50 / 1000
		packets := f.GoodputBPS / 8 / 1448
		lost := float64(r.Link.Drops)
		p := lost / (packets*r.TimeS + lost)
		sum += packets * rtt * math.Sqrt(l.Loss)
		within(t, "C of Mathis", packets*rtt*math.Sqrt(p), 1.20, 1.42)
		model := padhye(p, time.Duration(rtt*1e9), time.Duration(rtt*1e9)+200*time.Millisecond)
		within(t, "packets a second, to Padhye's", packets/model, 0.75, 1.25)
		if f.Timeouts > 3 {
			t.Errorf("seed %d: %d time-outs in %d losses", seed, f.Timeouts, r.Link.Drops)
		}
	}
	within(t, "mean C of Mathis", sum/8, 1.20, 1.42)
}

// Loss of every n-th packet gives the sawtooth of the formula sqrt(1.5/p), less the round
// trip of each recovery: from W/2 the window takes W/2 + 1 round trips for 3/8 W² + W/2 packets.
func TestRenoUnderPeriodicLoss(t *testing.T) {
	for _, every := range []int{100, 400} {
		spec := LinkSpec{Rate: 20e6, RTT: 50 * time.Millisecond, Queue: QueueSpec{BDP: 4}}
		cfg := scenarioConfig{seed: 1}
		cfg.there, cfg.back = spec.paths()
		cfg.there.Drop = everyNth(every)
		o := hostOptions{tcp: tcp.Config{AckEvery: 1}, recvBuffer: 8 << 20, sendBuffer: 4 << 20, noDelay: true}
		cfg.a, cfg.b = o, o
		const packets = 20_000
		b, err := runBulk(cfg, packets*1448)
		if err != nil {
			t.Fatal(err)
		}
		w := (math.Sqrt(1+6*float64(every)) - 1) * 2 / 3 // 3/8 W² + W/2 = every
		want := float64(every) / (w/2 + 1)
		got := packets / b.took.Seconds() * 0.0508
		within(t, "mean window, to the formula's", got/want, 0.95, 1.08)
		if b.stats.TCPTimeouts != 0 || b.needless != 0 {
			t.Errorf("every %d: %d time-outs, %d in vain; want none", every, b.stats.TCPTimeouts, b.needless)
		}
	}
}
