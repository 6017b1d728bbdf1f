package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Each rule of the wire is noticed when it is broken.
func TestCheckerLooksAtSegments(t *testing.T) {
	octets := make([]byte, 3000)
	syn := func(s seq.Num, shift int) *wire.Segment {
		seg := &wire.Segment{SEQ: s, Flags: wire.SYN, WND: 1000}
		if shift >= 0 {
			seg.Opt.Has, seg.Opt.WScale = wire.HasWScale, uint8(shift)
		}
		return seg
	}
	ack := func(s, a seq.Num, wnd uint16, n int) *wire.Segment {
		return &wire.Segment{SEQ: s, ACK: a, Flags: wire.ACK, WND: wnd, Payload: octets[:n]}
	}
	for _, c := range []struct {
		name string
		sent []*wire.Segment // by the client, after both have sent SYN 100 and SYN 500
		want string
	}{
		{"good", []*wire.Segment{ack(101, 501, 1000, 10), ack(111, 501, 1000, 10), ack(101, 501, 1200, 20)}, ""},
		{"a gap", []*wire.Segment{ack(101, 501, 1000, 10), ack(112, 501, 1000, 10)}, "never sent"},
		{"unsent octets acknowledged", []*wire.Segment{ack(101, 502, 1000, 0)}, "only 501 was sent"},
		{"the window shrinks", []*wire.Segment{ack(101, 501, 1000, 0), ack(101, 501, 999, 0)}, "right edge went back by 4"},
		{"another SYN", []*wire.Segment{syn(99, 2)}, "another SYN"},
		{"a reset is free", []*wire.Segment{{SEQ: 7, ACK: 9999, Flags: wire.RST}}, ""},
	} {
		s := newScenario(scenarioConfig{seed: 1, there: fast(time.Second), back: fast(0), flows: make([]flowConfig, 1)})
		client, server := &s.check.wires[0], &s.check.wires[1]
		s.run(0) // the client connects
		s.err = nil
		s.check.forget(s.flows[0])
		client.look(s, syn(100, 2), server)
		server.look(s, syn(500, 0), client)
		for _, seg := range c.sent {
			client.look(s, seg, server)
		}
		wantFailure(t, c.name, s.err, c.want)
	}
}

func wantFailure(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want %q", name, err, want)
	}
}

// A host that sends and sends while nobody gets anything is noticed.
func TestCheckerSeesStorm(t *testing.T) {
	s := newScenario(scenarioConfig{seed: 1, there: fast(0), back: fast(0), flows: []flowConfig{{start: time.Hour}}})
	var f [1]dataplane.Frame
	seg := wire.Segment{SrcPort: portFirst, DstPort: portServer, Flags: wire.RST}
	tmpl, err := wire.NewTemplate(wire.TemplateConfig{Src: s.a.addr, Dst: s.b.addr})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 * stormMax {
		s.now = mono.Time(i) * mono.Time(time.Second) / stormMax * 9 / 10
		if s.a.port.Alloc(f[:]) != 1 {
			t.Fatal("no frame")
		}
		n := tmpl.Len()
		n += wire.PutTCP(f[0].Data[n:], &seg)
		tmpl.Put(f[0].Data, n-tmpl.Len(), 0)
		f[0].Data = f[0].Data[:n]
		s.a.port.Send(f[:])
	}
	wantFailure(t, "storm", s.err, "not an octet")
}

// A packet long after both ends are closed is noticed, and so is one that is too large.
func TestCheckerSeesStragglers(t *testing.T) {
	cfg := scenarioConfig{seed: 1, there: fast(0), back: fast(0), flows: make([]flowConfig, 1)}
	s := newScenario(cfg)
	s.run(mono.Time(time.Second))
	e := &s.trace.entries[2] // the ACK of the handshake
	frame := e.head[:e.octets]
	s.check.sent(s.a, frame)
	wantFailure(t, "a straggler", s.err, "")
	s.now = s.now.Add(2 * time.Minute)
	s.check.sent(s.a, frame)
	wantFailure(t, "late", s.err, "after both ends are closed")

	s = newScenario(cfg)
	s.check.sent(s.a, make([]byte, wire.EthernetLen+MTU+1))
	wantFailure(t, "too large", s.err, "the MTU is 1500")
}

// What is wrong with contents, buffers and connections at the end is noticed.
func TestCheckerLooksAtTheEnd(t *testing.T) {
	one := []flowConfig{{client: behaviour{write: 1000}, server: behaviour{write: 1000}}}
	cfg := scenarioConfig{seed: 1, there: fast(0), back: fast(0), flows: one}

	s := newScenario(cfg)
	s.flows[0].server.reads++ // as if every octet were the next one
	s.run(hour)
	wantFailure(t, "contents", s.finish(), "is wrong")

	s = newScenario(cfg)
	s.run(hour)
	s.flows[0].server.read--
	wantFailure(t, "length", s.finish(), "read 999 octets of 1000")

	s = newScenario(cfg)
	s.run(mono.Time(time.Second))
	wantFailure(t, "TIME-WAIT", s.finish(), "TIME-WAIT")

	s = newScenario(cfg)
	s.run(hour)
	if _, ok := s.packets.get(placeTaken); !ok {
		t.Fatal("no frame")
	}
	wantFailure(t, "frames", s.finish(), "1 frames are missing")

	cfg.flows = []flowConfig{{client: behaviour{write: 10, ending: endNever}, server: behaviour{ending: endNever}}}
	s = newScenario(cfg)
	s.run(hour)
	wantFailure(t, "never ends", s.finish(), "is left with 1 connections")

	err := fmt.Sprint(s.finish())
	for _, want := range []string{"client 0: ESTABLISHED", "a > 10000>80 S ", "b > 80>10000 S. "} {
		if !strings.Contains(err, want) {
			t.Errorf("the report lacks %q:\n%s", want, err)
		}
	}
}
