package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ErrStalled says that a workload was given up because nothing moved any more.
var ErrStalled = errors.New("bench: stalled")

const (
	// stallMax is how long nothing may move: beyond four time-outs of TCP in a row, of 200 ms
	// at first, and no longer than somebody waits who has a hundred other runs to make.
	stallMax = 4 * time.Second
	// overrunMax is how long a workload may go on when its time is over: what is on its way comes,
	// or does not but for a trickle.
	overrunMax = 6 * time.Second
	// stallLook is how often it is looked at.
	stallLook = stallMax / 8
)

// pulse is what has moved on the connections of a workload, in octets.
type pulse struct{ moved atomic.Int64 }

// watch runs f, and ends its context with ErrStalled when nothing has moved for stallMax, or when
// it goes on for overrunMax beyond the longest that it should.
func (p *pulse) watch(ctx context.Context, longest time.Duration, f func(ctx context.Context) (Result, error)) (Result, error) {
	var looking sync.WaitGroup
	defer looking.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	looking.Go(func() {
		look := time.NewTicker(stallLook)
		defer look.Stop()
		last, still, all := p.moved.Load(), time.Duration(0), time.Duration(0)
		for still < stallMax {
			if all += stallLook; all > longest+overrunMax {
				cancel(fmt.Errorf("%w: it goes on %v after its time", ErrStalled, overrunMax))
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			now := p.moved.Load()
			if still += stallLook; now != last {
				last, still = now, 0
			}
		}
		cancel(fmt.Errorf("%w: nothing has moved for %v", ErrStalled, stallMax))
	})
	r, err := f(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r, err
}

// moving is a connection that tells what moves on it.
type moving struct {
	net.Conn
	p *pulse
}

// Read reads.
func (m moving) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.p.moved.Add(int64(n))
	return n, err
}

// Write writes.
func (m moving) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	m.p.moved.Add(int64(n))
	return n, err
}

// CloseWrite ends what is sent.
func (m moving) CloseWrite() error { return closeWrite(m.Conn) }
