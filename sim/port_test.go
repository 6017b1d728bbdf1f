package sim

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// wantPanic runs f, which must find a frame at the wrong place.
func wantPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", what)
		}
	}()
	f()
}

// twoPorts is two hosts of a network whose engines are not stepped.
func twoPorts(cfg hostOptions) (s *scenario, a, b *port) {
	s = newScenario(scenarioConfig{seed: 1, a: cfg, b: cfg, there: fast(0), back: fast(0)})
	s.watch = nil
	return s, s.a.port, s.b.port
}

// deliver lets everything arrive that flies.
func deliver(s *scenario) {
	for s.events.len() > 0 {
		s.now = s.events.next()
		s.handle(s.events.take())
	}
}

// A frame is always in exactly one place, and none is missing when the port is closed.
func TestPortConservesFrames(t *testing.T) {
	s, a, b := twoPorts(hostOptions{})
	var f, r [dataplane.BatchMax]dataplane.Frame
	if n := a.Alloc(f[:4]); n != 4 {
		t.Fatalf("allocated %d, want 4", n)
	}
	for i := range f[:3] {
		f[i].Data = f[i].Data[:100+i]
		f[i].Data[0] = byte(i)
	}
	a.Send(f[:3])
	a.Cancel(f[3:4])
	wantPanic(t, "send twice", func() { a.Send(f[:1]) })
	wantPanic(t, "cancel what was sent", func() { a.Cancel(f[:1]) })
	deliver(s)
	if n := b.Recv(r[:]); n != 3 {
		t.Fatalf("received %d, want 3", n)
	}
	for i := range 3 {
		if len(r[i].Data) != 100+i || r[i].Data[0] != byte(i) {
			t.Errorf("frame %d: %d octets, the first %d", i, len(r[i].Data), r[i].Data[0])
		}
	}
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "3 received") {
		t.Errorf("close with frames taken: %v", err)
	}
	b.Free(r[:3])
	wantPanic(t, "free twice", func() { b.Free(r[:1]) })
	if out := s.packets.out(); out != 0 {
		t.Errorf("%d frames are out, want none", out)
	}
	if st := b.Stats(); st.RXFrames != 3 || st.RXOctets != 303 {
		t.Errorf("%+v", st)
	}
	if err := b.Wait(time.Hour); !errors.Is(err, net.ErrClosed) {
		t.Errorf("wait on a closed port: %v", err)
	}
}

// A slow link keeps transmit frames for a while: Alloc runs dry, and recovers.
func TestPortRunsDry(t *testing.T) {
	s, a, _ := twoPorts(hostOptions{txFrames: 2, txSlow: time.Millisecond})
	var f [4]dataplane.Frame
	if n := a.Alloc(f[:]); n != 2 {
		t.Fatalf("allocated %d, want 2", n)
	}
	for i := range f[:2] {
		f[i].Data = f[i].Data[:60]
	}
	a.Send(f[:2])
	if n := a.Alloc(f[:]); n != 0 {
		t.Errorf("allocated %d while the link has all", n)
	}
	deliver(s)
	if n := a.Alloc(f[:]); n != 2 {
		t.Errorf("allocated %d after the link is done, want 2", n)
	}
	a.Cancel(f[:2])
}
