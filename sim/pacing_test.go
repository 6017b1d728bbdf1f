package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// steady is an algorithm that sends at a rate, whatever happens.
type steady struct{ rate int64 }

func (s steady) Init(f *congestion.Flow, _ mono.Time) {
	f.SetCwnd(64 << 20)
	f.SetPacing(s.rate)
}
func (s steady) OnAck(*congestion.Flow, *congestion.Ack)                   {}
func (s steady) OnCongestion(f *congestion.Flow, e *congestion.Congestion) { f.SetSsthresh(64 << 20) }
func (s steady) OwnsRecovery() bool                                        { return true }

// emission is what left a sender: octets of payload, FINs as one.
type emission struct {
	at     mono.Time
	octets int
	again  bool
}

// emissions runs a flow at a rate for a while over a path that is ten times as fast, and
// returns what left. lose is how many of a thousand data segments are lost.
func emissions(t *testing.T, rate int64, lasting time.Duration, lose int, write int64) []emission {
	t.Helper()
	var sent []emission
	high := int64(-1 << 40)
	spec := LinkSpec{Rate: rate * 80, RTT: 2 * time.Millisecond, Queue: QueueSpec{BDP: 100}, Jitter: -1}
	cfg := scenarioConfig{seed: 3}
	cfg.there, cfg.back = spec.paths()
	n := 0
	cfg.there.Drop = func(_ int, now mono.Time, seg *wire.Segment) bool {
		octets := len(seg.Payload)
		if seg.Flags&wire.FIN != 0 {
			octets++
		}
		if octets == 0 {
			return false
		}
		end := int64(int32(seg.SEQ)) + int64(octets)
		sent = append(sent, emission{now, octets, end <= high})
		high = max(high, end)
		n++
		return n*lose/1000 != (n-1)*lose/1000
	}
	host := hostOptions{recvBuffer: 64 << 20, sendBuffer: 64 << 20, noDelay: true, txFrames: 4096}
	host.tcp.Congestion = func() congestion.Algorithm { return steady{rate} }
	cfg.a, cfg.b = host, host
	cfg.flows = []flowConfig{{client: behaviour{write: write, ending: endInTurn}, server: behaviour{ending: endAfterPeer}}}
	s := newScenario(cfg)
	s.network.run(mono.Time(lasting))
	if s.err != nil {
		t.Fatalf("%v\n%s", s.err, s.report())
	}
	return sent
}

// quantum is the pacer's: a millisecond's worth, two segments at least, 64 KiB at most.
func quantum(rate int64) int { return int(min(max(rate/1000, 2*1448), 64<<10)) }

// The wire rate is within 1 % of what the algorithm sets, retransmissions included, and
// nothing beyond a quantum ever leaves above it: at 1 Mbit/s and at 10 Gbit/s.
func TestPacedRateOnTheWire(t *testing.T) {
	for _, c := range []struct {
		rate    int64
		lasting time.Duration
		lose    int
	}{
		{125_000, 60 * time.Second, 0},
		{125_000, 60 * time.Second, 20},
		{12_500_000, 2 * time.Second, 0},
		{12_500_000, 2 * time.Second, 20},
		{1_250_000_000, 40 * time.Millisecond, 0},
		{1_250_000_000, 40 * time.Millisecond, 10},
	} {
		t.Run(fmt.Sprintf("%d octets a second, %d‰ lost", c.rate, c.lose), func(t *testing.T) {
			sent := emissions(t, c.rate, c.lasting, c.lose, unlimited)
			wantPaced(t, sent, c.rate)
			// The window of a SYN is not scaled: at first the peer's is the limit.
			octets, again, from := 0, 0, mono.Time(c.lasting/6)
			for _, e := range sent {
				if e.at > from {
					octets += e.octets
				}
				if e.again {
					again++
				}
			}
			if (again > 0) != (c.lose > 0) {
				t.Errorf("%d of %d segments were sent again", again, len(sent))
			}
			got := float64(octets) / (c.lasting - time.Duration(from)).Seconds()
			if got < 0.99*float64(c.rate) || got > 1.01*float64(c.rate) {
				t.Errorf("%.0f octets a second, want %d within 1 %%", got, c.rate)
			}
		})
	}
}

// wantPaced checks each emission against a bucket of one quantum.
func wantPaced(t *testing.T, sent []emission, rate int64) {
	t.Helper()
	if len(sent) < 2 {
		t.Fatalf("%d segments left", len(sent))
	}
	level, last := 0.0, sent[0].at
	for i, e := range sent {
		level = max(0, level-float64(rate)*e.at.Sub(last).Seconds()) + float64(e.octets)
		last = e.at
		if level > float64(quantum(rate))+2 {
			t.Fatalf("segment %d of %d: %.0f octets beyond the rate, want at most %d", i, len(sent), level, quantum(rate))
		}
	}
}

// A FIN is paced as data is, and a window that the algorithm leaves to itself is spread by
// Config.Pace: the first flight is no burst.
func TestPacedWindow(t *testing.T) {
	sent := emissions(t, 1_000_000, time.Second, 0, 20_000)
	wantPaced(t, sent, 1_000_000)
	if last := sent[len(sent)-1]; last.at.Sub(sent[0].at) < 14*time.Millisecond {
		t.Errorf("20000 octets and a FIN took %v, want 17 ms or so", last.at.Sub(sent[0].at))
	}
	for _, pace := range []bool{false, true} {
		k := newTalker(t, tcp.Config{Pace: pace, Congestion: reno.New, Idle: tcp.IdleKeep})
		for range 3 {
			k.write(40)
			k.pause(time.Second)
		}
		k.sentAt = k.sentAt[:0]
		k.write(40)
		k.pause(time.Second)
		largest, same := 0, 0
		for i, at := range k.sentAt {
			if i == 0 || at != k.sentAt[i-1] {
				same = 0
			}
			same++
			largest = max(largest, same)
		}
		if pace && largest > 3 || !pace && largest < 10 {
			t.Errorf("pace %v: %d segments at once after silence", pace, largest)
		}
	}
}
