package xsk

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// waiter is how the worker sleeps: in Go's own netpoller. No thread is blocked by it and none
// must be handed a channel's message, and waking needs no second descriptor: it is a read
// deadline in the past.
//
// The netpoller does not watch the socket but an epoll instance that has the socket as its one
// member, and that only while the worker sleeps and is not muted. So frames wake a thread only
// when somebody waits for them: with the socket itself in the netpoller each batch would wake
// one to find that there is nobody to tell.
type waiter struct {
	woken  atomic.Bool // Wake was called and no Wait has ended for it
	parked atomic.Bool // the worker sleeps, or is about to
	ready  func(uintptr) bool
	retry  atomic.Int64 // the next Wait's limit while the kernel does not take our frames

	mu      sync.Mutex  // of what follows
	asleep  bool        // in sleep
	muted   atomic.Bool // written under mu
	armed   bool        // epoll tells of frames
	epoll   *os.File
	raw     syscall.RawConn // of epoll
	epollFD int
	sockFD  int

	poll      [2]unix.PollFd // the socket, and what Interrupt writes to
	interrupt int

	// Used when the netpoller will not watch the descriptor any more, as when its device
	// was removed: no frame can come, but Wake and time still count.
	gate   chan struct{}
	timer  *time.Timer
	orphan bool
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

func (p *Port) initWait(name string) error {
	w := &p.wait
	w.gate = make(chan struct{}, 1)
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	w.retry.Store(int64(retryMin))
	// One func value for all waits, so that none allocates.
	w.ready = p.due
	w.interrupt = -1
	p.file = os.NewFile(uintptr(p.sock.fd), name)
	raw, err := p.file.SyscallConn()
	if err == nil {
		p.raw = raw
		err = w.open(p.sock.fd, name)
	}
	if err != nil {
		p.sock.fd = -1 // It is the file's.
		return errors.Join(fmt.Errorf("watch the socket: %w", err), p.file.Close())
	}
	return nil
}

// open makes the epoll instance, for the netpoller, and what interrupts Poll.
func (w *waiter) open(sock int, name string) (err error) {
	w.sockFD = sock
	if w.epollFD, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	// Not blocking, or os would not give it to the netpoller.
	if err = unix.SetNonblock(w.epollFD, true); err != nil {
		return errors.Join(err, unix.Close(w.epollFD))
	}
	w.epoll = os.NewFile(uintptr(w.epollFD), name)
	if err = unix.EpollCtl(w.epollFD, unix.EPOLL_CTL_ADD, sock, &unix.EpollEvent{}); err == nil {
		w.raw, err = w.epoll.SyscallConn()
	}
	if err == nil {
		err = w.epoll.SetReadDeadline(time.Time{})
	}
	if err == nil {
		w.interrupt, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	}
	if err != nil {
		return errors.Join(err, w.close())
	}
	w.poll = [2]unix.PollFd{{Fd: int32(sock), Events: unix.POLLIN}, {Fd: int32(w.interrupt), Events: unix.POLLIN}}
	return nil
}

// close ends a sleep, for good.
func (w *waiter) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.interrupt >= 0 {
		_ = unix.Close(w.interrupt)
		w.interrupt = -1
	}
	if w.epoll == nil {
		return nil
	}
	return w.epoll.Close()
}

// Wait blocks until frames are there, Wake is called, or d has passed. It also ends, soon,
// if Alloc ran dry or frames wait on the transmit ring, for no event tells of those.
func (p *Port) Wait(d time.Duration) error {
	if p.closed.Load() {
		return fmt.Errorf("xsk: wait on %s: %w", p.info.Name, net.ErrClosed)
	}
	if d == 0 || p.wait.woken.Swap(false) || p.come() {
		return nil
	}
	if p.Owing() {
		if limit := p.retryLimit(); d < 0 || d > limit {
			d = limit
		}
		p.starved.Store(false)
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

// retryLimit is how long to wait for the kernel to take or to give back frames: longer each time
// until something moves.
func (p *Port) retryLimit() time.Duration {
	retry := p.wait.retry.Load()
	p.wait.retry.Store(min(2*retry, int64(retryMax)))
	return time.Duration(retry)
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
	w := &p.wait
	err := w.epoll.SetReadDeadline(deadline)
	if err == nil && !p.due(0) {
		p.stats.waits.Add(1)
		w.setAsleep(true)
		err = w.raw.Read(w.ready)
		w.setAsleep(false)
	}
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !p.closed.Load() {
		w.orphan = true
	}
}

func (w *waiter) setAsleep(asleep bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = asleep
	w.rearm()
}

func (w *waiter) setMuted(muted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.muted.Store(muted)
	w.rearm()
}

// rearm has epoll tell of frames, or not. Of those that are there already it may tell or not:
// look at the ring afterwards. The caller holds mu.
func (w *waiter) rearm() {
	arm := w.asleep && !w.muted.Load()
	if arm == w.armed || w.interrupt < 0 {
		return
	}
	var e unix.EpollEvent
	if arm {
		e.Events = unix.EPOLLIN
	}
	// It fails when the device is gone, of which Wait learns by itself.
	_ = unix.EpollCtl(w.epollFD, unix.EPOLL_CTL_MOD, w.sockFD, &e)
	w.armed = arm
}

// Mute has frames end Poll and not Wait.
func (p *Port) Mute() { p.wait.setMuted(true) }

// Unmute has frames end Wait again: those that come from now on.
func (p *Port) Unmute() { p.wait.setMuted(false) }

// Pending says whether there are frames to receive.
func (p *Port) Pending() bool { return !p.sock.rx.drained() }

// Owing says whether frames wait for the kernel to take them or give them back.
func (p *Port) Owing() bool { return p.txOwed.Load() || p.starved.Load() }

// Poll waits for frames with the thread.
func (p *Port) Poll(d time.Duration) {
	if d <= 0 || p.Pending() || p.closed.Load() {
		return
	}
	t := unix.NsecToTimespec(int64(d))
	fds := &p.wait.poll
	fds[0].Revents, fds[1].Revents = 0, 0
	if n, err := unix.Ppoll(fds[:], &t, nil); err == nil && n > 0 && fds[1].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(p.wait.interrupt, b[:])
	}
}

// Interrupt ends the present Poll, or the next one.
func (p *Port) Interrupt() {
	one := [8]byte{1}
	p.wait.mu.Lock()
	defer p.wait.mu.Unlock()
	if p.wait.interrupt >= 0 {
		_, _ = unix.Write(p.wait.interrupt, one[:])
	}
}

// due is called by the netpoller before each sleep, after it has armed: its events are
// edges, so what came before the arming must be seen here.
func (p *Port) due(uintptr) bool { return p.wait.woken.Load() || p.come() }

// come says whether there are frames that end Wait.
func (p *Port) come() bool { return !p.sock.rx.drained() && !p.wait.muted.Load() }

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
	_ = p.wait.epoll.SetReadDeadline(past)
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
