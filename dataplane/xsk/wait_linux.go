package xsk

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// waiter is how the worker sleeps: in Go's own netpoller, which the descriptor is
// registered with for as long as it is open. No thread is blocked by it and none must be
// handed a channel's message, and waking needs no second descriptor: it is a read deadline
// in the past.
type waiter struct {
	woken  atomic.Bool // Wake was called and no Wait has ended for it
	parked atomic.Bool // the worker sleeps, or is about to
	ready  func(uintptr) bool
	retry  time.Duration // the next Wait's limit while the kernel does not take our frames

	// Used when the netpoller will not watch the descriptor any more, as when its device
	// was removed: no frame can come, but Wake and time still count.
	gate   chan struct{}
	timer  *time.Timer
	orphan bool
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

func (p *Port) initWait(name string) error {
	p.wait.gate = make(chan struct{}, 1)
	p.wait.timer = time.NewTimer(time.Hour)
	p.wait.timer.Stop()
	p.wait.retry = retryMin
	// One func value for all waits, so that none allocates.
	p.wait.ready = p.due
	p.file = os.NewFile(uintptr(p.sock.fd), name)
	raw, err := p.file.SyscallConn()
	if err == nil {
		p.raw = raw
		err = p.file.SetReadDeadline(time.Time{})
	}
	if err != nil {
		p.sock.fd = -1
		return errors.Join(fmt.Errorf("watch the socket: %w", err), p.file.Close())
	}
	return nil
}

// Wait blocks until frames are there, Wake is called, or d has passed. It also ends, soon,
// if Alloc ran dry or frames wait on the transmit ring, for no event tells of those.
func (p *Port) Wait(d time.Duration) error {
	if p.closed.Load() {
		return fmt.Errorf("xsk: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	if d == 0 || p.wait.woken.Swap(false) || !p.sock.rx.empty() {
		return nil
	}
	if p.txOwed || p.starved {
		if d < 0 || d > p.wait.retry {
			d = p.wait.retry
		}
		p.wait.retry = min(2*p.wait.retry, retryMax)
		p.starved = false
	}
	// Say parked, look again, sleep; Wake says woken, then looks whether parked. A deadline
	// that a late Wake sets ends this Wait or the next one early, which is allowed.
	p.wait.parked.Store(true)
	p.sleep(d)
	p.wait.parked.Store(false)
	p.wait.woken.Store(false)
	if p.closed.Load() {
		return fmt.Errorf("xsk: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	return nil
}

func (p *Port) sleep(d time.Duration) {
	if p.wait.orphan {
		p.sleepAlone(d)
		return
	}
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	err := p.file.SetReadDeadline(deadline)
	if err == nil && !p.due(0) {
		p.stats.waits.Add(1)
		err = p.raw.Read(p.wait.ready)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !p.closed.Load() {
		p.wait.orphan = true
	}
}

// due is called by the netpoller before each sleep, after it has armed: its events are
// edges, so what came before the arming must be seen here.
func (p *Port) due(uintptr) bool { return p.wait.woken.Load() || !p.sock.rx.empty() }

// sleepAlone waits for Wake and time alone.
func (p *Port) sleepAlone(d time.Duration) {
	p.stats.waits.Add(1)
	if p.due(0) {
		return
	}
	if d < 0 {
		<-p.wait.gate
		return
	}
	p.wait.timer.Reset(d)
	select {
	case <-p.wait.gate:
	case <-p.wait.timer.C:
	}
	p.wait.timer.Stop()
}

// Wake ends the present Wait, or the next one. Any goroutine may call it, also after Close.
func (p *Port) Wake() {
	if p.wait.woken.Swap(true) || !p.wait.parked.Load() {
		return
	}
	_ = p.file.SetReadDeadline(past)
	select {
	case p.wait.gate <- struct{}{}:
	default:
	}
}

// Stats returns the counters. Any goroutine may call it.
func (p *Port) Stats() dataplane.Stats { return p.stats.read(p.raw) }

// KernelStats returns the kernel's counters; after Close, their last values.
func (p *Port) KernelStats() KernelStats { return p.stats.kernel(p.raw) }

// Err returns the last errno of a kick that was no mere "try again", or nil: for a log,
// or a doctor. The port keeps going all the same.
func (p *Port) Err() error { return p.stats.err(p.info.Name) }
