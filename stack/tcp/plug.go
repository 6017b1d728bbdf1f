package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

// plug is what goes beyond the three methods of an algorithm: what else it wants to hear, and
// who looks on. A connection that needs none of it has none.
type plug struct {
	hooks
	shadow   *shadow
	recorder congestion.Recorder
	replaced string // what the guard replaced last, and why

	// What they are told, reused.
	sent   congestion.Sent
	lost   congestion.Lost
	record *congestion.Record // nil: there was no recorder yet
}

// hooks are the optional interfaces of an algorithm that hear of events.
type hooks struct {
	onSent congestion.SentObserver
	onLost congestion.LostObserver
	onOver congestion.RecoveryObserver
	onUndo congestion.Undoer
	owner  bool // congestion.RecoveryOwner
	marks  bool // congestion.MarkReader
}

// hooksOf asks an algorithm what it wants to hear, and says whether that is anything.
func hooksOf(alg congestion.Algorithm) (h hooks, any bool) {
	var sent, lost, over, undo bool
	h.onSent, sent = alg.(congestion.SentObserver)
	h.onLost, lost = alg.(congestion.LostObserver)
	h.onOver, over = alg.(congestion.RecoveryObserver)
	h.onUndo, undo = alg.(congestion.Undoer)
	if o, ok := alg.(congestion.RecoveryOwner); ok {
		h.owner = o.OwnsRecovery()
	}
	h.marks = readsMarks(alg)
	return h, sent || lost || over || undo || h.owner || h.marks
}

// attach puts an algorithm in place and asks what it wants to hear.
func (c *Conn) attach(alg congestion.Algorithm) {
	c.alg = alg
	h, any := hooksOf(alg)
	if any || c.plug != nil {
		c.plugged().hooks = h
	}
}

// plugged returns c.plug, which it makes if need be.
func (c *Conn) plugged() *plug {
	if c.plug == nil {
		c.plug = new(plug)
	}
	return c.plug
}

// open makes the algorithm when the handshake is done.
func (c *Conn) open(now mono.Time) {
	c.begin(now)
	if c.cfg.Shadow != nil {
		c.SetShadow(now, c.cfg.Shadow())
	}
	c.looked(now, congestion.EventOpen)
}

func (c *Conn) begin(now mono.Time) {
	defer c.guard(now)
	c.attach(c.newAlgorithm())
	c.alg.Init(&c.flow, now)
}

func (c *Conn) newAlgorithm() congestion.Algorithm {
	switch {
	case c.p.Congestion != nil:
		return c.p.Congestion()
	case c.cfg.Congestion != nil:
		return c.cfg.Congestion()
	}
	return reno.New()
}

// readsMarks says whether an algorithm wants ECN.
func readsMarks(alg congestion.Algorithm) bool {
	m, ok := alg.(congestion.MarkReader)
	return ok && m.ReadsMarks()
}

// willReadMarks says whether the algorithm that the connection will have wants ECN. One that
// panics is dealt with when it is begun.
func (c *Conn) willReadMarks() (yes bool) {
	defer func() { _ = recover() }()
	return readsMarks(c.newAlgorithm())
}

// ownsRecovery says whether the algorithm's window holds during recovery.
func (c *Conn) ownsRecovery() bool { return c.plug != nil && c.plug.owner }

// tellAck tells the algorithm of the ACK at hand.
func (c *Conn) tellAck() {
	c.callAck()
	if c.cfg.Pace {
		c.paceWindow()
	}
	if c.plug != nil {
		c.looked(c.ack.Now, congestion.EventAck)
	}
}

func (c *Conn) callAck() {
	defer c.guard(c.ack.Now)
	c.alg.OnAck(&c.flow, &c.ack)
}

// tellCongestion tells the algorithm of the episode that begins. If it is replaced for what it
// does, who replaces it must hear of the episode too.
func (c *Conn) tellCongestion() {
	now, before := c.rec.episode.Now, c.p.Stats.TCPAlgorithmReplaced
	c.callCongestion(now)
	if c.p.Stats.TCPAlgorithmReplaced != before {
		c.callCongestion(now)
	}
	if c.plug != nil {
		c.looked(now, congestion.EventCongestion)
	}
}

func (c *Conn) callCongestion(now mono.Time) {
	defer c.guard(now)
	c.alg.OnCongestion(&c.flow, &c.rec.episode)
}

// tellRecovered tells the algorithm that an episode has ended which cause began.
func (c *Conn) tellRecovered(now mono.Time, cause congestion.Cause) {
	if c.plug == nil {
		return
	}
	c.flow.Flight = c.pipe()
	c.rec.episode = congestion.Congestion{
		Now: now, Cause: cause, Flight: c.snd.NXT.Sub(c.snd.UNA), Lost: c.board.lost, Acked: c.ack.Acked,
	}
	c.callRecovered(now)
	c.looked(now, congestion.EventRecovered)
}

func (c *Conn) callRecovered(now mono.Time) {
	if c.plug.onOver == nil {
		return
	}
	defer c.guard(now)
	c.plug.onOver.OnRecovered(&c.flow, &c.rec.episode)
}

// tellUndo tells the algorithm that the episode was spurious, and restores the window.
func (c *Conn) tellUndo(now mono.Time) {
	c.flow.Flight = c.pipe()
	c.callUndo(now)
	if !c.ownsRecovery() {
		c.flow.SetSsthresh(c.undo.ssthresh)
		c.flow.SetCwnd(max(c.flow.Cwnd(), c.undo.cwnd))
	}
	if c.plug != nil {
		c.looked(now, congestion.EventUndo)
	}
}

func (c *Conn) callUndo(now mono.Time) {
	if c.plug == nil || c.plug.onUndo == nil {
		return
	}
	defer c.guard(now)
	c.plug.onUndo.Undo(&c.flow)
}

// tellSent tells the algorithm of a segment that was sent while prior octets were in flight.
func (c *Conn) tellSent(now mono.Time, s *sent, prior int) {
	p := c.plug
	if p.onSent == nil && p.shadow == nil && p.recorder == nil {
		return
	}
	c.flow.Flight = prior + s.len()
	p.sent = congestion.Sent{
		Now: now, Octets: s.len(), PriorFlight: prior, Resent: s.mark&markTwice != 0,
		AppLimited: s.appLimited, Restart: prior == 0 && s.appLimited,
	}
	c.callSent(now)
	c.looked(now, congestion.EventSent)
}

func (c *Conn) callSent(now mono.Time) {
	if c.plug.onSent == nil {
		return
	}
	defer c.guard(now)
	c.plug.onSent.OnSent(&c.flow, &c.plug.sent)
}

// countLost counts the octets that the detector has just given up, and tells of their segments.
func (c *Conn) countLost(now mono.Time, octets int, timeout bool) {
	for i := c.board.hint; octets > 0 && i < c.board.len(); i++ {
		s := c.board.at(i)
		if s.mark&markNews == 0 {
			continue
		}
		s.mark &^= markNews
		octets -= s.len()
		c.tellLost(now, s, timeout)
	}
}

// tellLost counts a segment that is lost and tells the algorithm.
func (c *Conn) tellLost(now mono.Time, s *sent, timeout bool) {
	c.flow.Lost += uint64(s.len())
	p := c.plug
	if p == nil {
		return
	}
	c.flow.Flight = c.pipe()
	p.lost = congestion.Lost{
		Now: now, SentAt: s.at, Seq: uint32(s.start), Octets: s.len(), TxInFlight: int(s.inFlight),
		Delivered: s.delivered, Lost: s.lost,
		AppLimited: s.appLimited, Resent: s.mark&markTwice != 0, Timeout: timeout,
	}
	c.callLost(now)
	c.looked(now, congestion.EventLost)
}

func (c *Conn) callLost(now mono.Time) {
	if c.plug.onLost == nil {
		return
	}
	defer c.guard(now)
	c.plug.onLost.OnLost(&c.flow, &c.plug.lost)
}
