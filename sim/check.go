package sim

import (
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// checker looks at everything that happens in a scenario, and has it fail when a rule is
// broken. What it knows of a connection is what went over the wire, and tcp.View.
type checker struct {
	s     *scenario
	wires []wireSide // of flow i: client at 2i, server at 2i+1
	touch []int      // indexes of wires that sent something since the step began

	second  mono.Time // the virtual second being counted
	packets int       // sent in it
	steps   int       // that hosts were woken for in it
	moved   int64     // octets that the applications had read or written when it began
}

// wireSide is what one end of a connection has said on the wire.
type wireSide struct {
	app     *app
	syn     bool // sent a SYN
	answers int  // how often it sent SYN and ACK, also before it gave a half-open connection up
	iss     seq.Num
	scales  bool // its SYN offered window scaling
	scale   uint8
	nxt     seq.Num // behind the last octet sent
	sent    bool    // there was any
	fin     bool    // the last of them is a FIN
	fresh   bool    // octets not sent before were sent in this step
	edge    seq.Num // right edge of the window it offered
	hasEdge bool
	overAt  mono.Time // since when both ends are closed; 0: they are not
	una     seq.Num   // the last seen of its connection, where there is a user timeout
	unaAt   mono.Time // when it came to be, or nothing was left to acknowledge
}

// stormMax is the most packets a connection sends in a second in which its applications
// neither read nor wrote: what a window of small segments is sent again in, and a thousand.
const stormMax = 5000

func newChecker(s *scenario) *checker {
	c := &checker{s: s}
	for _, f := range s.flows {
		c.wires = append(c.wires, wireSide{}, wireSide{})
		c.forget(f)
	}
	return c
}

// forget begins anew with a flow.
func (c *checker) forget(f *flow) {
	c.wires[2*f.index] = wireSide{app: f.client}
	c.wires[2*f.index+1] = wireSide{app: f.server}
}

// sent looks at a packet.
func (c *checker) sent(h *host, frame []byte) {
	c.packets++
	c.count()
	if n := len(frame) - wire.EthernetLen; n > h.router.hop.MTU {
		c.s.fail("host %c sent a packet of %d octets, and the MTU is %d", 'a'+h.id, n, h.router.hop.MTU)
	}
	var seg wire.Segment
	if !parse(frame, &seg) {
		c.s.fail("host %c sent what is not TCP", 'a'+h.id)
		return
	}
	port, side := seg.SrcPort, 0
	if h == c.s.b {
		port, side = seg.DstPort, 1
	}
	i := 2*(int(port)-portFirst) + side
	if i < 0 || i >= len(c.wires) {
		return // an answer to a corrupted packet
	}
	w, peer := &c.wires[i], &c.wires[i^1]
	c.silence(w, peer)
	w.look(c.s, &seg, peer)
	c.touch = append(c.touch, i)
}

// silence: when both ends are in CLOSED or TIME-WAIT, there are only answers to what is still
// on its way, and after 2 MSL not even these.
func (c *checker) silence(w, peer *wireSide) {
	if !w.app.over() || !peer.app.over() {
		w.overAt, peer.overAt = 0, 0
		return
	}
	if w.overAt == 0 {
		w.overAt, peer.overAt = c.s.now, c.s.now
	}
	if d := c.s.now.Sub(w.overAt); d > silenceAfter {
		c.s.fail("%v: sends %v after both ends are closed", w.app, d)
	}
}

// silenceAfter is 2 MSL, and a little for the packets on their way.
const silenceAfter = 65 * time.Second

// look checks a segment against what was sent before.
func (w *wireSide) look(s *scenario, seg *wire.Segment, peer *wireSide) {
	if seg.Flags.Has(wire.RST) {
		return
	}
	if seg.Flags.Has(wire.SYN) {
		if w.syn && seg.SEQ != w.iss {
			if w.app.ended || w.app.closed {
				return // an old SYN has come again, and nobody will complete it
			}
			if w.app.conn == nil {
				*w = wireSide{app: w.app, answers: w.answers} // the half-open connection was given up, and the SYN came again
			}
			if w.syn {
				s.fail("%v: another SYN: %d, was %d", w.app, seg.SEQ, w.iss)
			}
		}
		w.syn, w.iss = true, seg.SEQ
		if seg.Flags.Has(wire.ACK) {
			w.answers++
		}
		w.scales, w.scale = seg.Opt.Has&wire.HasWScale != 0, seg.Opt.WScale
	}
	if !w.syn {
		return // of a connection before
	}
	end := seg.SEQ.Add(seg.LEN())
	if seg.LEN() > 0 && (!w.sent || w.nxt.Less(end)) {
		if w.sent && seg.SEQ != w.nxt && !seg.SEQ.Less(w.nxt) {
			s.fail("%v: octets %d to %d were never sent", w.app, w.nxt, seg.SEQ)
		}
		w.nxt, w.sent, w.fin = end, true, seg.Flags.Has(wire.FIN)
		w.fresh = w.fresh || !seg.Flags.Has(wire.SYN)
	}
	if !seg.Flags.Has(wire.ACK) {
		return
	}
	if peer.sent && peer.nxt.Less(seg.ACK) {
		s.fail("%v: acknowledges %d, and only %d was sent", w.app, seg.ACK, peer.nxt)
	}
	w.window(s, seg, peer)
}

// window: "A TCP receiver SHOULD NOT shrink the window, i.e., move the right window edge to
// the left" (RFC 9293, section 3.8.6).
func (w *wireSide) window(s *scenario, seg *wire.Segment, peer *wireSide) {
	octets, unit := int(seg.WND), 1
	if w.scales && peer.scales && !seg.Flags.Has(wire.SYN) {
		octets <<= w.scale
		unit <<= w.scale
	}
	edge := seg.ACK.Add(octets)
	if peer.fin && seg.ACK == peer.nxt {
		return // the peer has nothing more to send
	}
	if w.hasEdge && edge.Less(w.edge) {
		// What the window scale cannot express may be taken back (RFC 7323, section 2.4).
		if back := w.edge.Sub(edge); back >= unit {
			s.fail("%v: the window's right edge went back by %d octets", w.app, back)
		}
		return
	}
	w.edge, w.hasEdge = edge, true
}

// count bounds what is done while nothing is achieved.
func (c *checker) count() {
	if c.s.now < c.second.Add(time.Second) {
		return
	}
	moved := int64(0)
	c.s.ends(func(a *app) { moved += a.read + a.written })
	limit := stormMax * len(c.s.flows)
	if moved == c.moved && (c.packets > limit || c.steps > 8*limit) {
		c.s.fail("%d packets and %d steps since %v, and not an octet read or written",
			c.packets, c.steps, time.Duration(c.second))
	}
	c.second, c.packets, c.steps, c.moved = c.s.now, 0, 0, moved
}

// stepped compares what a host has sent with what its connections say.
func (c *checker) stepped(h *host) {
	c.steps++
	c.count()
	c.progress(h)
	for _, i := range c.touch {
		w := &c.wires[i]
		if w.fresh {
			w.fresh = false
			w.limits(c.s)
		}
	}
	c.touch = c.touch[:0]
}

// progress takes note of what is acknowledged, where a user timeout goes by it.
func (c *checker) progress(h *host) {
	if h.options.userTimeout == 0 {
		return
	}
	for i := range c.wires {
		w := &c.wires[i]
		if w.app.host != h || w.app.conn == nil || w.app.ended {
			continue
		}
		core := w.app.conn.TCP()
		v := core.View()
		// A SYN is not on the scoreboard, and waits for its ACK as data does.
		idle := core.State().Synchronized() && v.Board == 0 && v.Window > 0
		if una := seq.Num(v.UNA); una != w.una || idle {
			w.una, w.unaAt = una, c.s.now
		}
	}
}

// limits: new data was sent, so what is in flight fits the windows.
func (w *wireSide) limits(s *scenario) {
	conn := w.app.conn
	if conn == nil {
		return
	}
	state := conn.TCP().State()
	if !state.Synchronized() || state == tcp.StateTimeWait {
		return
	}
	v := conn.TCP().View()
	una, nxt := seq.Num(v.UNA), seq.Num(v.NXT)
	if nxt.Less(una) {
		s.fail("%v: UNA %d is beyond NXT %d", w.app, una, nxt)
	}
	if v.Board == 0 && una != nxt {
		s.fail("%v: %d octets are unacknowledged, and no segment is on its way", w.app, nxt.Sub(una))
	}
	if v.Pipe < 0 || v.Pipe > nxt.Sub(una) {
		s.fail("%v: %d octets in flight, of %d unacknowledged", w.app, v.Pipe, nxt.Sub(una))
	}
	if over := nxt.Sub(una.Add(v.Window)); over > 0 {
		s.fail("%v: sent %d octets beyond the peer's window of %d", w.app, over, v.Window)
	}
	limit := v.Cwnd + v.Slack + 1 // a FIN is not counted
	if v.Pipe > max(limit, v.MSS+1) && v.Board > 1 {
		s.fail("%v: %d octets in flight, more than cwnd %d", w.app, v.Pipe, v.Cwnd)
	}
}
