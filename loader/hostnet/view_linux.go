package hostnet

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// tick is how often stale neighbours are looked at and failed dumps tried again.
	tick = 5 * time.Second
	// inUse is for how many ticks after Route gave a neighbour to a worker it is kept
	// confirmed: five minutes.
	inUse = 60
	// restRatio is how many times longer than its last dump a View rests before the
	// next: following a storm of changes takes a fifth of a core at most.
	restRatio = 4
	// netlinkTimeout bounds one answer of the kernel, so that nothing hangs on it.
	netlinkTimeout = 5 * time.Second
)

// View follows one interface. Any goroutine may call its methods.
type View struct {
	index   int
	log     *slog.Logger
	current atomic.Pointer[snapshot]
	wants   chan netip.Addr // neighbours to resolve, from workers
	epoch   atomic.Uint32   // counts ticks, from 1

	events   *os.File // of the kernel's notifications
	dirty    atomic.Uint32
	wake     chan struct{} // holds one: dirty is not zero
	overruns atomic.Uint64 // notifications that were lost and made up for

	// The run goroutine's alone.
	kernel *netlink.Handle
	asked  map[netip.Addr]time.Time // when a neighbour was last asked for
	stale  []netip.Addr             // neighbours that were stale at the last dump

	mu        sync.Mutex
	listeners []func([]netip.Addr)
	onGone    []func() // called once

	closed atomic.Bool
	done   chan struct{}
	wg     sync.WaitGroup
}

// What has to be read from the kernel again. All includes the neighbours.
const (
	dirtyNeighbours = 1 << iota
	dirtyAll
)

// Open begins to follow the interface of the calling thread's network namespace that has
// this index, and returns when it is known. A nil log is none.
func Open(ifindex int, log *slog.Logger) (*View, error) {
	return follow(ifindex, log, tick)
}

// follow is Open with a tick of its own.
func follow(ifindex int, log *slog.Logger, tick time.Duration) (*View, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &View{
		index: ifindex,
		log:   log,
		wants: make(chan netip.Addr, wantsMax),
		wake:  make(chan struct{}, 1),
		asked: make(map[netip.Addr]time.Time),
		done:  make(chan struct{}),
	}
	v.epoch.Store(1)
	if err := v.open(); err != nil {
		return nil, fmt.Errorf("hostnet: follow interface %d: %w", ifindex, err)
	}
	v.wg.Go(v.receive)
	v.wg.Go(func() { v.run(tick) })
	return v, nil
}

// open subscribes before it reads, so that no change falls between.
func (v *View) open() (err error) {
	if v.events, err = subscribe(); err != nil {
		return err
	}
	v.kernel, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		v.events.Close()
		return err
	}
	s, err := v.read(nil, dirtyAll)
	if err == nil {
		err = v.kernel.SetSocketTimeout(netlinkTimeout)
	}
	if err == nil && s.gone {
		err = unix.ENODEV
	}
	if err != nil {
		v.events.Close()
		v.kernel.Close()
		return err
	}
	s.generation = 1
	v.current.Store(s)
	return nil
}

// Route says how to send to dst. It neither blocks nor allocates. A caller may keep the
// answer while Generation stays what it was before the call, but asks again once a minute
// for what it uses: that is how the View knows which neighbours to keep confirmed. An
// invalid src asks for the preferred one.
func (v *View) Route(src, dst netip.Addr) (Hop, Status) {
	h, next, n, status := v.current.Load().hop(bare(src), bare(dst))
	switch status {
	case OK:
		if e := v.epoch.Load(); n.used.Load() != e {
			n.used.Store(e)
		}
	case Unresolved:
		select {
		case v.wants <- next:
		default: // the goroutine is behind: the caller asks again anyway
		}
	case Unreachable:
	}
	return h, status
}

// bare is an address as the snapshot compares it: without a zone, and IPv4 as such.
func bare(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Generation changes whenever an answer of Route may have changed.
func (v *View) Generation() uint64 { return v.current.Load().generation }

// Addrs returns the interface's own addresses: those that may be used, link-local ones
// without a zone. The slice is the caller's.
func (v *View) Addrs() []netip.Addr { return v.current.Load().locals() }

// OnAddrs calls f with the addresses, now and whenever they have changed, one call at a
// time. f returns soon, and calls neither OnAddrs nor Close.
func (v *View) OnAddrs(f func([]netip.Addr)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.listeners = append(v.listeners, f)
	f(v.Addrs())
}

// OnGone calls f when the interface has been removed, or has left the network namespace, which is for
// good. f returns soon, and calls neither OnGone nor Close.
func (v *View) OnGone(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.current.Load().gone {
		f()
		return
	}
	v.onGone = append(v.onGone, f)
}

// Close stops following. Route goes on answering what was true before.
func (v *View) Close() error {
	if v.closed.Swap(true) {
		return fmt.Errorf("hostnet: close: %w", net.ErrClosed)
	}
	close(v.done)
	err := v.events.Close()
	v.wg.Wait()
	v.kernel.Close()
	if err != nil {
		return fmt.Errorf("hostnet: close: %w", err)
	}
	return nil
}

// run is the goroutine that reads the kernel's tables and asks for neighbours.
func (v *View) run(tick time.Duration) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	rested := time.NewTimer(0)
	defer rested.Stop()
	resting, due := true, false
	for {
		select {
		case <-v.done:
			return
		case next := <-v.wants:
			v.resolve(next, time.Now())
		case <-ticker.C:
			v.epoch.Add(1)
			v.forget(time.Now())
			v.confirm()
			due = due || v.dirty.Load() != 0
		case <-rested.C:
			resting = false
		case <-v.wake:
			due = true
		}
		if due && !resting {
			start := time.Now()
			v.update()
			rested.Reset(restRatio * time.Since(start))
			resting, due = true, false
		}
	}
}

// update reads what is dirty and publishes it if it makes a difference.
func (v *View) update() {
	what := v.dirty.Swap(0)
	if what == 0 {
		return
	}
	old := v.current.Load()
	s, err := v.read(old, what)
	if err != nil {
		v.dirty.Or(what)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			v.log.Warn("hostnet: the kernel's tables cannot be read; will try again", "error", err)
			return
		}
		// Something changed while it was read: its notification has come or will.
		v.notify()
		return
	}
	if s.gone == old.gone && s.answersAs(old) {
		return
	}
	s.generation = old.generation + 1
	v.mu.Lock()
	defer v.mu.Unlock()
	v.current.Store(s)
	v.log.Debug("hostnet: changed", "generation", s.generation, "usable", s.usable,
		"addresses", len(s.addrs), "routes", len(s.main.byPrefix), "neighbours", len(s.neighbours))
	if !equalAddrs(s, old) {
		for _, f := range v.listeners {
			f(s.locals())
		}
	}
	if s.gone {
		for _, f := range v.onGone {
			f()
		}
		v.onGone = nil
	}
}
