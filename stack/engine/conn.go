package engine

import (
	"net/netip"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Observer is told what happened to a connection. It is called on the worker and must not
// block; it may call any method of the Conn.
type Observer interface {
	ConnEvent(c *Conn, e tcp.Events)
}

// Claim is what keeps packets of a connection coming to us. A connection holds it until its
// last trace is gone, TIME-WAIT included. Its methods are called on the worker and must not
// block.
type Claim interface {
	Acquire()
	Release()
}

// Options are what a connection starts with. The zero value is the documented default.
type Options struct {
	// TCP replaces Config.TCP for this connection; nil keeps it.
	TCP *tcp.Config
	// RecvBuffer and SendBuffer replace those of Config, and do not grow; 0 keeps them.
	RecvBuffer, SendBuffer int
	// NoDelay turns Nagle's algorithm off.
	NoDelay bool
	// KeepAlive turns keepalive on. Zero times and count are those of tcp.Conn.
	KeepAlive    bool
	KeepIdle     time.Duration
	KeepInterval time.Duration
	KeepCount    int
	UserTimeout  time.Duration
	// Congestion chooses by the addresses what makes the algorithm of a connection; nil, and
	// the nil that it returns, leave that to the configuration. It is called on the worker, for
	// each connection, and must not block.
	Congestion func(local, remote netip.AddrPort) func() congestion.Algorithm
	Claim      Claim    // held by the connection: it is released, not acquired
	Observer   Observer // nil: nobody is told
}

// Conn is a connection with all that surrounds it. Methods whose comment says so are for
// any goroutine; the rest, and all fields, belong to the worker.
type Conn struct {
	tcp  tcp.Conn
	key  flowKey
	recv queue.Recv
	send queue.Send

	observer Observer
	claim    Claim

	timerPos int32 // in Engine.timers
	ready    bool  // on Engine.ready
	recvMax  int   // what the buffers grow to
	sendMax  int
	inTable  bool
	dead     bool // CLOSED, and everybody was told
	closed   bool // the application has closed it
	prompt   bool // its observer is called before it sends, too
	holds    bool // likewise, before it sends an ACK that can wait
	moving   bool // to another engine, whose worker has not taken it over yet
	paced    bool // its pacer holds data back

	way    way
	orphan orphanLink

	shared shared // with the application
}

// Status is what the application sees of a connection's state.
type Status uint32

const (
	statusOpen Status = 1 << (16 + iota)
	statusPeerFinished
	statusSendFinished
	statusGone
	statusACKHeld
)

// State returns the state.
func (s Status) State() tcp.State { return tcp.State(s & 0xff) }

// Cause returns why the connection ended.
func (s Status) Cause() tcp.Cause { return tcp.Cause(s >> 8 & 0xff) }

// Open says that the handshake was completed at some time.
func (s Status) Open() bool { return s&statusOpen != 0 }

// PeerFinished says that the peer has ended its side, and all its data is in the queue.
func (s Status) PeerFinished() bool { return s&statusPeerFinished != 0 }

// SendFinished says that our side has ended, and the peer has acknowledged all, or never will.
func (s Status) SendFinished() bool { return s&statusSendFinished != 0 }

// Gone says that the connection is CLOSED.
func (s Status) Gone() bool { return s&statusGone != 0 }

// ACKHeld says that an ACK waits for what is written next: see HoldACK.
func (s Status) ACKHeld() bool { return s&statusACKHeld != 0 }

func (c *Conn) flow() *flowKey { return &c.key }
func (c *Conn) slot() *int32   { return &c.timerPos }

// Status returns the state as of the last step. Any goroutine may call it.
func (c *Conn) Status() Status { return Status(c.shared.status.Load()) }

// LocalAddr returns our address and port. Any goroutine may call it.
func (c *Conn) LocalAddr() netip.AddrPort { return c.key.localAddr() }

// RemoteAddr returns the peer's address and port. Any goroutine may call it.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.key.remoteAddr() }

// Engine returns the engine that the connection belongs to, for Do.
func (c *Conn) Engine() *Engine { return c.shared.eng.Load() }

// Recv returns the queue to read from, by one goroutine at a time. Call PostRead when its
// UpdateDue says so after a read.
func (c *Conn) Recv() *queue.Recv { return &c.recv }

// Send returns the queue to write to, by one goroutine at a time. Call PostWrite after.
func (c *Conn) Send() *queue.Send { return &c.send }

// PostWrite tells the worker that there is data in the send queue. Any goroutine may call it,
// as the other methods that post.
func (c *Conn) PostWrite() { c.Engine().post(c, mailWrote) }

// PostRead tells the worker that the application has read.
func (c *Conn) PostRead() { c.Engine().post(c, mailRead) }

// PostACK has the ACK sent that is held: who would answer waits for more.
func (c *Conn) PostACK() { c.Engine().post(c, mailACK) }

// PostCloseWrite ends our side of the stream.
func (c *Conn) PostCloseWrite() { c.Engine().post(c, mailCloseWrite) }

// PostCloseRead says that nothing more will be read.
func (c *Conn) PostCloseRead() { c.Engine().post(c, mailCloseRead) }

// PostClose ends both sides: neither queue is touched any more by the application.
func (c *Conn) PostClose() { c.postLast(mailClose) }

// PostAbort ends the connection at once, with an RST.
func (c *Conn) PostAbort() { c.postLast(mailAbort | mailClose) }

// postLast gives the buffers back itself where the worker has gone.
func (c *Conn) postLast(m mail) {
	e := c.Engine()
	e.post(c, m)
	if e.mail.closed.Load() {
		c.recv.Shut()
	}
}

// TCP returns the connection proper, for the worker: to change options, or to look at it.
// Call Touch after a change that may make it send.
func (c *Conn) TCP() *tcp.Conn { return &c.tcp }

// Touch has the connection served in this step. For the worker.
func (c *Conn) Touch() { c.Engine().touch(c) }

// SetPrompt has the observer called before the connection sends what it owes, not only after:
// what it writes then leaves with the acknowledgement of what it has read. For the worker.
func (c *Conn) SetPrompt() { c.prompt = true }

// SetHolds has the observer called before the connection sends an ACK that can wait for an
// answer, so that it can hold it (tcp.Conn.HoldACK). For the worker.
func (c *Conn) SetHolds() { c.holds = true }

// HoldACK has an ACK that can wait for an answer do so. Who holds it sees to it that it is
// released, by PostACK or ReleaseACK, when there will be none. For the worker.
func (c *Conn) HoldACK() {
	c.tcp.HoldACK(c.Engine().now)
	c.publish()
}

// ReleaseACK does in this step what PostACK asks for. For the worker.
func (c *Conn) ReleaseACK() { c.read(c.Engine().now, mailACK) }

// ReadNow, CloseWriteNow and CloseNow do in this step what PostRead, PostCloseWrite, PostClose
// and PostAbort ask for. For the worker.
func (c *Conn) ReadNow() { c.read(c.Engine().now, mailRead) }

// CloseWriteNow is explained with ReadNow.
func (c *Conn) CloseWriteNow() { c.read(c.Engine().now, mailCloseWrite) }

// CloseNow is explained with ReadNow.
func (c *Conn) CloseNow(abort bool) {
	if abort {
		c.read(c.Engine().now, mailAbort|mailClose)
		return
	}
	c.read(c.Engine().now, mailClose)
}

// SetObserver changes who is told. For the worker.
func (c *Conn) SetObserver(o Observer) { c.observer = o }

// newConn makes a connection that is in no table and no state yet.
func (e *Engine) newConn(key flowKey, o *Options) *Conn {
	c := &Conn{key: key, timerPos: unscheduled, observer: o.Observer, claim: o.Claim}
	c.shared.eng.Store(e)
	c.way.retryAt = mono.Never
	c.way.v6 = !key.remoteAddr().Addr().Is4()
	c.recv.Init(e.cfg.Pool, orDefault(o.RecvBuffer, e.cfg.RecvBuffer))
	e.keeping.keep(c)
	c.send.Init(e.cfg.Pool, orDefault(o.SendBuffer, e.cfg.SendBuffer))
	if o.RecvBuffer == 0 {
		c.recvMax = e.cfg.RecvMax
	}
	if o.SendBuffer == 0 {
		c.sendMax = e.cfg.SendMax
	}
	return c
}

func orDefault(v, def int) int {
	if v > 0 {
		return v
	}
	return def
}

// params are what the core needs to know of c.
func (c *Conn) params(now mono.Time, o *Options) tcp.Params {
	e := c.Engine()
	s := &e.secrets
	p := tcp.Params{
		LocalPort: c.key.lport, RemotePort: c.key.rport,
		ISS:      s.initialSequence(now, &c.key),
		TSOffset: s.timestampOffset(&c.key),
		MSS:      c.way.mss(),
		LeastMSS: c.way.leastMSS(),
		Seed:     s.flowSeed(now, &c.key),
		Send:     &c.send, Recv: &c.recv,
		SendMax: c.sendMax, RecvMax: c.recvMax,
		Stats: &e.stats.TCP, Challenges: e.challenges, Scratch: &e.core,
	}
	if o.Congestion != nil {
		p.Congestion = o.Congestion(c.LocalAddr(), c.RemoteAddr())
	}
	return p
}

// apply sets the options that the core knows.
func (c *Conn) apply(now mono.Time, o *Options) {
	c.tcp.SetNoDelay(o.NoDelay)
	if o.KeepAlive {
		c.tcp.SetKeepAlive(now, true, o.KeepIdle, o.KeepInterval, o.KeepCount)
	}
	if o.UserTimeout > 0 {
		c.tcp.SetUserTimeout(now, o.UserTimeout)
	}
	if record := c.Engine().cfg.Recorder; record != nil {
		c.tcp.SetRecorder(record(c.LocalAddr(), c.RemoteAddr()))
	}
}

func (e *Engine) tcpConfig(o *Options) *tcp.Config {
	if o.TCP == nil {
		return &e.cfg.TCP
	}
	cfg := o.TCP.WithDefaults()
	return &cfg
}

// read does what the application posted.
func (c *Conn) read(now mono.Time, m mail) {
	if m&mailRead != 0 {
		c.tcp.Consumed(now)
	}
	if m&mailACK != 0 {
		c.tcp.ReleaseACK()
	}
	if m&mailCloseRead != 0 {
		c.tcp.CloseRead(now)
	}
	if m&mailCloseWrite != 0 {
		c.tcp.CloseWrite(now)
	}
	if m&mailAbort != 0 {
		c.tcp.Abort(now)
	}
	if m&mailClose != 0 {
		c.closed = true
		c.tcp.Close(now)
		c.Engine().orphaned(now, c)
	}
	c.Engine().touch(c)
}

// publish shows the application the present state, and what came.
func (c *Conn) publish() {
	c.tcp.Settle()
	state := c.tcp.State()
	s := Status(c.shared.status.Load()) & statusOpen
	s |= Status(state) | Status(c.tcp.Cause())<<8
	if state.Synchronized() {
		s |= statusOpen
	}
	if c.tcp.PeerFinished() {
		s |= statusPeerFinished
	}
	if c.tcp.SendFinished() {
		s |= statusSendFinished
	}
	if state == tcp.StateClosed {
		s |= statusGone
	}
	if c.tcp.ACKHeld() {
		s |= statusACKHeld
	}
	c.shared.status.Store(uint32(s))
}

// input hands a segment to the core.
func (c *Conn) input(now mono.Time, seg *wire.Segment) {
	c.tcp.Input(now, seg)
	c.Engine().touch(c)
}
