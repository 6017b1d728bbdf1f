package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// ended checks a scenario that has come to rest: nothing will ever happen in it again.
func (c *checker) ended() {
	s := c.s
	for _, h := range s.hosts {
		if h.dead {
			continue
		}
		waiting := 0
		s.ends(func(a *app) {
			if a.host == h && a.waits() {
				waiting++
			}
		})
		if st := h.eng.Stats(); st.Conns != waiting || st.TimeWaits != 0 || st.HalfOpen != 0 {
			s.fail("host %c is left with %d connections, of which %d may wait, %d in TIME-WAIT, %d half open",
				'a'+h.id, st.Conns, waiting, st.TimeWaits, st.HalfOpen)
		}
		if d := h.eng.Deadline(); d != mono.Never {
			s.fail("host %c still has a timer, at %v", 'a'+h.id, time.Duration(d-h.origin))
		}
	}
	for _, f := range s.flows {
		c.outcome(f)
	}
}

// outcome: a connection that nobody broke off has carried everything.
func (c *checker) outcome(f *flow) {
	s := c.s
	for _, a := range []*app{f.client, f.server} {
		if a.host.dead {
			return
		}
		switch {
		case a.waits():
			return
		case a.conn != nil && !a.ended && !a.closed:
			s.fail("%v: the connection never ended", a)
		case a.cause == tcp.TimedOut:
			c.timedOut(a)
		}
	}
	if f.client.expired || f.server.expired {
		return // and the other end was reset
	}
	if c.givenUp(f) {
		return
	}
	if s.cfg.unlikely && (f.client.cause != tcp.None || f.server.cause != tcp.None || !f.server.opened) {
		return
	}
	if f.client.does.breaks() || f.server.does.breaks() {
		return
	}
	for _, a := range []*app{f.client, f.server} {
		peer := f.server
		if a == peer {
			peer = f.client
		}
		switch {
		case a.cause != tcp.None:
			s.fail("%v: ended: %v", a, a.cause)
		case a.written != a.does.write:
			s.fail("%v: wrote %d octets of %d", a, a.written, a.does.write)
		case !a.readDone:
			s.fail("%v: did not see the end of the stream", a)
		case a.read != peer.written && !a.readShut:
			s.fail("%v: read %d octets of %d", a, a.read, peer.written)
		}
	}
}

// breaks says whether the application ends the connection before all is through.
func (b *behaviour) breaks() bool { return b.ending >= endClose }

// givenUp says whether the handshake of a flow rightly failed: the server sent its SYN and ACK
// as often as it does, a full queue dropped them all, and the client's next segment found
// nothing. 63 seconds of that are rare, and happen on a path whose queue holds a packet or two.
func (c *checker) givenUp(f *flow) bool {
	h := f.server.host
	answers := c.wires[2*f.index+1].answers
	resent := h.options.tcp.WithDefaults().SYNACKRetries
	return f.server.conn == nil && f.client.read == 0 && f.client.cause != tcp.None &&
		answers > resent && c.s.paths[h.out].stats.QueueDrops > uint64(resent) && h.eng.Stats().TCP.AttemptFails > 0
}

// waits says whether the connection of an application rightly waits for ever. RFC 9293 ends
// no connection that has nothing to say: "there is no limit on how long a connection may be
// idle". So a side that has sent all it had, and heard that it arrived, and does not ask by
// keepalive, never learns that the peer has broken off when the RST that said so was lost.
func (a *app) waits() bool {
	if a.conn == nil || a.ended || a.closed || a.host.options.keepIdle > 0 {
		return false
	}
	if peer := a.peer(); peer.conn != nil && (!peer.ended || peer.cause == tcp.None) {
		return false // it is there, or has ended in good order, which both take part in
	}
	switch a.conn.Status().State() {
	case tcp.StateEstablished, tcp.StateFinWait2:
	case tcp.StateClosed, tcp.StateListen, tcp.StateSynSent, tcp.StateSynReceived, tcp.StateFinWait1,
		tcp.StateCloseWait, tcp.StateClosing, tcp.StateLastAck, tcp.StateTimeWait:
		return false // the peer's answer is due, or the application's next step
	}
	core := a.conn.TCP()
	return core.View().Board == 0 && a.conn.Send().Len() == 0 && core.Deadline() == mono.Never
}

// peer is the application at the other end.
func (a *app) peer() *app {
	if a.client {
		return a.flow.server
	}
	return a.flow.client
}

// timedOut: a connection on a path that delivers is given up only for a user timeout, and
// only when nothing was acknowledged for so long.
func (c *checker) timedOut(a *app) {
	if c.s.cfg.unlikely {
		return
	}
	w := &c.wires[2*a.flow.index]
	if !a.client {
		w = &c.wires[2*a.flow.index+1]
	}
	limit := a.host.options.userTimeout
	since := w.unaAt
	if !a.opened && a.client {
		since = a.dialedAt
	}
	silent := a.endedAt.Sub(since)
	if limit == 0 || silent < limit {
		c.s.fail("%v: timed out after %v without an acknowledgement; the user timeout is %v", a, silent, limit)
	}
}
