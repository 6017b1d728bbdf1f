package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// talker is a scenario of one flow whose client writes when it is told to.
type talker struct {
	*scenario
	t      *testing.T
	sentAt []mono.Time // of each data segment that left
}

func newTalker(t *testing.T, c tcp.Config) *talker {
	t.Helper()
	k := &talker{t: t}
	spec := LinkSpec{Rate: 20e6, RTT: 50 * time.Millisecond, Queue: QueueSpec{BDP: 1}}
	cfg := scenarioConfig{seed: 1}
	cfg.there, cfg.back = spec.paths()
	cfg.there.Drop = func(_ int, now mono.Time, seg *wire.Segment) bool {
		if len(seg.Payload) > 0 {
			k.sentAt = append(k.sentAt, now)
		}
		return false
	}
	cfg.a = hostOptions{tcp: c, recvBuffer: 4 << 20, sendBuffer: 4 << 20, noDelay: true}
	cfg.b = cfg.a
	cfg.flows = []flowConfig{{client: behaviour{ending: endNever}, server: behaviour{ending: endAfterPeer}}}
	k.scenario = newScenario(cfg)
	k.pause(time.Second)
	return k
}

// write has the client write so many full segments now.
func (k *talker) write(segments int) {
	c := k.flows[0].client
	c.does.write += int64(segments) * 1448
	c.does.writeMax = 64 << 10
	c.resume()
	c.host.step()
}

// pause lets time pass, and looks for broken rules.
func (k *talker) pause(d time.Duration) {
	k.t.Helper()
	k.run(k.now.Add(d))
	if k.err != nil {
		k.t.Fatalf("%v\n%s", k.err, k.report())
	}
}

// burst is how many data segments leave in the 40 ms, less than a round trip, after a write
// of many.
func (k *talker) burst() int {
	k.sentAt = k.sentAt[:0]
	k.write(300)
	from := k.now
	k.pause(3 * time.Second)
	n := 0
	for _, at := range k.sentAt {
		if at.Sub(from) < 40*time.Millisecond {
			n++
		}
	}
	return n
}

func (k *talker) cwnd() int {
	v := k.flows[0].client.conn.TCP().View()
	return v.Cwnd / v.MSS
}

// What a sender does that the application limits: it never learns of more than it uses, and
// does not send at once what it has not lately used (RFC 7661; RFC 5681, section 4.1).
func TestApplicationLimitedSender(t *testing.T) {
	trickle := func(k *talker, segments int, d time.Duration) {
		for end := k.now.Add(d); k.now < end; {
			k.write(segments)
			k.pause(100 * time.Millisecond)
		}
	}
	for _, c := range []struct {
		name     string
		play     func(k *talker)
		cwndMax  int // before the last write, segments
		burstMax int // in the round trip after it
	}{
		// Five segments every two round trips never fill the window of ten: it stays.
		{"trickle", func(k *talker) { trickle(k, 5, 10*time.Second) }, 12, 12},
		// After a bulk transfer and a pause of many time-outs the window restarts from ten. RFC
		// 7661 alone keeps it for five minutes: without pacing it leaves at once, and overflows
		// the queue.
		{"bulk, 10 s of silence", func(k *talker) { k.write(600); k.pause(5 * time.Second); k.pause(10 * time.Second) }, 180, 12},
		// After a bulk transfer, a segment every two round trips: never idle for a time-out.
		{"bulk, 10 s of trickle", func(k *talker) { k.write(600); k.pause(time.Second); trickle(k, 1, 10*time.Second) }, 180, 180},
		{"bulk, 20 min of trickle", func(k *talker) { k.write(600); k.pause(time.Second); trickle(k, 1, 20*time.Minute) }, 60, 60},
	} {
		k := newTalker(t, tcp.Config{})
		c.play(k)
		cwnd := k.cwnd()
		burst := k.burst()
		st := k.a.eng.Stats().TCP
		t.Logf("%-24s cwnd %d before, a burst of %d, %d sent again", c.name, cwnd, burst, st.RetransSegs)
		if cwnd > c.cwndMax || burst > c.burstMax {
			t.Errorf("%s: cwnd %d, and a burst of %d segments; want at most %d and %d", c.name, cwnd, burst, c.cwndMax, c.burstMax)
		}
		k.flows[0].client.does.ending = endInTurn
		k.flows[0].client.resume()
		k.a.step()
		k.run(k.now.Add(time.Hour))
		if err := k.finish(); err != nil {
			t.Fatal(err)
		}
	}
}
