package tcp_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// mistaken is Reno until it makes a mistake.
type mistaken struct {
	listener
	at      string // the event
	mistake func(f *congestion.Flow)
}

func (m *mistaken) err(at string, f *congestion.Flow) {
	if m.at == at {
		m.mistake(f)
	}
}

func (m *mistaken) Init(f *congestion.Flow, _ mono.Time)                     { m.err("init", f) }
func (m *mistaken) OnAck(f *congestion.Flow, _ *congestion.Ack)              { m.err("ack", f) }
func (m *mistaken) OnSent(f *congestion.Flow, _ *congestion.Sent)            { m.err("sent", f) }
func (m *mistaken) OnLost(f *congestion.Flow, _ *congestion.Lost)            { m.err("lost", f) }
func (m *mistaken) OnRecovered(f *congestion.Flow, _ *congestion.Congestion) { m.err("recovered", f) }
func (m *mistaken) OnCongestion(f *congestion.Flow, _ *congestion.Congestion) {
	m.err("congestion", f)
}
func (m *mistaken) Name() string { return "mistaken" }

// An algorithm that panics, or sets what no working one sets, is replaced by Reno, whatever
// it was doing; the transfer goes on and all of it arrives. As a shadow it is dropped.
func TestGuardReplacesAnAlgorithm(t *testing.T) {
	mistakes := map[string]func(f *congestion.Flow){
		"panic: runtime error: index out of range": func(f *congestion.Flow) { f.SetCwnd([]int{}[f.MSS]) },
		"panic: lost my way":                       func(*congestion.Flow) { panic(errors.New("lost my way")) },
		"it set a value below zero":                func(f *congestion.Flow) { f.SetCwnd(-1 << 63) },
	}
	for _, at := range []string{"init", "ack", "sent", "lost", "congestion", "recovered"} {
		for want, mistake := range mistakes {
			for _, asShadow := range []bool{false, true} {
				alg := func() congestion.Algorithm { return &mistaken{at: at, mistake: mistake} }
				cfg := tcp.Config{Congestion: alg}
				if asShadow {
					cfg = tcp.Config{Shadow: alg}
				}
				wantReplaced(t, at, want, asShadow, cfg)
			}
		}
	}
}

func wantReplaced(t *testing.T, at, want string, asShadow bool, cfg tcp.Config) {
	t.Helper()
	p := newPair(t, cfg, tcp.Config{}, 1<<18)
	p.drop = lossOf(30, 31, 60)
	events := tcp.Events(0)
	p.onStep = func() { events |= p.a.Events() }
	p.transfer(p.a, p.b, pattern(300_000))
	if p.a.stats.TCPAlgorithmReplaced != 1 || events&tcp.Replaced == 0 {
		t.Errorf("%s, %s: replaced %d times, events %b", at, want, p.a.stats.TCPAlgorithmReplaced, events)
	}
	i := p.a.Info(p.now)
	name := "mistaken: "
	if asShadow {
		name = "mistaken, a shadow: "
	}
	if i.Congestion != "reno" || !strings.HasPrefix(i.Replaced, name+want) || i.Shadow.Congestion != "" {
		t.Errorf("%s, %s: Info says %q, replaced %q, shadow %q", at, want, i.Congestion, i.Replaced, i.Shadow.Congestion)
	}
}

// lossOf loses the n-th segments of the connecting side.
func lossOf(n ...int) func(from *end, i int, _ *wire.Segment) bool {
	return func(_ *end, i int, _ *wire.Segment) bool { return slices.Contains(n, i) }
}

// No algorithm, and one that cannot be made, are mistakes too.
func TestGuardOfTheMaker(t *testing.T) {
	for _, make := range []func() congestion.Algorithm{
		func() congestion.Algorithm { return nil },
		func() congestion.Algorithm { panic("nothing in stock") },
	} {
		p := newPair(t, tcp.Config{Congestion: make}, tcp.Config{}, 1<<16)
		p.transfer(p.a, p.b, pattern(50_000))
		if p.a.stats.TCPAlgorithmReplaced != 1 {
			t.Errorf("replaced %d times, want once", p.a.stats.TCPAlgorithmReplaced)
		}
	}
}

// adopter takes over what there is.
type adopter struct {
	listener
	from congestion.State
	cwnd int
}

func (a *adopter) Adopt(f *congestion.Flow, _ mono.Time, from congestion.State) {
	a.from, a.cwnd = from, f.Cwnd()
	f.SetPacing(from.Pacing)
}

// A live switch keeps the window; an Adopter hears what went before, others start from the
// window there is. The listener hears what happens from then on.
func TestSwitchKeepsState(t *testing.T) {
	old := &listener{}
	s := listening(t, old, 9000)
	a := &adopter{}
	s.after(100 * time.Millisecond)
	s.SetAlgorithm(s.now, a)
	if a.cwnd != 4000 || a.from.From != congestion.Algorithm(old) || a.from.Name != "listener" || a.from.InRecovery {
		t.Errorf("adopted cwnd %d from %+v", a.cwnd, a.from)
	}
	old.take()
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	a.want(t, "a loss after the switch",
		"lost 1000 at 1000 delivered 0 before 0 of 1000 timer false",
		"loss flight 4000 lost 1000 acked 3000",
		"ack 3000 lost 1000 flight 0")
	if len(old.heard) > 0 {
		t.Errorf("the old one heard %q", old.heard)
	}
	s.SetAlgorithm(s.now, reno.New())
	if i := s.Info(s.now); i.Congestion != "reno" || i.Ssthresh != congestion.SsthreshMax || i.Recovery != "recovery" {
		t.Errorf("after the switch %+v", i)
	}
	if a.from.Cause != congestion.CauseLoss {
		t.Errorf("cause %v", a.from.Cause)
	}
}

// Before the handshake is done the algorithm is only put in place.
func TestSwitchBeforeTheHandshake(t *testing.T) {
	p := newPair(t, tcp.Config{}, tcp.Config{}, 1<<16)
	l := &listener{}
	p.a.SetAlgorithm(p.now, l)
	for p.a.State() != tcp.StateEstablished {
		p.step()
	}
	l.want(t, "the handshake", "init 14480")
}
