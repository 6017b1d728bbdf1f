package tcp_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// journal writes down what it is shown.
type journal struct {
	lines []string
	last  mono.Time
	back  bool // time ran backwards
}

func (j *journal) Record(r *congestion.Record) {
	line := fmt.Sprintf("%v window %d %v %v", r.Event, r.Window, r.Recovery, r.Limit)
	switch {
	case r.Ack != nil:
		line += fmt.Sprintf(" acked %d", r.Ack.Acked)
	case r.Congestion != nil:
		line += fmt.Sprintf(" %v", r.Congestion.Cause)
	case r.Sent != nil:
		line += fmt.Sprintf(" octets %d resent %v", r.Sent.Octets, r.Sent.Resent)
	case r.Lost != nil:
		line += fmt.Sprintf(" octets %d", r.Lost.Octets)
	}
	if r.Shadow != nil {
		line += fmt.Sprintf(" shadow %d", r.Shadow.Cwnd())
	}
	j.lines = append(j.lines, line)
	j.back = j.back || r.Now < j.last
	j.last = r.Now
}

// What happens to a connection's window is recorded, with its cause and with what limits it,
// and with what the shadow would have set.
func TestRecorderSeesWhatHappens(t *testing.T) {
	j := &journal{}
	s := server(t, tcp.Config{InitialWindow: 4, Shadow: reno.New}, wire.Options{Has: wire.HasMSS | wire.HasSACKPermitted, MSS: 1000})
	s.SetRecorder(j)
	s.want("the SYN is answered", "S. 0:0(0) ack 1")
	s.after(100 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1)
	s.write(5000)
	s.want("the initial window", data(1, 1000, 4)...)
	s.after(100 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 1, sack(1001, 4001))
	s.out()
	s.after(100 * time.Millisecond)
	s.in(wire.ACK, 1, 0, 5001)
	s.Abort(s.now)
	s.out()
	want := []string{
		"open window 4000 open application shadow 4000",
		"sent window 4000 open application octets 1000 resent false shadow 4000",
		"sent window 4000 open application octets 1000 resent false shadow 4000",
		"sent window 4000 open application octets 1000 resent false shadow 4000",
		"sent window 4000 open application octets 1000 resent false shadow 4000",
		"limit window 4000 open cwnd shadow 4000",
		"lost window 4000 open cwnd octets 1000 shadow 4000",
		"congestion window 1000 recovery cwnd loss shadow 2000",
		"ack window 2000 recovery cwnd acked 3000 shadow 2000",
		"sent window 2000 recovery cwnd octets 1000 resent true shadow 2000",
		"sent window 2000 recovery cwnd octets 1000 resent false shadow 2000",
		"limit window 2000 recovery application shadow 2000",
		"recovered window 2000 open application loss shadow 2000",
		"ack window 2000 open application acked 2000 shadow 2000",
		"closed window 2000 open application shadow 2000",
	}
	if !slices.Equal(j.lines, want) || j.back {
		t.Errorf("time ran backwards: %v; recorded", j.back)
		for i := range max(len(want), len(j.lines)) {
			g, w := "-", "-"
			if i < len(j.lines) {
				g = j.lines[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				t.Logf("%d\n got %s\nwant %s", i, g, w)
			}
		}
	}
}

// A shadow of the same kind comes to the same decisions, as long as those who are in charge
// agree; one of another kind to its own, and neither changes what is sent.
func TestShadowDecidesAsTheAlgorithmWould(t *testing.T) {
	var sent [3]int
	for i, shadow := range []func() congestion.Algorithm{nil, reno.New, reno.Config{Limit: 8}.New} {
		p := newPair(t, tcp.Config{Shadow: shadow}, tcp.Config{}, 1<<20)
		p.drop = lossOf(200, 201, 900)
		differed := false
		p.onStep = func() {
			n := p.a.Info(p.now)
			if shadow != nil && n.State == tcp.StateEstablished {
				differed = differed || n.Shadow.Cwnd != n.Cwnd && n.Recovery == "open" || n.Shadow.Ssthresh != n.Ssthresh
			}
		}
		p.transfer(p.a, p.b, pattern(2_000_000))
		sent[i] = p.sent[p.a]
		if want := i == 2; differed != want {
			t.Errorf("shadow %d: differed %v, want %v", i, differed, want)
		}
	}
	if sent[0] != sent[1] || sent[0] != sent[2] {
		t.Errorf("%v segments were sent with no shadow, and with one", sent)
	}
}

// counter is the cheapest recorder, with a shadow beside it.
type counter struct{ records int }

func (c *counter) Record(*congestion.Record) { c.records++ }
