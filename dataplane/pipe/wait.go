package pipe

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// Flush wakes whoever waits at the peer, if there is something to receive.
func (p *Port) Flush() {
	// The peer says that it waits and then looks at its ring; we filled the ring and now look
	// whether it waits. One of us sees the other.
	to := p.peer
	switch {
	case to.polling.Load():
		if to.Pending() {
			to.Interrupt()
		}
	case to.parked.Load() && !to.muted.Load() && to.Pending():
		to.kick()
	}
}

// cameHome is called by the peer, after it has put frames on p.home.
func (p *Port) cameHome() {
	if p.starved.Load() && p.parked.Load() {
		p.kick()
	}
}

// kick ends the present Wait, or the next one.
func (p *Port) kick() {
	select {
	case p.gate <- struct{}{}:
	default:
	}
}

// Wake ends the present Wait, or the next one. Any goroutine may call it.
func (p *Port) Wake() { p.kick() }

// Wait blocks until there is something to receive, a frame has come home after Alloc ran
// dry, Wake is called, or d has passed.
func (p *Port) Wait(d time.Duration) error {
	if p.closed.Load() {
		return fmt.Errorf("pipe: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	if d == 0 || p.due() {
		return nil
	}
	p.parked.Store(true)
	if !p.due() {
		p.sleep(d)
	}
	p.parked.Store(false)
	if p.closed.Load() {
		return fmt.Errorf("pipe: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	return nil
}

// due says whether Wait has nothing to wait for.
func (p *Port) due() bool {
	if p.Pending() && !p.muted.Load() {
		return true
	}
	if p.starved.Load() && !p.home.drained() {
		p.starved.Store(false)
		return true
	}
	return false
}

func (p *Port) sleep(d time.Duration) {
	select {
	case <-p.gate:
		return
	default:
	}
	p.stats.waits.Add(1)
	if d < 0 {
		<-p.gate
		return
	}
	p.timer.Reset(d)
	select {
	case <-p.gate:
	case <-p.timer.C:
	}
	p.timer.Stop()
}

// Pending says whether there are frames to receive.
func (p *Port) Pending() bool { return !p.in.drained() }

// Owing says whether Alloc ran dry: frames that come home end Wait, and not Poll.
func (p *Port) Owing() bool { return p.starved.Load() }

// Mute has frames end Poll and not Wait.
func (p *Port) Mute() { p.muted.Store(true) }

// Unmute has frames end Wait again: those that come from now on.
func (p *Port) Unmute() { p.muted.Store(false) }

// Poll waits for frames.
func (p *Port) Poll(d time.Duration) {
	p.polling.Store(true)
	defer p.polling.Store(false)
	if d <= 0 || p.Pending() || p.closed.Load() {
		return
	}
	p.polls.Reset(d)
	defer p.polls.Stop()
	select {
	case <-p.polled:
	case <-p.polls.C:
	}
}

// Interrupt ends the present Poll, or the next one.
func (p *Port) Interrupt() {
	select {
	case p.polled <- struct{}{}:
	default:
	}
}

// counters are dataplane.Stats, written by the workers of both ends and read by anyone.
type counters struct {
	rxFrames, rxOctets, rxDropped atomic.Uint64
	txFrames, txOctets, txDropped atomic.Uint64
	waits                         atomic.Uint64
}

func (c *counters) read() dataplane.Stats {
	return dataplane.Stats{
		RXFrames:  c.rxFrames.Load(),
		RXOctets:  c.rxOctets.Load(),
		RXDropped: c.rxDropped.Load(),
		TXFrames:  c.txFrames.Load(),
		TXOctets:  c.txOctets.Load(),
		TXDropped: c.txDropped.Load(),
		Waits:     c.waits.Load(),
	}
}
