package engine

import (
	"net/netip"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// HalfOpenDefault is the most half-open connections of all listeners: 65,536 of 200 octets,
// with their places in table and heap, are 16 MiB. Each listener has its backlog besides.
const HalfOpenDefault = 1 << 16

// half is a half-open connection: a SYN came for a listener, and was answered. It becomes a
// Conn when the handshake is done; until then it costs a twentieth of one, so that those who
// do not mean it are cheap.
type half struct {
	key      flowKey
	slotPos  int32     // in Engine.halfTimers
	answered mono.Time // when a segment that did not complete the handshake was answered last
	req      tcp.Request
	listener *Listener
	reply    wire.EthHeader // where the answer goes, as seen from us
	mtu      uint16
}

func (h *half) flow() *flowKey { return &h.key }
func (h *half) slot() *int32   { return &h.slotPos }

// scratch is the connection that a half-open one is made into for the moment in which there
// is something to decide.
type scratch struct {
	tcp  tcp.Conn
	send queue.Send
	recv queue.Recv
	buf  [128]byte // a header without data
}

// halfParams are what the core needs to know of a connection that is no Conn.
func (e *Engine) halfParams(k *flowKey, l *Listener, mtu int) tcp.Params {
	s, o := &e.scratch, &l.cfg.Options
	s.recv.SetLimit(orDefault(o.RecvBuffer, e.cfg.RecvBuffer))
	p := tcp.Params{
		LocalPort: k.lport, RemotePort: k.rport,
		TSOffset: e.secrets.timestampOffset(k),
		MSS:      mtu - overheadOf(k.remoteAddr().Addr()),
		Send:     &s.send, Recv: &s.recv,
		Stats: &e.stats.TCP, Challenges: e.challenges, Scratch: &e.core,
	}
	if o.RecvBuffer == 0 {
		p.RecvMax = e.cfg.RecvMax
	}
	return p
}

func overheadOf(remote netip.Addr) int {
	if remote.Is4() {
		return overhead4
	}
	return overhead6
}

// wayBack returns where the answer to in goes: by the route, and while there is none to where
// the packet came from.
func (e *Engine) wayBack(in *inbound) (back wire.EthHeader, mtu int) {
	back = wire.EthHeader{Dst: in.eth.Src, Src: in.eth.Dst, VLAN: in.eth.VLAN}
	hop, status := e.router.Route(in.ip.Dst, in.ip.Src)
	if status == RouteOK {
		back.Dst, back.Src = hop.RemoteMAC, hop.LocalMAC
	}
	return back, e.clampMTU(hop.MTU, 0)
}

// request keeps a SYN as a half-open connection, and answers it. reused is the connection in
// TIME-WAIT whose place it takes, or nil.
func (e *Engine) request(now mono.Time, l *Listener, in *inbound, reused *reusable) {
	back, mtu := e.wayBack(in)
	iss := e.secrets.initialSequence(now, &in.key)
	if reused != nil {
		iss = laterISS(iss, reused.nextISS)
	}
	h := &half{key: in.key, slotPos: unscheduled, listener: l, reply: back, mtu: uint16(min(mtu, 0xffff))}
	h.req = tcp.NewRequest(now, &in.seg, iss)
	l.halfOpen++
	e.halves.put(h)
	e.sources.add(&h.key)
	e.directoryAdd(&h.key)
	e.answerHalf(now, h)
}

// answerHalf sends our SYN and ACK, and sees to it that it is repeated.
func (e *Engine) answerHalf(now mono.Time, h *half) {
	s, l := &e.scratch, h.listener
	n := h.req.Answer(now, &s.tcp, l.tcp, e.halfParams(&h.key, l, int(h.mtu)), s.buf[:])
	e.replyWith(&h.key, h.reply, s.buf[:n])
	e.halfTimers.schedule(h, h.req.Due(l.tcp))
}

// answerStray sends what the connection in scratch owes for a segment that did not complete the
// handshake: at most as often as one in TIME-WAIT answers, for whose address it bears has not
// shown that it is his.
func (e *Engine) answerStray(now mono.Time, h *half) {
	s := &e.scratch
	silent := h.answered != 0 && now.Sub(h.answered) < restAnswerEvery
	for n := s.tcp.Output(now, s.buf[:]); n > 0; n = s.tcp.Output(now, s.buf[:]) {
		if silent {
			e.stats.TCP.TCPACKSkippedSynRecv++
			continue
		}
		h.answered = now
		e.replyWith(&h.key, h.reply, s.buf[:n])
	}
}

// sendScratch sends what the connection in scratch owes on behalf of h.
func (e *Engine) sendScratch(now mono.Time, h *half) {
	s := &e.scratch
	for n := s.tcp.Output(now, s.buf[:]); n > 0; n = s.tcp.Output(now, s.buf[:]) {
		e.replyWith(&h.key, h.reply, s.buf[:n])
	}
}

// halfIn handles a segment for a half-open connection.
func (e *Engine) halfIn(now mono.Time, h *half, in *inbound) {
	l := h.listener
	if h.req.Completes(&in.seg) {
		if e.refusesConn(l) {
			return
		}
		if e.acceptRequest(now, l, in, &h.req) {
			e.removeHalf(h)
			return
		}
	}
	s := &e.scratch
	lives := h.req.Judge(now, &s.tcp, l.tcp, e.halfParams(&h.key, l, int(h.mtu)), &in.seg)
	e.answerStray(now, h)
	if !lives {
		e.endHalf(h)
	}
}

// refusesConn says whether there is no room for the connection of a handshake that is done. While
// the accept queue is full the ACK is dropped: the peer sends it again when our SYN and ACK is
// repeated. Memory was asked for when the SYN came: to refuse now a peer that believes itself
// connected would be worse than the 16 MiB that a backlog may overdraw it by.
func (e *Engine) refusesConn(l *Listener) bool {
	switch {
	case l.cfg.Acceptor.Full():
		e.overflow()
	case e.flows.n >= e.cfg.ConnsMax:
		e.stats.ListenDrops++
		e.stats.Drop.ConnsMax++
	default:
		return false
	}
	return true
}

// acceptRequest makes the connection whose handshake in completes. It says false, and has done
// nothing, if in is not acceptable after all: outside of the window, or from the past.
func (e *Engine) acceptRequest(now mono.Time, l *Listener, in *inbound, r *tcp.Request) bool {
	o := &l.cfg.Options
	c := e.newConn(in.key, o)
	w := &c.way
	w.vlan = in.eth.VLAN
	w.fromMAC, w.toMAC, w.hasMAC = in.eth.Dst, in.eth.Src, true
	e.route(now, c)
	c.tcp.AcceptRequest(l.tcp, c.params(now, o), r)
	c.apply(now, o)
	c.tcp.Input(now, &in.seg)
	if !c.tcp.State().Synchronized() {
		c.recv.Shut()
		e.stats.TCP.PassiveOpens--
		return false
	}
	if c.claim != nil {
		c.claim.Acquire()
	}
	// At once, not when it is served: the next handshake of this batch must see whether the
	// accept queue still has room.
	e.add(c)
	l.cfg.Acceptor.Accept(c)
	return true
}

// fireHalves repeats the answers that are due, as many as there is room for in a step.
func (e *Engine) fireHalves(now mono.Time) bool {
	worked := false
	for e.halfTimers.next() <= now && e.replies.n < len(e.replies.buf) {
		h := e.halfTimers.pop(now)
		worked = true
		if at := h.req.Due(h.listener.tcp); at > now {
			e.halfTimers.schedule(h, at) // it was answered since
			continue
		}
		if !h.req.Repeat(h.listener.tcp, &e.stats.TCP) {
			e.stats.TCPReqTimeouts++
			e.endHalf(h)
			continue
		}
		e.answerHalf(now, h)
	}
	return worked
}

// endHalf forgets a half-open connection of which nothing will come.
func (e *Engine) endHalf(h *half) {
	e.removeHalf(h)
	e.directoryRemove(&h.key)
}

// removeHalf takes h out of all but the directory.
func (e *Engine) removeHalf(h *half) {
	e.halfTimers.cancel(h)
	e.halves.remove(h)
	e.sources.remove(&h.key)
	h.listener.halfOpen--
}

// abortHalves tells the peers of all half-open connections of l that there will be none.
func (e *Engine) abortHalves(now mono.Time, l *Listener) {
	s := &e.scratch
	for _, h := range e.halves.all() {
		if h.listener != l {
			continue
		}
		if e.replies.n == len(e.replies.buf) {
			e.sendReplies()
		}
		h.req.Abort(now, &s.tcp, l.tcp, e.halfParams(&h.key, l, int(h.mtu)))
		e.sendScratch(now, h)
		e.endHalf(h)
	}
	e.sendReplies()
}

// sources counts the half-open connections of each peer's address, if that is bounded. It has
// no more entries than there are half-open connections.
type sources struct {
	max int
	n   map[[16]byte]int
}

func (s *sources) init(most int) {
	s.max = most
	if most > 0 {
		s.n = make(map[[16]byte]int)
	}
}

func (s *sources) add(k *flowKey) {
	if s.max > 0 {
		s.n[k.remote]++
	}
}

func (s *sources) remove(k *flowKey) {
	if s.max == 0 {
		return
	}
	if s.n[k.remote]--; s.n[k.remote] == 0 {
		delete(s.n, k.remote)
	}
}

// full says whether the peer of k has as many half-open connections as one may have.
func (s *sources) full(k *flowKey) bool { return s.max > 0 && s.n[k.remote] >= s.max }
