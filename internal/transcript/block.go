package transcript

import (
	"fmt"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// outcome is what a system call returns.
type outcome struct {
	n     int64
	errno syscall.Errno
	err   error // something in its arguments is not as the script says
}

// done is an outcome of success.
func done(n int) (outcome, bool) { return outcome{n: int64(n)}, true }

// failed is an outcome with an errno, or of success without a number.
func failed(e syscall.Errno) outcome {
	if e == socket.OK {
		return outcome{}
	}
	return outcome{n: -1, errno: e}
}

// operation is a system call under way. try says whether it is over; expired, that its time
// is.
type operation struct {
	try   func(expired bool) (outcome, bool)
	until mono.Time // when it gives up, or Never
}

// blocked is a call that a thread of its own waits in.
type blocked struct {
	operation
	event *pktdrill.Event
	end   time.Duration // when it must return
	over  bool
	at    time.Duration // when it did
	got   outcome
}

// call plays a system call.
func (p *player) call(e *pktdrill.Event, at time.Duration) error {
	if p.wait != nil {
		if err := p.awaitBlocked(); err != nil {
			return err
		}
	}
	op, err := p.prepare(e.Call)
	if err != nil {
		return err
	}
	b := &blocked{operation: op, event: e, end: at - e.When.Start + e.Call.End}
	if e.When.Kind == pktdrill.Absolute {
		b.end = e.Call.End
	}
	p.wait = b
	p.tryBlocked()
	if err := p.settle(); err != nil {
		return err
	}
	if e.Call.Blocks && !b.over {
		return nil
	}
	return p.awaitBlocked()
}

// tryBlocked lets the blocked call go on, and says whether it is over by that.
func (p *player) tryBlocked() bool {
	b := p.wait
	got, over := b.try(p.now >= b.until)
	if over {
		b.over, b.got, b.at = true, got, p.elapsed()
	}
	return over
}

// awaitBlocked waits until the blocked call returns, and compares what it does.
func (p *player) awaitBlocked() error {
	b := p.wait
	err := p.awaitReturn(b)
	p.wait = nil
	if err != nil {
		return p.fail(b.event, err)
	}
	return nil
}

func (p *player) awaitReturn(b *blocked) error {
	limit := p.now.Add(anyTimeMax)
	for !b.over {
		if p.next() >= limit {
			return fmt.Errorf("%s() waits for ever", b.event.Call.Name)
		}
		if err := p.advanceOnce(limit); err != nil {
			return err
		}
		if !b.over && p.now >= b.until {
			p.tryBlocked()
		}
	}
	if slack := max(p.tolerance, p.slack(b.end)); b.event.Call.Blocks && (b.at < b.end-slack || b.at > b.end+slack) {
		return fmt.Errorf("%s() is to return at %v, it did at %v", b.event.Call.Name, b.end, b.at)
	}
	return compareResult(b.event.Call, b.got)
}

// compareResult compares what a call returned to what the script says.
func compareResult(c *pktdrill.Call, got outcome) error {
	if got.err != nil {
		return fmt.Errorf("%s(): %w", c.Name, got.err)
	}
	name := ""
	if got.errno != socket.OK {
		name = errnoName(got.errno)
	}
	want, known := value(c.Result)
	switch {
	case c.Errno != "" && !sameErrno(c.Errno, name):
		return fmt.Errorf("%s() is to fail with %s, it returned %d %s", c.Name, c.Errno, got.n, name)
	case c.Result.Kind == pktdrill.Ellipsis:
		return nil
	case !known:
		return fmt.Errorf("%s(): the result is no number", c.Name)
	case want != got.n:
		return fmt.Errorf("%s() is to return %d, it returned %d %s", c.Name, want, got.n, name)
	}
	return nil
}
