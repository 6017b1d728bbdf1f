package engine

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
)

// crowdedPort is a port that says of itself what a test wants.
type crowdedPort struct {
	dataplane.Port
	crowded bool
}

func (p *crowdedPort) Crowded() bool { return p.crowded }

// TestCrowdClosesWindows: while more waits than the engine keeps up with, the windows of those that
// send are halved, and that it began is counted once.
func TestCrowdClosesWindows(t *testing.T) {
	p := newPair(t, Config{}, pipe.Config{})
	port := &crowdedPort{Port: p.b.port}
	p.b = p.newHost(Config{}, port, "10.0.0.2", 2)
	p.b.router.hop.RemoteMAC = p.a.router.hop.LocalMAC
	p.b.listen(80)
	a, b := p.connect(80)
	block := make([]byte, 64<<10)
	stream := func(rounds int) {
		for range rounds {
			a.Send().Write(block)
			a.PostWrite()
			p.run(time.Millisecond)
			b.Recv().Read(block)
			if b.Recv().UpdateDue() {
				b.PostRead()
			}
		}
	}
	stream(100)
	limit := b.Recv().Limit()
	port.crowded = true
	stream(100)
	if got := b.Recv().Limit(); got >= limit {
		t.Errorf("limit = %d in a crowd, want less than %d", got, limit)
	}
	if got := p.b.e.Stats().ReceiveCrowded; got != 1 {
		t.Errorf("counted %d crowds, want 1", got)
	}
	port.crowded = false
	stream(100)
	port.crowded = true
	stream(1)
	if got := p.b.e.Stats().ReceiveCrowded; got != 2 {
		t.Errorf("counted %d crowds, want 2", got)
	}
}
