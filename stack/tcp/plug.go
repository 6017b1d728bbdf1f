package tcp

import (
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
)

// plug is what an algorithm wants to hear beyond its three methods.
type plug struct {
	sent  congestion.SentObserver
	lost  congestion.LostObserver
	over  congestion.RecoveryObserver
	undo  congestion.Undoer
	owner bool // congestion.RecoveryOwner

	// What they are told, reused.
	sentNow congestion.Sent
	lostNow congestion.Lost
}

// open makes the algorithm when the handshake is done.
func (c *Conn) open(now mono.Time) {
	c.attach(c.newAlgorithm())
	c.alg.Init(&c.flow, now)
}

func (c *Conn) newAlgorithm() congestion.Algorithm {
	if c.cfg.Congestion != nil {
		return c.cfg.Congestion()
	}
	return reno.New()
}

// attach puts an algorithm in place and asks what it wants to hear.
func (c *Conn) attach(alg congestion.Algorithm) {
	c.alg = alg
	var p plug
	p.sent, _ = alg.(congestion.SentObserver)
	p.lost, _ = alg.(congestion.LostObserver)
	p.over, _ = alg.(congestion.RecoveryObserver)
	p.undo, _ = alg.(congestion.Undoer)
	if o, ok := alg.(congestion.RecoveryOwner); ok {
		p.owner = o.OwnsRecovery()
	}
	c.plug = nil
	if p != (plug{}) {
		c.plug = &p
	}
}

// ownsRecovery says whether the algorithm's window holds during recovery.
func (c *Conn) ownsRecovery() bool { return c.plug != nil && c.plug.owner }

// tellAck tells the algorithm of the ACK at hand.
func (c *Conn) tellAck() {
	c.alg.OnAck(&c.flow, &c.ack)
	if c.cfg.Pace {
		c.paceWindow()
	}
}

// tellCongestion tells the algorithm of the episode that begins.
func (c *Conn) tellCongestion() { c.alg.OnCongestion(&c.flow, &c.rec.episode) }

// tellRecovered tells the algorithm that an episode has ended which cause began.
func (c *Conn) tellRecovered(now mono.Time, cause congestion.Cause) {
	if c.plug == nil || c.plug.over == nil {
		return
	}
	c.flow.Flight = c.pipe()
	c.rec.episode = congestion.Congestion{
		Now: now, Cause: cause, Flight: c.snd.NXT.Sub(c.snd.UNA), Lost: c.board.lost, Acked: c.ack.Acked,
	}
	c.plug.over.OnRecovered(&c.flow, &c.rec.episode)
}

// tellUndo tells the algorithm that the episode was spurious.
func (c *Conn) tellUndo() {
	if c.plug != nil && c.plug.undo != nil {
		c.plug.undo.Undo(&c.flow)
	}
}

// tellSent tells the algorithm of a segment that was sent while prior octets were in flight.
func (c *Conn) tellSent(now mono.Time, s *sent, prior int) {
	p := c.plug
	if p.sent == nil {
		return
	}
	c.flow.Flight = prior + s.len()
	p.sentNow = congestion.Sent{
		Now: now, Octets: s.len(), PriorFlight: prior, Resent: s.mark&markTwice != 0,
		AppLimited: s.appLimited, Restart: prior == 0 && s.appLimited,
	}
	p.sent.OnSent(&c.flow, &p.sentNow)
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
	if p == nil || p.lost == nil {
		return
	}
	c.flow.Flight = c.pipe()
	p.lostNow = congestion.Lost{
		Now: now, SentAt: s.at, Seq: uint32(s.start), Octets: s.len(), TxInFlight: int(s.inFlight),
		Delivered: s.delivered, Lost: s.lost,
		AppLimited: s.appLimited, Resent: s.mark&markTwice != 0, Timeout: timeout,
	}
	p.lost.OnLost(&c.flow, &p.lostNow)
}
