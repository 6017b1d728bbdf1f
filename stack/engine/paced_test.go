package engine

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
)

// The worker needs a punctual clock while a pacer holds data back, and not for the probe that
// guards what is on its way; nor when the connection is gone.
func TestPaced(t *testing.T) {
	want := func(e *Engine, paced bool, when string) {
		t.Helper()
		if got := e.Paced(); got != paced {
			t.Errorf("Paced %s: got %v, want %v", when, got, paced)
		}
	}
	p := newPair(t, Config{}, pipe.Config{})
	p.b.listen(80)
	a, b := p.connect(80)
	a.Send().Write(make([]byte, 8<<10))
	a.Touch()
	p.a.e.Step(p.now)
	want(p.a.e, false, "with data on its way")
	p.run(time.Second)

	a.TCP().SetPacingMax(100_000)
	a.Send().Write(make([]byte, 64<<10))
	a.Touch()
	p.step()
	want(p.a.e, true, "with data that waits for the pacer")
	p.run(2 * time.Second)
	if got, all := b.Recv().Len(), 72<<10; got != all {
		t.Errorf("%d octets came, want %d", got, all)
	}
	want(p.a.e, false, "when all data has left")

	a.Send().Write(make([]byte, 64<<10))
	a.Touch()
	p.step()
	want(p.a.e, true, "with data that waits again")
	a.CloseNow(true)
	p.step()
	want(p.a.e, false, "after an abort")
}
