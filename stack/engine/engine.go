// Package engine is all TCP connections of one queue: it takes frames from a dataplane.Port,
// finds their connections, and sends what these owe. There is no goroutine and no clock in
// it. A worker, a simulator or a test drives it:
//
//	for {
//		worked := e.Step(now)      // receive, hand out, send; never blocks
//		...                        // sleep until e.Deadline(), or something arrives: e.Wait
//	}
//
// Everything belongs to who calls Step, but for the mailbox (Do, and the methods of Conn
// that post), which any goroutine may use.
package engine

import (
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Defaults of Config.
const (
	RecvBufferDefault = 256 << 10 // what a peer may send before anything is known of it
	SendBufferDefault = 256 << 10
	RecvMaxDefault    = 6 << 20 // 50 ms at 1 Gbit/s, as Linux's tcp_rmem
	SendMaxDefault    = 4 << 20
	ConnsMaxDefault   = 1 << 20
)

// Config describes an engine. The zero value of a field is its documented default.
type Config struct {
	// TCP is that of connections which have no other.
	TCP tcp.Config
	// Key makes sequence numbers, timestamps and hashes unpredictable. The same key, and the
	// same calls, give the same packets; a key of zeros is as good as none.
	Key [16]byte
	// Addrs is the addresses that are ours; nil is every one.
	Addrs *AddrSet
	// Pool lends the buffers; nil is a pool of the engine's own.
	Pool *queue.Pool
	// RecvBuffer and SendBuffer are how many octets a connection holds for its reader, and
	// of its writer, at first: RecvBufferDefault and SendBufferDefault.
	RecvBuffer, SendBuffer int
	// RecvMax and SendMax are what they grow to as the path and the application need it:
	// RecvMaxDefault and SendMaxDefault. Less than the buffer keeps that as it is.
	RecvMax, SendMax int
	// ConnsMax is the most connections, those in TIME-WAIT not counted: ConnsMaxDefault.
	ConnsMax int
	// TimeWaitMax is the most connections in TIME-WAIT; beyond, the oldest leaves early:
	// TimeWaitDefault.
	TimeWaitMax int
	// OrphansMax is the most connections that their applications have closed and that are not
	// at their end; beyond, the oldest is reset: OrphansDefault.
	OrphansMax int
	// MemoryMax is the ceiling, in octets, of what the buffers of Pool hold and connections
	// cost: MemoryMaxDefault; less than zero is none. Near it windows and buffers stop growing,
	// at it they are small, and new connections are refused. Engines that share a pool share
	// the ceiling.
	MemoryMax int64
	// HalfOpenMax is the most half-open connections of all listeners together:
	// HalfOpenDefault. HalfOpenPerSource is the most of one peer's address; 0 is no bound.
	HalfOpenMax, HalfOpenPerSource int
	// Cookies says when SYNs are answered without keeping them: CookiesWhenFull.
	Cookies Cookies
	// Helper, if given, is called by who posts for a connection, in its own goroutine. It says
	// whether it has stepped the engine itself: else the worker is woken, if it is parked.
	Helper func() bool
	// Recorder returns what records a connection, or nil. It is asked on the worker when the
	// connection begins, and must not block; nil records none.
	Recorder func(local, remote netip.AddrPort) congestion.Recorder
	// Directory is shared by the engines of one NIC; nil where there is one queue.
	Directory *Directory
}

func (cfg Config) withDefaults() Config {
	cfg.TCP = cfg.TCP.WithDefaults()
	if cfg.Pool == nil {
		cfg.Pool = new(queue.Pool)
	}
	cfg.RecvBuffer = orDefault(cfg.RecvBuffer, RecvBufferDefault)
	cfg.SendBuffer = orDefault(cfg.SendBuffer, SendBufferDefault)
	cfg.RecvMax = orDefault(cfg.RecvMax, RecvMaxDefault)
	cfg.SendMax = orDefault(cfg.SendMax, SendMaxDefault)
	cfg.ConnsMax = orDefault(cfg.ConnsMax, ConnsMaxDefault)
	cfg.TimeWaitMax = orDefault(cfg.TimeWaitMax, TimeWaitDefault)
	cfg.OrphansMax = orDefault(cfg.OrphansMax, OrphansDefault)
	if cfg.MemoryMax == 0 {
		cfg.MemoryMax = MemoryMaxDefault
	}
	cfg.HalfOpenMax = orDefault(cfg.HalfOpenMax, HalfOpenDefault)
	return cfg
}

// Engine is the connections of one queue.
type Engine struct {
	cfg     Config
	port    dataplane.Port
	crowds  dataplane.CrowdedPort // port, or nil
	info    dataplane.Info
	router  Router
	secrets secrets
	ports   *Ports

	flows    table[*Conn]
	timeWait timeWait

	halves     table[*half]
	halfTimers timers[*half]
	sources    sources
	scratch    scratch
	cookieAt   mono.Time // when a SYN cookie was last sent

	paths      paths
	orphans    orphans
	challenges *tcp.ChallengeLimit
	core       tcp.Scratch
	pressed    bool // memory was scarce in the last step

	listeners map[listenKey]*Listener
	timers    timers[*Conn]
	ready     ring
	paced     int // connections whose pacers hold data back
	stats     Stats
	resets    budget
	now       mono.Time // of the last step
	stopped   bool

	rx       rxBatch
	received int // frames, by the last step
	keeping  keeping
	tx       tx
	in       inbound
	lately   lately
	icmp     wire.ICMPError
	replies  replies

	mail mailbox
}

// New returns an engine that serves port. The router says where its packets go; both stay
// the caller's to close.
func New(cfg Config, port dataplane.Port, router Router) *Engine {
	e := &Engine{cfg: cfg.withDefaults(), port: port, info: port.Info(), router: router}
	key := newSIPKey(e.cfg.Key)
	e.secrets = newSecrets(key)
	e.ports = &Ports{key: e.secrets.port}
	seed := newHashSeed(key)
	e.flows.init(seed)
	e.timeWait.init(seed)
	e.halves.init(seed)
	e.cfg.Pool.SetMax(max(0, e.cfg.MemoryMax))
	e.challenges = tcp.NewChallengeLimit(key.sum([5]uint64{purposeChallenge}))
	e.sources.init(e.cfg.HalfOpenPerSource)
	e.core.Sums = !e.info.TXChecksum
	e.scratch.send.Init(e.cfg.Pool, 0)
	e.scratch.recv.Init(e.cfg.Pool, 0)
	e.listeners = make(map[listenKey]*Listener)
	e.crowds, _ = port.(dataplane.CrowdedPort)
	e.keeping.init(port, &e.info, e.cfg.Pool)
	return e
}

// Step does what there is to do at the time now, and says whether there was anything. It
// takes and sends a bounded number of frames: with more to do it says true.
func (e *Engine) Step(now mono.Time) (worked bool) {
	e.now = now
	e.tx.exhausted = false
	e.noteMemory()
	worked = e.receive(now)
	worked = e.readMail(now) || worked
	worked = e.fireTimers(now) || worked
	worked = e.sendReplies() || worked
	worked = e.serveReady(now) || worked
	e.endTX()
	return worked
}

// Received returns how many frames the last Step has taken.
func (e *Engine) Received() int { return e.received }

// Deadline returns when Step is due though nothing arrives and nothing is posted. It is not
// later than it need be, and may be earlier.
func (e *Engine) Deadline() mono.Time {
	next := min(e.timers.next(), e.halfTimers.next(), e.timeWait.deadline())
	if e.ready.n > 0 {
		if !e.tx.exhausted {
			return e.now
		}
		next = min(next, e.now.Add(exhaustedRetry))
	}
	return next
}

// Paced says whether data waits for a pacer: Deadline is then worth being kept to less than a
// millisecond.
func (e *Engine) Paced() bool { return e.paced > 0 }

// fireTimers gives those their turn whose time has come.
func (e *Engine) fireTimers(now mono.Time) bool {
	worked := e.endTimeWaits(now)
	worked = e.fireHalves(now) || worked
	for c := e.timers.pop(now); c != nil; c = e.timers.pop(now) {
		if at := c.deadline(); at > now {
			e.timers.schedule(c, at) // the deadline has moved since
			continue
		}
		worked = true
		c.tcp.Tick(now)
		e.touch(c)
	}
	return worked
}

// ConnectConfig says what to connect.
type ConnectConfig struct {
	// Local may lack its address, which the route then gives, and its port, which is then
	// an ephemeral one.
	Local   netip.AddrPort
	Remote  netip.AddrPort
	Options Options
}

// Connect opens a connection. Its Observer hears how that ends. For the worker.
func (e *Engine) Connect(now mono.Time, cfg ConnectConfig) (*Conn, error) {
	if e.stopped {
		return nil, ErrClosed
	}
	if e.flows.n >= e.cfg.ConnsMax {
		return nil, ErrConnsMax
	}
	if e.memoryFull() {
		return nil, ErrMemory
	}
	if to := cfg.Remote.Addr(); to.IsValid() && !isHost(to) {
		// "MUST reject as an error a local OPEN call for an invalid remote IP address (e.g., a
		// broadcast or multicast address)" (RFC 9293, section 3.9.2.3).
		return nil, ErrUnreachable
	}
	hop, status := e.router.Route(cfg.Local.Addr(), cfg.Remote.Addr())
	if status == RouteImpossible {
		return nil, ErrUnreachable
	}
	src := cfg.Local.Addr()
	if !src.IsValid() || src.IsUnspecified() {
		src = hop.Src
	}
	if !src.IsValid() || !cfg.Remote.Addr().IsValid() || src.Is4() != cfg.Remote.Addr().Is4() {
		return nil, ErrFamily
	}
	key, err := e.freeKey(netip.AddrPortFrom(src, cfg.Local.Port()), cfg.Remote)
	if err != nil {
		return nil, err
	}
	c := e.newConn(key, &cfg.Options)
	c.way.mtu = e.clampMTU(hop.MTU, 0)
	c.tcp.Connect(now, e.tcpConfig(&cfg.Options), c.params(now, &cfg.Options))
	c.apply(now, &cfg.Options)
	e.add(c)
	return c, nil
}

// freeKey finds a local port, if none is given, and sees to it that the flow is free.
func (e *Engine) freeKey(local, remote netip.AddrPort) (flowKey, error) {
	if local.Port() != 0 {
		key := keyOf(local, remote)
		if e.taken(&key) {
			return flowKey{}, ErrInUse
		}
		return key, nil
	}
	var key flowKey
	_, ok := e.ports.Pick(local.Addr(), remote, func(port uint16) bool {
		key = keyOf(netip.AddrPortFrom(local.Addr(), port), remote)
		return !e.taken(&key) && e.listening(local.Addr(), port) == nil
	})
	if !ok {
		return flowKey{}, ErrInUse
	}
	return key, nil
}

func (e *Engine) taken(key *flowKey) bool {
	return e.flows.get(key) != nil || e.halves.get(key) != nil || e.timeWait.table.get(key) != nil
}

// add makes c one of ours, and has it served.
func (e *Engine) add(c *Conn) {
	e.flows.put(c)
	c.inTable = true
	e.mail.held.Add(1)
	e.cfg.Pool.Charge(connOctets)
	e.directoryAdd(&c.key)
	c.publish()
	e.touch(c)
}

// remove takes c out of everything. gone says that no trace is left of the flow.
func (e *Engine) remove(c *Conn, gone bool) {
	c.dead = true
	e.timers.cancel(c)
	e.orphans.remove(c)
	if c.inTable {
		e.untable(c)
		if gone {
			e.directoryRemove(&c.key)
		}
	}
}

// untable takes c, which is there, out of the table.
func (e *Engine) untable(c *Conn) {
	c.inTable = false
	if e.lately.conn == c {
		e.lately.conn = nil
	}
	e.notePaced(c, false)
	e.mail.held.Add(-1)
	e.cfg.Pool.Charge(-connOctets)
	e.flows.remove(c)
}

// bury removes a connection that is CLOSED.
func (e *Engine) bury(c *Conn) {
	if c.dead {
		return
	}
	e.remove(c, true)
	if c.claim != nil {
		c.claim.Release()
		c.claim = nil
	}
}

// Conns calls f for each connection, those in TIME-WAIT that are closed not included. For
// the worker.
func (e *Engine) Conns(f func(c *Conn)) {
	for _, c := range e.flows.all() {
		f(c)
	}
}

// Stats returns a copy of the counters. For the worker.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Orphans = e.orphans.n
	kept := e.keeping.frames.Stats()
	s.FramesKept, s.FramesKeptShort, s.FramesSpilled = kept.Kept, kept.Short, kept.Spilled
	s.FramesKeptNow = kept.Out
	s.Conns, s.HalfOpen, s.TimeWaits, s.Listeners = e.flows.n, e.halves.n, e.timeWait.table.n, len(e.listeners)
	return s
}

// closeSteps bounds how often Close tries to send the last RSTs: enough for 16,000
// connections with a link that keeps up; closeWait is how long it waits for one that does not.
const (
	closeSteps = 64
	closeWait  = time.Millisecond
)

// Close aborts all connections, which tells their peers by RST, ends all else, and has given
// back all frames when it returns, but for those that leases are in, which a
// dataplane.KeepingPort gets when these end. For the worker, as the last thing it does.
func (e *Engine) Close(now mono.Time) {
	e.mail.mu.Lock()
	e.mail.closed.Store(true)
	e.mail.mu.Unlock()
	e.readMail(now)
	e.stopped = true
	for _, l := range e.listeners {
		l.Close(now)
	}
	for _, c := range e.flows.all() {
		c.tcp.Abort(now)
		e.touch(c)
	}
	for range closeSteps {
		e.serveReady(now)
		e.endTX()
		if e.ready.n == 0 {
			break
		}
		if e.tx.exhausted && e.port.Wait(closeWait) != nil {
			break // the link is gone
		}
	}
	for _, c := range e.flows.all() {
		e.notify(c)
		e.bury(c)
	}
	for e.timeWait.table.n > 0 {
		e.wakeResting(e.timeWait.list.next)
	}
	e.readMail(now)
	e.keeping.leave()
}
