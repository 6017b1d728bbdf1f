package stack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// ListenConfig says how to listen. Of the zero value only Stack must be set.
type ListenConfig struct {
	Stack *Stack
	// Backlog and AcceptQueue replace those of the stack's Config. The peer of a connection
	// for which the accept queue has no room takes it for open, and repeats its data until
	// there is room, as with Linux.
	Backlog, AcceptQueue int
	// Congestion makes the congestion control of the connections.
	Congestion func() congestion.Algorithm
	// CongestionFor chooses by the addresses of a connection what makes its congestion control;
	// where it returns nil, Congestion holds. It is called on a worker and must not block.
	CongestionFor func(local, remote netip.AddrPort) func() congestion.Algorithm
	// KeepAliveConfig is that of the connections. The zero value is off.
	KeepAliveConfig net.KeepAliveConfig
	// RecvBuffer and SendBuffer replace those of the stack's Config.
	RecvBuffer, SendBuffer int
	// Nagle turns Nagle's algorithm on, which is off as in package net.
	Nagle bool
}

// Listener accepts connections. It implements net.Listener.
type Listener struct {
	s     *Stack
	addr  net.TCPAddr
	claim *claim
	queue chan *Conn // room for limit, and for one more of each worker
	limit int
	ports []*engine.Listener // one for each worker; a worker's entry is its own

	deadline listenDeadline
	closing  sync.Once
	done     chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Listen listens on a port of "tcp", "tcp4" or "tcp6". An empty host, or an unspecified
// address, is all of ours; port 0 is one that is free.
func (s *Stack) Listen(network, address string) (net.Listener, error) {
	return ListenConfig{Stack: s}.Listen(context.Background(), network, address)
}

// Listen listens as Stack.Listen does. The context is for looking up names only.
func (lc ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := lc.listen(ctx, network, address, nil)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addressOf(address), Err: err}
	}
	return l, nil
}

// listen makes a listener. Its connections are for Accept, or have the handlers that handle
// makes.
func (lc ListenConfig) listen(ctx context.Context, network, address string, handle func(*HandlerConn) Handler) (*Listener, error) {
	s := lc.Stack
	if s.closed.Load() {
		return nil, s.closedError()
	}
	local, err := localAddress(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if !wildcard(local.Addr()) && !s.cfg.Addrs.Has(local.Addr()) {
		return nil, errNotOurs()
	}
	cl, err := s.claims.listen(local)
	if err != nil {
		return nil, err
	}
	l := &Listener{s: s, claim: cl, done: make(chan struct{}), limit: s.cfg.AcceptQueue}
	if lc.AcceptQueue > 0 {
		l.limit = lc.AcceptQueue
	}
	l.queue = make(chan *Conn, l.limit+len(s.workers))
	l.addr = tcpAddr(cl.addr)
	if !cl.addr.Addr().IsValid() {
		l.addr.IP = net.IPv6unspecified
	}
	l.deadline.init()
	if err := l.open(lc, handle); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// open has each worker listen.
func (l *Listener) open(lc ListenConfig, handle func(*HandlerConn) Handler) error {
	s := l.s
	cfg := engine.ListenConfig{Local: l.claim.addr, Backlog: s.cfg.Backlog}
	if lc.Backlog > 0 {
		cfg.Backlog = lc.Backlog
	}
	cfg.Options = s.options(lc.Congestion, lc.KeepAliveConfig, lc.RecvBuffer, lc.SendBuffer, lc.Nagle)
	cfg.Options.Claim, cfg.Options.Congestion = l.claim, lc.CongestionFor
	l.ports = make([]*engine.Listener, len(s.workers))
	errs := make([]error, len(s.workers))
	s.onWorkers(func(i int, w *worker, _ mono.Time) {
		mine := cfg
		mine.Acceptor = acceptor{l, w}
		if handle != nil {
			mine.Acceptor = handlerAcceptor{s, w, handle}
		}
		l.ports[i], errs[i] = w.e.Listen(mine)
	})
	for i, err := range errs {
		if err == nil && l.ports[i] == nil {
			err = net.ErrClosed
		}
		if err != nil {
			return engineError("listen", err)
		}
	}
	return nil
}

// onWorkers has f called on each worker that lives, and waits for all.
func (s *Stack) onWorkers(f func(i int, w *worker, now mono.Time)) {
	var all sync.WaitGroup
	for i, w := range s.workers {
		all.Add(1)
		if !w.e.Do(func(now mono.Time) {
			f(i, w, now)
			all.Done()
		}) {
			all.Done()
		}
	}
	all.Wait()
}

// options are what a connection starts with.
func (s *Stack) options(cc func() congestion.Algorithm, k net.KeepAliveConfig, recv, send int, nagle bool) engine.Options {
	o := engine.Options{NoDelay: !nagle, RecvBuffer: recv, SendBuffer: send}
	if cc != nil {
		cfg := s.cfg.TCP
		cfg.Congestion = cc
		o.TCP = &cfg
	}
	if k.Enable {
		o.KeepAlive = true
		o.KeepIdle, o.KeepInterval, o.KeepCount = keepTimes(k)
	}
	return o
}

// acceptor is a listener as one worker sees it.
type acceptor struct {
	l *Listener
	w *worker
}

// Full says whether the accept queue has no room.
func (a acceptor) Full() bool { return len(a.l.queue) >= a.l.limit }

// Accept puts a new connection on the accept queue.
func (a acceptor) Accept(ec *engine.Conn) {
	c := a.l.s.newConn(a.w)
	c.bind(ec)
	ec.SetObserver(c)
	c.born()
	select {
	case a.l.queue <- c:
		a.w.woke = true
	default:
		// A step may open several connections after it has seen that there is room for one.
		c.seen()
		ec.PostAbort()
	}
}

// Accept waits for the next connection, a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the type that it returns.
func (l *Listener) AcceptConn() (*Conn, error) {
	for {
		expired := l.deadline.channel()
		// A listener that is closed, or late, is so even if there is a connection.
		switch {
		case isDone(l.done):
			return nil, l.opError(net.ErrClosed)
		case isDone(l.s.done):
			return nil, l.opError(l.s.closedError())
		case isDone(expired):
			return nil, l.opError(os.ErrDeadlineExceeded)
		}
		select {
		case c := <-l.queue:
			return c, nil
		case <-l.done:
		case <-l.s.done:
		case <-expired:
		}
	}
}

func isDone(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (l *Listener) opError(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: &l.addr, Err: err}
}

// Close stops listening. Connections that wait for Accept are reset; those accepted live on.
func (l *Listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		err = nil
		close(l.done)
		l.deadline.stop()
		l.s.onWorkers(func(i int, _ *worker, now mono.Time) {
			if l.ports != nil && l.ports[i] != nil {
				l.ports[i].Close(now)
			}
		})
		for len(l.queue) > 0 {
			c := <-l.queue
			c.seen()
			c.sock.Retire()
			c.c.PostAbort()
		}
		l.s.claims.unbind(l.claim)
	})
	if err != nil {
		return &net.OpError{Op: "close", Net: "tcp", Addr: &l.addr, Err: err}
	}
	return nil
}

// Addr returns the address that is listened on, a *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return &l.addr }

// SetDeadline sets when Accept fails with os.ErrDeadlineExceeded; the zero time is never.
func (l *Listener) SetDeadline(t time.Time) error {
	if isDone(l.done) {
		return &net.OpError{Op: "set", Net: "tcp", Addr: &l.addr, Err: net.ErrClosed}
	}
	l.deadline.set(t)
	return nil
}

// listenDeadline is a deadline that several goroutines wait for: a channel that is closed
// when it is over.
type listenDeadline struct {
	mu    sync.Mutex
	timer *time.Timer
	over  chan struct{}
}

func (d *listenDeadline) init() { d.over = make(chan struct{}) }

func (d *listenDeadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.over
}

func (d *listenDeadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
	}
}

// set makes a new channel if the old one is closed, or may be at any moment.
func (d *listenDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		d.over = make(chan struct{})
	}
	if d.timer == nil && isDone(d.over) {
		d.over = make(chan struct{})
	}
	d.timer = nil
	if t.IsZero() {
		return
	}
	over := d.over
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(over) })
		return
	}
	close(over)
}

// wildcard says whether a is a wildcard.
func wildcard(a netip.Addr) bool { return !a.IsValid() || a.IsUnspecified() }

func addressOf(address string) net.Addr { return textAddr(address) }

// textAddr is an address that could not be read, for error messages.
type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }

func errUnknownNetwork(network string) error {
	return fmt.Errorf("stack: network %q: %w", network, net.UnknownNetworkError(network))
}
