package sim

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// RFC 1191, RFC 8201, RFC 4821: a path whose MTU shrinks in the middle of a flow is found
// out: at once by the router's message, or after three time-outs where nobody tells.
func TestPathNarrows(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, tells := range []bool{true, false} {
			link := symmetric(20e6, 50*time.Millisecond)
			link.Narrows = Narrows{From: mono.Time(time.Second), MTU: 1300, Tells: tells}
			s := playOut(t, scenarioConfig{
				seed: 1, there: link, back: fast(50 * time.Millisecond), v6: v6,
				flows: []flowConfig{{client: behaviour{write: 6 << 20}, server: behaviour{ending: endAfterPeer}}},
			}, hour)
			st := s.a.eng.Stats()
			took := time.Duration(s.flows[0].server.readAt)
			told, holes, limit := uint64(1), uint64(0), 4*time.Second
			if !tells {
				told, holes, limit = 0, 1, 8*time.Second
			}
			if st.ICMPPathMTU != told || st.TCP.TCPMTUPFail < holes || took > limit || s.paths[0].stats.TooBig == 0 {
				t.Errorf("v6=%v, told=%v: %d messages, %d black holes, %v, %d too big; want %d, at least %d, %v, some",
					v6, tells, st.ICMPPathMTU, st.TCP.TCPMTUPFail, took, s.paths[0].stats.TooBig, told, holes, limit)
			}
		}
	}
}

// A window taken back on the way leaves a segment with a good checksum, and a smaller window.
func TestSqueeze(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		s := newScenario(scenarioConfig{
			seed: 1, there: fast(0), back: fast(0), v6: v6,
			flows: []flowConfig{{client: behaviour{write: 10}, server: behaviour{}}},
		})
		s.run(mono.Time(time.Second))
		e := &s.trace.entries[3] // the data
		frame := append([]byte(nil), e.head[:e.octets]...)
		var before, after wire.Segment
		var ip wire.Packet
		parse(frame, &before)
		if !squeeze(frame, 1<<14) || !parse(frame, &after) {
			t.Fatalf("v6=%v: not squeezed: %v", v6, before.String())
		}
		if err := wire.ParseIP(frame[wire.EthernetLen:], &ip); err != nil || !ip.TCPValid() {
			t.Errorf("v6=%v: the packet is broken: %v", v6, err)
		}
		if after.WND != before.WND/4 {
			t.Errorf("v6=%v: window %d of %d, want a quarter", v6, after.WND, before.WND)
		}
	}
}

// A host with a coarse clock does everything at its ticks.
func TestGrain(t *testing.T) {
	const grain = 4 * time.Millisecond
	cfg := scenarioConfig{seed: 1, a: hostOptions{grain: grain}, there: fast(10 * time.Millisecond), back: fast(10 * time.Millisecond)}
	cfg.flows = []flowConfig{{start: time.Millisecond, client: behaviour{write: 100_000}, server: behaviour{ending: endAfterPeer}}}
	s := playOut(t, cfg, hour)
	if s.flows[0].server.read != 100_000 {
		t.Errorf("read %d octets", s.flows[0].server.read)
	}
	for i := range min(s.trace.n, traceLen) {
		if e := &s.trace.entries[i]; e.host == 0 && e.at%mono.Time(grain) != 0 {
			t.Errorf("sent at %v, between ticks", time.Duration(e.at))
		}
	}
}
