package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// fast is a link without a bottleneck.
func fast(rtt time.Duration) PathConfig { return PathConfig{Rate: 1e9, Delay: rtt / 2} }

// losing loses the n-th data segments, counted from 1, when they are sent first.
func losing(p PathConfig, lost ...int) PathConfig {
	n, next := 0, false
	var high = make(map[uint32]bool)
	p.Drop = func(_ int, _ mono.Time, seg *wire.Segment) bool {
		if len(seg.Payload) == 0 || high[uint32(seg.SEQ)] {
			return false
		}
		high[uint32(seg.SEQ)] = true
		n++
		next = false
		for _, l := range lost {
			next = next || l == n
		}
		return next
	}
	return p
}

// everyNth loses each n-th data segment.
func everyNth(n int) func(int, mono.Time, *wire.Segment) bool {
	data := 0
	return func(_ int, _ mono.Time, seg *wire.Segment) bool {
		if len(seg.Payload) > 0 {
			data++
		}
		return len(seg.Payload) > 0 && data%n == 0
	}
}

// wantRecovered plays one flow of octets from client to server, and returns how long the
// server waited for the last octet after the connection opened, and the client's counts.
func wantRecovered(t *testing.T, cfg scenarioConfig, octets int64) (time.Duration, tcp.Info) {
	t.Helper()
	cfg.seed = 1
	cfg.flows = []flowConfig{{client: behaviour{write: octets}, server: behaviour{ending: endAfterPeer}}}
	s := newScenario(cfg)
	var done time.Duration
	for s.now < hour && s.flows[0].server.read < octets && s.err == nil {
		s.run(s.now.Add(time.Millisecond))
		done = time.Duration(s.now - s.flows[0].client.openedAt)
	}
	info := s.flows[0].client.conn.TCP().Info(s.a.clock())
	s.run(hour)
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	return done, info
}

// RFC 6675 and RFC 6582: one segment lost of a flight of 20 is repaired by fast retransmit
// in one more round trip, and costs one retransmission and no time-out.
func TestOneLossInFlight(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, noSACK := range []bool{false, true} {
		c := tcp.Config{NoSACK: noSACK, InitialWindow: 20}
		cfg := scenarioConfig{a: hostOptions{tcp: c}, b: hostOptions{tcp: c}, back: fast(rtt)}
		cfg.there = fast(rtt)
		clean, _ := wantRecovered(t, cfg, 20*1448)
		cfg.there = losing(fast(rtt), 5)
		took, info := wantRecovered(t, cfg, 20*1448)
		if took > clean+rtt+5*time.Millisecond {
			t.Errorf("SACK=%v: %v, and %v without loss: more than a round trip longer", !noSACK, took, clean)
		}
		if info.Timeouts != 0 || info.SegmentsRetransmitted != 1 || info.FastRecoveries != 1 {
			t.Errorf("SACK=%v: %d time-outs, %d resent, %d recoveries; want 0, 1, 1",
				!noSACK, info.Timeouts, info.SegmentsRetransmitted, info.FastRecoveries)
		}
	}
}

// RFC 6675: with SACK three holes in a flight are filled in one round trip; without it,
// NewReno fills one in each (RFC 6582).
func TestThreeLossesInFlight(t *testing.T) {
	const rtt = 100 * time.Millisecond
	for _, c := range []struct {
		noSACK bool
		rounds time.Duration
	}{{false, 1}, {true, 3}} {
		o := tcp.Config{NoSACK: c.noSACK, InitialWindow: 20}
		cfg := scenarioConfig{a: hostOptions{tcp: o}, b: hostOptions{tcp: o}, back: fast(rtt)}
		cfg.there = losing(fast(rtt), 5, 9, 13)
		took, info := wantRecovered(t, cfg, 20*1448)
		if limit := (c.rounds+1)*rtt + rtt/10; took > limit || info.Timeouts != 0 || info.SegmentsRetransmitted != 3 {
			t.Errorf("SACK=%v: %v, %d time-outs, %d resent; want at most %v, 0, 3",
				!c.noSACK, took, info.Timeouts, info.SegmentsRetransmitted, limit)
		}
	}
}

// The last segment's loss leaves no one to tell of it but a timer: a tail loss probe's, two
// round trips after it was sent, not the retransmission timer's (RFC 8985, section 7).
func TestLastSegmentLost(t *testing.T) {
	const rtt = 100 * time.Millisecond
	cfg := scenarioConfig{there: losing(fast(rtt), 10), back: fast(rtt)}
	took, info := wantRecovered(t, cfg, 10*1448)
	if info.Timeouts != 0 || info.SegmentsRetransmitted != 1 {
		t.Errorf("%d time-outs, %d resent; want 0 and 1", info.Timeouts, info.SegmentsRetransmitted)
	}
	within(t, "seconds", took.Seconds(), 0.25, 0.7) // RTO is between 200 ms and 3 RTT, and half a trip there
}

// RFC 9293, section 3.8.6.1: a reader that stops for minutes closes the window; the sender
// probes, neither gives up, and all arrives.
func TestReaderStopsForMinutes(t *testing.T) {
	link := symmetric(20e6, 50*time.Millisecond)
	s := playOut(t, scenarioConfig{
		seed: 1, there: link, back: link, b: hostOptions{recvBuffer: 64 << 10},
		flows: []flowConfig{{
			client: behaviour{write: 1 << 20},
			server: behaviour{ending: endAfterPeer, stall: 15 * time.Minute},
		}},
	}, hour)
	st := s.a.eng.Stats().TCP
	// Back-off from 200 ms to two minutes: about ten probes, then one every two minutes.
	if st.TCPWinProbe < 8 || st.TCPWinProbe > 25 {
		t.Errorf("%d window probes in 15 minutes, want about 16", st.TCPWinProbe)
	}
	if got := s.flows[0].server.read; got != 1<<20 {
		t.Errorf("read %d octets", got)
	}
}

// A peer that falls silent is given up after the configured number of retransmissions, and
// the application hears of it.
func TestPeerDies(t *testing.T) {
	link := symmetric(20e6, 50*time.Millisecond)
	s := newScenario(scenarioConfig{
		seed: 1, there: link, back: link,
		flows: []flowConfig{{client: behaviour{write: 10 << 20}, server: behaviour{ending: endAfterPeer}}},
	})
	s.run(mono.Time(time.Second))
	s.b.dead = true
	died := s.now
	s.run(hour)
	c := s.flows[0].client
	if !c.ended || c.cause != tcp.TimedOut {
		t.Fatalf("the connection has not timed out: %s", c.state())
	}
	info := c.info
	// 15 retransmissions after 0.2 s doubled up to 120 s are 204.6 s in ten steps, then five
	// or six of two minutes: 13 to 20 minutes, as on Linux.
	within(t, "minutes until given up", c.endedAt.Sub(died).Minutes(), 10, 20)
	if info.Timeouts < 15 {
		t.Errorf("%d time-outs, want 15", info.Timeouts)
	}
}

// Both directions at once carry nearly what one does alone, for ACKs ride on data.
func TestBothDirections(t *testing.T) {
	link := symmetric(10e6, 40*time.Millisecond)
	s := playOut(t, scenarioConfig{
		seed: 1, there: link, back: link,
		flows: []flowConfig{{client: behaviour{write: 20 << 20}, server: behaviour{write: 20 << 20}}},
	}, hour)
	took := time.Duration(max(s.flows[0].client.readAt, s.flows[0].server.readAt))
	ideal := float64(20<<20) * 8 * 1500 / 1448 / 10e6
	within(t, "seconds for 20 MiB both ways", took.Seconds(), ideal, 1.25*ideal)
}

// RFC 9293, figure 13: both close at the same moment. Both go through CLOSING to TIME-WAIT,
// and nothing is left after two MSL.
func TestSimultaneousClose(t *testing.T) {
	s := newScenario(scenarioConfig{
		seed: 1, there: fast(100 * time.Millisecond), back: fast(100 * time.Millisecond),
		flows: []flowConfig{{client: behaviour{write: 1000}, server: behaviour{write: 1000}}},
	})
	c, v := s.flows[0].client, s.flows[0].server
	c.does.ending, v.does.ending = endNever, endNever
	s.run(mono.Time(time.Second))
	for _, a := range []*app{c, v} {
		a.does.ending = endInTurn
		a.resume()
		a.host.step()
	}
	s.run(mono.Time(1080 * time.Millisecond))
	for _, a := range []*app{c, v} {
		if got := a.conn.TCP().State(); got != tcp.StateClosing {
			t.Errorf("%v: %v, want CLOSING", a, got)
		}
	}
	s.run(mono.Time(2 * time.Second))
	for _, h := range s.hosts {
		if n := h.eng.Stats().TimeWaits; n != 1 {
			t.Errorf("host %c: %d in TIME-WAIT, want 1", 'a'+h.id, n)
		}
	}
	s.run(mono.Time(2 * time.Minute))
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
}

// RFC 9293, figure 8: two hosts connect to each other at the same moment, and get one
// connection between them.
func TestSimultaneousOpen(t *testing.T) {
	s := newScenario(scenarioConfig{
		seed: 1, there: fast(100 * time.Millisecond), back: fast(100 * time.Millisecond),
		flows: []flowConfig{{client: behaviour{write: 100_000}, server: behaviour{write: 50_000}, both: true}},
	})
	f := s.flows[0]
	s.run(hour)
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if f.server.read != 100_000 || f.client.read != 50_000 {
		t.Errorf("read %d and %d octets", f.server.read, f.client.read)
	}
}
