// Package tcp is one TCP connection (RFC 9293) without any input or output of its own. It is
// driven by the time and by segments, and asked what to send:
//
//	c.Input(now, seg)      a segment for this connection arrived
//	c.Tick(now)            now >= c.Deadline()
//	n := c.Output(now, b)  write the next due segment into b; 0: nothing is due
//
// Input and Tick emit nothing; they record what is owed, and Output alone decides what to
// send. There is no clock, lock, goroutine or randomness here: the same calls give the same
// octets. A Conn belongs to one worker; only the queues are shared with the application.
package tcp

import (
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Params is what distinguishes one connection from the next.
type Params struct {
	LocalPort, RemotePort uint16
	ISS                   seq.Num // initial send sequence number, keyed (RFC 6528)
	TSOffset              uint32  // added to the clock of the timestamps option
	LeastMSS              uint16  // what every path carries: the end of a search for black holes; 0: 256
	MSS                   int     // largest payload that the link carries in a segment without options
	Seed                  uint64  // for the congestion algorithm
	Send                  *queue.Send
	Recv                  *queue.Recv
	SendMax, RecvMax      int             // the limits of the queues grow up to these; 0: they stay
	Stats                 *Stats          // counted into; owned by the worker
	Challenges            *ChallengeLimit // shared by the worker's connections; nil: none
	Scratch               *Scratch        // likewise; nil: one of its own

	// Congestion makes the algorithm; nil leaves it to Config.
	Congestion func() congestion.Algorithm
}

// Conn is one connection. The zero value is closed; Connect or Accept opens it.
type Conn struct {
	cfg   *Config
	p     Params
	opt   settings
	state State
	cause Cause

	snd    sendSpace
	rcv    recvSpace
	board  scoreboard
	rec    recovery
	rack   rack
	tlp    tailProbe
	prr    prr
	undo   undo
	sizing rightSizing
	ecn    ecn
	path   pathMTU
	valid  validation
	rtt    estimator
	flow   congestion.Flow
	alg    congestion.Algorithm
	plug   *plug          // nil: the algorithm has its three methods, and nobody looks on
	ack    congestion.Ack // reused: what OnAck is told
	rate   rateSampler
	pace   *pacer // nil: nothing was paced yet
	owe    owed
	timers [timerCount]mono.Time
	life   lifetime
	events Events
	count  counters
}

// sendSpace is the send sequence space (RFC 9293, section 3.3.1). SND.NXT never goes back:
// what must be sent again is marked on the scoreboard.
type sendSpace struct {
	UNA, NXT seq.Num
	WND      int // as the peer offered it, scaled
	WL1, WL2 seq.Num
	wndMax   int32   // the largest SND.WND seen
	wndHope  int32   // likewise, but less by what the override timer has taught
	small    seq.Num // where the data ended that was sent last in less than a full segment
	shift    uint8   // scale of the windows that the peer offers
	fin      bool    // FIN was sent: it is the octet before NXT
	off      uint64  // stream offset of UNA
	mss      int     // largest segment without options: what the peer takes and the path carries
	sentAt   mono.Time
}

// recvSpace is the receive sequence space.
type recvSpace struct {
	IRS, NXT seq.Num
	edge     seq.Num // right edge of the window as advertised; never moves left
	shift    uint8   // scale of the windows that we offer
	off      uint64  // stream offset of NXT
	holes    reassembly
	fin      bool // FIN came in order: the octet before NXT
	finAhead bool // FIN came out of order, at finSEQ
	finSEQ   seq.Num
	segMax   int       // largest payload seen: what the peer uses as full-sized
	ackAhead int       // octets accepted since the last ACK was owed
	quick    int32     // segments still acknowledged at once: the peer is in slow start
	lossy    int32     // segments that the path still counts as lossy for
	dataAt   mono.Time // when the last segment came in order

	tsOK     bool // timestamps were agreed, or are offered
	sackOK   bool // likewise SACK
	scaleOK  bool // likewise window scaling
	halving  bool // the window was halved, and has not had its effect: see rightSizing
	tsRecent uint32
	tsSet    mono.Time // when tsRecent was taken
	lastACK  seq.Num   // Last.ACK.sent of RFC 7323
	heardAt  mono.Time // when the last segment came
}

// owed is what Output has still to send.
type owed struct {
	rst      bool
	rstBare  bool // without ACK: the connection goes on
	rstSEQ   seq.Num
	syn      bool  // SYN, or SYN and ACK
	fin      bool  // the application has closed its side
	ack      bool  // one ACK, of the present state
	soon     bool  // likewise, but an answer may carry it: see HoldACK
	held     bool  // that was put off
	dups     int32 // duplicate ACKs, one for each segment out of order
	early    ackPoints
	probe    bool // a segment that makes the peer answer: window probe or keepalive
	tailNew  bool // one new segment beyond the window: a tail loss probe
	tailOld  bool // the last segment again: likewise
	resend   bool // the oldest segment, whatever the window (fast retransmit)
	override bool // send what the window takes, however small (RFC 9293, section 3.8.6.2.1)
	update   bool // ACK for the sake of its window
}

// lifetime is what bounds a connection that gets no answer.
type lifetime struct {
	retries    int       // retransmissions of the oldest octet
	probes     int       // unanswered probes
	stalledAt  mono.Time // since when our SYN, or data, is unacknowledged; Never: none is
	readShut   bool      // the application reads no more
	askSoon    bool      // the SYN is repeated before its time
	askedSoon  bool      // it was
	readEnded  bool      // the application has said so; what comes in spite of that it may still read, as on Linux
	closed     bool      // the application has closed both sides
	openedAt   mono.Time
	keepProbes int

	// Of a connection that is closed and that the peer's window holds back: since when, and
	// what was acknowledged then.
	orphanAt    mono.Time
	orphanAcked uint64
}

// Connect opens the connection actively: SYN is owed.
func (c *Conn) Connect(now mono.Time, cfg *Config, p Params) {
	c.init(now, cfg, p)
	c.rcv.tsOK = !cfg.NoTimestamps
	c.rcv.sackOK = !cfg.NoSACK
	c.rcv.scaleOK = !cfg.NoWindowScale
	c.ecnOpen()
	c.setState(StateSynSent)
	c.owe.syn = true
	c.life.stalledAt = now
	p.Stats.ActiveOpens++
}

// Accept opens the connection passively, by a SYN that came for a listener: SYN and ACK are
// owed. The caller has checked that syn carries SYN and neither ACK nor RST.
func (c *Conn) Accept(now mono.Time, cfg *Config, p Params, syn *wire.Segment) {
	c.init(now, cfg, p)
	c.peerSYN(now, syn)
	c.ecnGrant(syn)
	c.setWindow(int(syn.WND), syn)
	c.setState(StateSynReceived)
	c.count.passive = true
	p.Stats.PassiveOpens++
	c.owe.syn = true
}

// Rehome gives the connection to another worker, whose these are: see Params.
func (c *Conn) Rehome(stats *Stats, challenges *ChallengeLimit, scratch *Scratch) {
	c.p.Stats, c.p.Challenges, c.p.Scratch = stats, challenges, scratch
}

func (c *Conn) init(now mono.Time, cfg *Config, p Params) {
	*c = Conn{cfg: cfg, p: p, opt: defaultSettings()}
	for i := range c.timers {
		c.timers[i] = mono.Never
	}
	if c.p.Scratch == nil {
		c.p.Scratch = new(Scratch)
	}
	if cfg.MSS > 0 {
		c.p.MSS = min(p.MSS, cfg.MSS)
	}
	c.snd.UNA, c.snd.NXT, c.snd.small = p.ISS, p.ISS, p.ISS
	c.path.mss, c.path.most = sizeOf(c.p.MSS), sizeOf(c.p.MSS)
	c.snd.mss = min(c.p.MSS, DefaultMSS)
	if !cfg.NoWindowScale {
		c.rcv.shift = scaleFor(max(p.Recv.Limit(), p.RecvMax))
	}
	c.rcv.quick = quickACKs
	c.rtt.init(cfg)
	c.life.openedAt, c.life.stalledAt = now, mono.Never
	c.rcv.heardAt = now
}

// peerSYN takes the peer's sequence number and options from its SYN.
func (c *Conn) peerSYN(now mono.Time, seg *wire.Segment) {
	c.rcv.IRS = seg.SEQ
	c.rcv.NXT = seg.SEQ.Add(1)
	c.rcv.edge = c.rcv.NXT
	c.rcv.lastACK = c.rcv.NXT
	c.rcv.heardAt = now
	o := &seg.Opt
	c.path.most = sizeOf(min(c.p.MSS, DefaultMSS))
	if o.Has&wire.HasMSS != 0 {
		// A peer that offers next to nothing would make every octet a segment.
		c.path.most = sizeOf(min(c.p.MSS, max(int(o.MSS), MinMSS)))
	}
	c.snd.mss = int(min(c.path.mss, c.path.most))
	c.rcv.scaleOK = o.Has&wire.HasWScale != 0 && !c.cfg.NoWindowScale
	if c.rcv.scaleOK {
		c.snd.shift = min(o.WScale, maxShift)
	} else {
		c.rcv.shift = 0
	}
	c.rcv.sackOK = o.Has&wire.HasSACKPermitted != 0 && !c.cfg.NoSACK
	c.rcv.tsOK = o.Has&wire.HasTimestamps != 0 && !c.cfg.NoTimestamps
	if c.rcv.tsOK {
		c.rcv.tsRecent, c.rcv.tsSet = o.TSVal, now
	}
}

// established is reached when our SYN is acknowledged: data may flow.
func (c *Conn) established(now mono.Time) {
	f := &c.flow
	f.MSS = c.sendMSS()
	f.IW = c.initialWindow()
	f.Rand = c.p.Seed
	f.SACK = c.rcv.sackOK
	f.Established = now
	f.SetSsthresh(congestion.SsthreshMax)
	f.SetCwnd(f.IW)
	c.open(now)
	c.rec.recover = c.p.ISS
	c.board.judged = c.p.ISS
	c.rack.fack, c.rack.endSEQ, c.rack.mult = c.snd.UNA, c.snd.UNA, 1
	c.rcv.heardAt = now
	c.life.retries = 0
	c.life.stalledAt = mono.Never
	c.armUserTimeout(now)
	c.armKeepalive(now)
	c.events |= Open | Writable
}

// initialWindow is min(10*MSS, max(2*MSS, 14600)), and one segment if the SYN was lost.
// https://www.rfc-editor.org/rfc/rfc6928.html#section-2
func (c *Conn) initialWindow() int {
	mss := c.sendMSS()
	switch {
	case c.count.synResent > 0:
		return mss
	case c.cfg.InitialWindow > 0:
		return c.cfg.InitialWindow * mss
	}
	return min(10*mss, max(2*mss, 14600))
}

// Deadline returns when Tick is due; mono.Never if not at all.
func (c *Conn) Deadline() mono.Time {
	next := mono.Never
	for _, t := range c.timers {
		next = min(next, t)
	}
	return next
}

// Events returns what happened since it was last asked.
func (c *Conn) Events() Events {
	e := c.events
	c.events = 0
	return e
}

// State returns the connection's state.
func (c *Conn) State() State { return c.state }

// Cause returns why the connection ended, or None.
func (c *Conn) Cause() Cause { return c.cause }

// sendMSS is the most data in a segment: the MSS less the options that every segment carries.
// https://www.rfc-editor.org/rfc/rfc6691.html
func (c *Conn) sendMSS() int {
	if c.rcv.tsOK {
		return c.snd.mss - timestampsLen
	}
	return c.snd.mss
}

// timestampClock is the value of the timestamps option: milliseconds (RFC 7323, section 5.4).
func (c *Conn) timestampClock(now mono.Time) uint32 {
	return uint32(now/mono.Time(time.Millisecond)) + c.p.TSOffset
}
