// Package stack is TCP for applications: listeners, dialers and connections that behave as
// those of package net, over ports that carry Ethernet frames.
//
// A Stack runs one worker goroutine for each port, that is for each queue of a NIC. All
// protocol work happens there (package stack/engine); what an application calls touches only
// the queues of its connection, and wakes the worker when it is parked.
package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
)

// Config describes a stack. The zero value of a field is its documented default.
type Config struct {
	// Router says where packets go. It is required.
	Router engine.Router
	// Addrs is the addresses that are ours. It is required.
	Addrs *engine.AddrSet
	// Claimer is asked before an address or a flow is used; nil is a table of ports of the
	// stack's own.
	Claimer Claimer
	// Steer says on which of the ports that New was given what remote sends to local arrives, if
	// that is known: an outgoing connection is made there. nil is that it is never known; then a
	// connection moves to where the answer to its SYN came. Any goroutine calls it.
	Steer func(local, remote netip.AddrPort) (port int, known bool)

	// TCP is the configuration of connections that have no other. An AckEvery and AckFold that
	// are both zero mean what real kernels do, whose GRO makes one packet of many: of segments
	// that the link delivers at once 44 are acknowledged by one ACK, see engine.AckFoldGRO.
	TCP engine.CoreConfig
	// Congestion makes the congestion control of connections that have no other; nil is
	// TCP.Congestion, and that nil is Reno.
	Congestion func() congestion.Algorithm
	// Algorithms is what Conn.SetCongestionControl and Conn.SetShadow know by name; nil is those
	// that come with millrace.
	Algorithms catalog.Table
	// Shadow makes a second algorithm for each connection, which looks on and decides nothing:
	// Conn.Info shows what it would have set. nil is none.
	Shadow func() congestion.Algorithm
	// Recorder returns what records the connection between two addresses, or nil. It is called
	// when the connection begins, on a worker, as the Recorder itself: neither may block.
	Recorder func(local, remote netip.AddrPort) congestion.Recorder
	// Log is told of algorithms that the guard has replaced by Reno; nil is slog.Default.
	Log *slog.Logger
	// RecvBuffer and SendBuffer are the octets that a connection holds for its reader and of
	// its writer at first, 256 KiB each, and RecvMax and SendMax what they grow to as the
	// path and the application need it, 6 MiB and 4 MiB.
	RecvBuffer, SendBuffer int
	RecvMax, SendMax       int
	// Backlog is the most connections of a listener and a queue that are half open, and
	// AcceptQueue the most that are open and wait for Accept: 4096 each.
	Backlog, AcceptQueue int
	// ConnsMax, TimeWaitMax, OrphansMax and HalfOpenMax bound the connections of a queue, and
	// HalfOpenPerSource those of one peer; Cookies says what becomes of SYNs that are too many.
	// See engine.Config.
	ConnsMax, TimeWaitMax, OrphansMax int
	HalfOpenMax, HalfOpenPerSource    int
	Cookies                           engine.Cookies
	// MemoryMax is the ceiling, in octets, of what all connections and their buffers hold:
	// 1 GiB. See engine.Config.
	MemoryMax int64

	// Spin is how long a worker without work looks for more before it sleeps, and a reader that
	// receives in its place: SpinDefault. Less than zero is not at all, SpinForever is always.
	Spin time.Duration
	// Hold, if given, is called by the worker of each port when it begins, on a thread that is its
	// own from then on: to pin that to a processor. When one fails New does. It is for workers that
	// have a processor to themselves: a thread of its own makes each wake-up dearer.
	Hold func(port int) error
	// Key makes sequence numbers unpredictable; zero is a random one.
	Key [16]byte
}

// AcceptQueueDefault is the most connections that wait for Accept: Linux's somaxconn.
const AcceptQueueDefault = 4096

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Router == nil || cfg.Addrs == nil {
		return cfg, errors.New("stack: new: Config.Router and Config.Addrs are required")
	}
	if cfg.Congestion != nil {
		cfg.TCP.Congestion = cfg.Congestion
	}
	if cfg.Shadow != nil {
		cfg.TCP.Shadow = cfg.Shadow
	}
	if cfg.Algorithms == nil {
		cfg.Algorithms = catalog.All()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.TCP.AckEvery == 0 && cfg.TCP.AckFold == 0 {
		cfg.TCP.AckFold = engine.AckFoldGRO
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = engine.BacklogDefault
	}
	if cfg.AcceptQueue <= 0 {
		cfg.AcceptQueue = AcceptQueueDefault
	}
	if cfg.Key == [16]byte{} {
		if _, err := rand.Read(cfg.Key[:]); err != nil {
			return cfg, fmt.Errorf("stack: new: draw key: %w", err)
		}
	}
	if cfg.Claimer == nil {
		cfg.Claimer = newPortTable(cfg.Key)
	}
	return cfg, nil
}

// Stack is TCP over one link. Its methods are safe for concurrent use.
type Stack struct {
	cfg     Config
	pool    queue.Pool
	workers []*worker
	next    atomic.Uint32 // worker of the next outgoing connection
	running sync.WaitGroup
	claims  claims
	closed  atomic.Bool
	panics  atomic.Uint64         // of handlers
	warned  atomic.Int64          // when mayWarn said so last, by clock; 0: never
	done    chan struct{}         // closed by Close
	cause   atomic.Pointer[error] // of the end, that of Fail
}

// New returns a stack over ports, one for each queue, and starts its workers. The ports stay
// the caller's to close, after the stack.
func New(cfg Config, ports ...dataplane.Port) (*Stack, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		return nil, errors.New("stack: new: there is no port")
	}
	s := &Stack{cfg: cfg, done: make(chan struct{})}
	s.claims.init(cfg.Claimer)
	ecfg := engine.Config{
		TCP: cfg.TCP, Key: cfg.Key, Addrs: cfg.Addrs, Pool: &s.pool,
		RecvBuffer: cfg.RecvBuffer, SendBuffer: cfg.SendBuffer,
		RecvMax: cfg.RecvMax, SendMax: cfg.SendMax,
		ConnsMax: cfg.ConnsMax, TimeWaitMax: cfg.TimeWaitMax, OrphansMax: cfg.OrphansMax,
		HalfOpenMax: cfg.HalfOpenMax, HalfOpenPerSource: cfg.HalfOpenPerSource, Cookies: cfg.Cookies,
		MemoryMax: cfg.MemoryMax, Recorder: cfg.Recorder,
	}
	if len(ports) > 1 {
		ecfg.Directory = engine.NewDirectory()
	}
	for _, port := range ports {
		w := newWorker(port, cfg.Spin)
		ecfg.Helper = w.help
		w.e = engine.New(ecfg, port, cfg.Router)
		s.workers = append(s.workers, w)
	}
	if err := s.start(); err != nil {
		return nil, errors.Join(fmt.Errorf("stack: new: %w", err), s.Close())
	}
	return s, nil
}

// start starts the workers.
func (s *Stack) start() (err error) {
	hold := s.cfg.Hold
	if hold == nil {
		for _, w := range s.workers {
			s.running.Go(w.run)
		}
		return nil
	}
	held := make(chan error, len(s.workers))
	for i, w := range s.workers {
		s.running.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with the worker
			held <- hold(i)
			w.run()
		})
	}
	for range s.workers {
		err = errors.Join(err, <-held)
	}
	return err
}

// Close aborts all connections, ends all listeners and waits until the workers have ended
// and every claim is released. Their frames are back with the ports then.
func (s *Stack) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	close(s.done)
	for _, w := range s.workers {
		w.stop.Store(true)
		w.port.Wake()
	}
	s.running.Wait()
	s.claims.close()
	s.claims.wait()
	return nil
}

// Fail closes the stack, and what its connections and listeners then return is cause, in the place of
// net.ErrClosed: what is below the stack has gone.
func (s *Stack) Fail(cause error) error {
	s.cause.Store(&cause)
	return s.Close()
}

// closedError is what an operation on a closed stack returns.
func (s *Stack) closedError() error {
	if cause := s.cause.Load(); cause != nil {
		return *cause
	}
	return net.ErrClosed
}

// BufferOctets returns how much memory the connections' buffers hold.
func (s *Stack) BufferOctets() int64 { return s.pool.InUse() }

// Stats returns the counters of each queue.
func (s *Stack) Stats() []engine.Stats {
	all := make([]engine.Stats, len(s.workers))
	var asked sync.WaitGroup
	for i, w := range s.workers {
		asked.Add(1)
		if !w.e.Do(func(mono.Time) {
			all[i] = w.e.Stats()
			asked.Done()
		}) {
			asked.Done()
		}
	}
	asked.Wait()
	return all
}

// Conns returns what is known of each connection, those in TIME-WAIT that were closed not
// included.
func (s *Stack) Conns() []ConnInfo {
	parts := make([][]ConnInfo, len(s.workers))
	var asked sync.WaitGroup
	for i, w := range s.workers {
		asked.Add(1)
		if !w.e.Do(func(now mono.Time) {
			w.e.Conns(func(c *engine.Conn) {
				parts[i] = append(parts[i], ConnInfo{c.LocalAddr(), c.RemoteAddr(), c.TCP().Info(now)})
			})
			asked.Done()
		}) {
			asked.Done()
		}
	}
	asked.Wait()
	var all []ConnInfo
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// ConnInfo is one connection of Conns.
type ConnInfo struct {
	Local, Remote netip.AddrPort
	engine.Info
}
