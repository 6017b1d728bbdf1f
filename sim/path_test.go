package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

func newTestPath(cfg PathConfig) *path {
	return newPath(cfg, rand.New(rand.NewPCG(1, 2)))
}

// blank is a frame of so many octets of IP packet.
func blank(octets int) []byte { return make([]byte, octets+wire.EthernetLen) }

// A packet leaves when those before it have, and arrives after the delay.
func TestPathRate(t *testing.T) {
	l := newTestPath(PathConfig{Rate: 12e6, Delay: 10 * time.Millisecond}) // 1500 octets: 1 ms
	for i := 1; i <= 3; i++ {
		want := mono.Time(time.Duration(10+i) * time.Millisecond)
		if v := l.put(0, blank(1500)); v.dropped || v.arrives != want {
			t.Errorf("packet %d: %+v, want it at %d", i, v, want)
		}
	}
	if v := l.put(mono.Time(time.Second), blank(750)); v.arrives != mono.Time(time.Second).Add(10500*time.Microsecond) {
		t.Errorf("half a packet after a pause: %+v", v)
	}
}

// What finds no room is dropped; what has left makes room.
func TestPathDropTail(t *testing.T) {
	for name, cfg := range map[string]PathConfig{
		"octets":  {Rate: 12e6, QueueOctets: 4500},
		"packets": {Rate: 12e6, QueuePackets: 3},
	} {
		l := newTestPath(cfg)
		for i := range 5 {
			if v := l.put(0, blank(1500)); v.dropped != (i >= 3) {
				t.Errorf("%s: packet %d: %+v", name, i, v)
			}
		}
		if v := l.put(mono.Time(time.Millisecond), blank(1500)); v.dropped {
			t.Errorf("%s: no room though one has left", name)
		}
		if v := l.put(mono.Time(time.Millisecond), blank(1500)); !v.dropped {
			t.Errorf("%s: room for a fourth", name)
		}
		if l.stats.QueueDrops != 3 {
			t.Errorf("%s: %d drops, want 3", name, l.stats.QueueDrops)
		}
	}
	l := newTestPath(PathConfig{Rate: 12e6, QueueOctets: 10})
	if v := l.put(0, blank(1500)); v.dropped {
		t.Error("an empty queue takes a packet of any size")
	}
}

// The chances are those asked for, and jitter alone keeps packets in order.
func TestPathChances(t *testing.T) {
	const n = 100_000
	l := newTestPath(PathConfig{
		Loss: 0.1, Reorder: 0.05, Duplicate: 0.02, Corrupt: 0.01, Jitter: time.Millisecond, Delay: 5 * time.Millisecond,
	})
	behind, again, corrupt := 0, 0, 0
	last := mono.Time(0)
	for i := range n {
		now := mono.Time(i) * mono.Time(50*time.Microsecond)
		v := l.put(now, blank(100))
		if v.dropped {
			continue
		}
		if v.arrives < last {
			behind++
		}
		last = max(last, v.arrives)
		if v.again != mono.Never {
			again++
		}
		if v.corrupt {
			corrupt++
		}
	}
	within(t, "lost", float64(l.stats.Lost)/n, 0.09, 0.11)
	within(t, "reordered", float64(l.stats.Reordered)/n/0.9, 0.045, 0.055)
	within(t, "twice", float64(again)/n/0.9, 0.018, 0.022)
	within(t, "corrupted", float64(corrupt)/n/0.9, 0.009, 0.011)
	if behind == 0 {
		t.Error("no packet overtook another")
	}
	l = newTestPath(PathConfig{Jitter: 10 * time.Millisecond})
	last = 0
	for i := range n {
		v := l.put(mono.Time(i)*mono.Time(50*time.Microsecond), blank(100))
		if v.arrives < last {
			t.Fatalf("packet %d overtook another by jitter alone", i)
		}
		last = v.arrives
	}
}

// Gilbert's path loses a share of Enter/(Enter+Leave), in runs of 1/Leave.
func TestPathBurst(t *testing.T) {
	l := newTestPath(PathConfig{Burst: Burst{Enter: 0.02, Leave: 0.2}})
	const n = 100_000
	lost, runs, was := 0, 0, false
	for range n {
		v := l.put(0, blank(100))
		if v.dropped {
			lost++
			if !was {
				runs++
			}
		}
		was = v.dropped
	}
	within(t, "share lost", float64(lost)/n, 0.08, 0.1)
	within(t, "length of a run", float64(lost)/float64(runs), 4.5, 5.5)
}

func TestPathOutage(t *testing.T) {
	s := mono.Time(time.Second)
	l := newTestPath(PathConfig{Down: []Outage{{s, 2 * s}, {3 * s, 4 * s}}})
	for at, down := range map[float64]bool{0.5: false, 1: true, 1.9: true, 2: false, 3.5: true, 4.5: false} {
		l := *l
		if v := l.put(mono.Time(at*float64(s)), blank(100)); v.dropped != down {
			t.Errorf("at %v s: dropped = %v, want %v", at, v.dropped, down)
		}
	}
}

// A marked packet still has a good checksum, and one that is not ECN-capable is left alone.
func TestMarkCE(t *testing.T) {

	for _, v6 := range []bool{false, true} {
		s := newScenario(scenarioConfig{seed: 1, v6: v6})
		tmpl, err := wire.NewTemplate(wire.TemplateConfig{Src: s.a.addr, Dst: s.b.addr})
		if err != nil {
			t.Fatal(err)
		}
		for tos, want := range map[uint8]bool{wire.ECNNotECT: false, wire.ECNECT0: true, wire.ECNECT1: true} {
			frame := make([]byte, tmpl.Len()+20)
			seg := wire.Segment{Flags: wire.ACK}
			wire.PutTCP(frame[tmpl.Len():], &seg)
			tmpl.PutTOS(frame, 20, 7, tos)
			tmpl.Finish(frame)
			if got := markCE(frame); got != want {
				t.Errorf("v6=%v ECN %d: marked = %v, want %v", v6, tos, got, want)
			}
			var ip wire.Packet
			if err := wire.ParseIP(frame[wire.EthernetLen:], &ip); err != nil || !ip.TCPValid() {
				t.Errorf("v6=%v ECN %d: the packet is broken: %v", v6, tos, err)
			}
			if want && ip.ECN() != wire.ECNCE {
				t.Errorf("v6=%v ECN %d: became %d", v6, tos, ip.ECN())
			}
		}
	}
}

// The histogram's quantiles are within 1.6 % of the truth.
func TestDelays(t *testing.T) {
	var h delays
	for i := 1; i <= 10000; i++ {
		h.add(0, time.Duration(i)*37*time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.95, 1} {
		want := q * 10000 * 37
		within(t, "quantile", float64(h.quantile(q)/time.Microsecond), want*0.984-1, want*1.016+1)
	}
	if h.least != 37*time.Microsecond {
		t.Errorf("least = %v", h.least)
	}
}

// Events come in the order of their times, and of one time in the order they were put.
func TestEventOrder(t *testing.T) {
	var h eventHeap
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 2000 {
		h.put(event{at: mono.Time(rng.IntN(300)), ref: int32(i)})
		if i%3 == 2 {
			h.take()
		}
	}
	last := event{}
	for h.len() > 0 {
		e := h.take()
		if e.before(&last) {
			t.Fatalf("event %+v after %+v", e, last)
		}
		last = e
	}
}
