package engine

import (
	"errors"
	"net/netip"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// The errors of Listen and Connect.
var (
	ErrInUse       = errors.New("engine: address in use")
	ErrClosed      = errors.New("engine: closed")
	ErrConnsMax    = errors.New("engine: too many connections")
	ErrMemory      = errors.New("engine: out of memory")
	ErrUnreachable = errors.New("engine: no route to host")
	ErrFamily      = errors.New("engine: addresses are missing or of two families")
)

// Acceptor takes the connections that a listener has made. It is called on the worker and
// must not block. The listeners of several queues may share one.
type Acceptor interface {
	// Full says that Accept would have no room. While it holds, SYNs are dropped, and so is
	// the ACK that completes a handshake: the peer sends it again when our SYN and ACK is
	// repeated. This is what Linux does.
	Full() bool
	// Accept takes c, which is open. It may be called in spite of Full, a few times at most,
	// when several queues make connections at once.
	Accept(c *Conn)
}

// BacklogDefault is how many connections of a listener may be half open, as Linux's
// net.core.somaxconn has it. With 200 octets each a flood of SYNs costs 1 MiB.
const BacklogDefault = 4096

// ListenConfig says how to listen.
type ListenConfig struct {
	// Local is the address and port. The zero address is the wildcard of both families,
	// 0.0.0.0 and :: are those of one.
	Local netip.AddrPort
	// Backlog is the most connections that may be half open: BacklogDefault if 0. What comes
	// beyond gets a SYN cookie, see Config.Cookies.
	Backlog int
	// Options are those of the connections. Claim is acquired for each of them.
	Options  Options
	Acceptor Acceptor
}

// Listener is one listening port on one queue. It belongs to the worker.
type Listener struct {
	cfg      ListenConfig
	eng      *Engine
	tcp      *tcp.Config // of its connections
	halfOpen int
	closed   bool
}

// listenKey is an address, or a wildcard, and a port.
type listenKey struct {
	addr netip.Addr
	port uint16
}

// Listen opens a port. For the worker.
func (e *Engine) Listen(cfg ListenConfig) (*Listener, error) {
	if e.stopped {
		return nil, ErrClosed
	}
	key := listenKey{cfg.Local.Addr(), cfg.Local.Port()}
	if _, taken := e.listeners[key]; taken {
		return nil, ErrInUse
	}
	if cfg.Backlog <= 0 {
		cfg.Backlog = BacklogDefault
	}
	l := &Listener{cfg: cfg, eng: e, tcp: e.tcpConfig(&cfg.Options)}
	e.listeners[key] = l
	return l, nil
}

// Close stops listening. Connections that are half open are aborted; the others live on.
// For the worker.
func (l *Listener) Close(now mono.Time) {
	if l.closed {
		return
	}
	l.closed = true
	delete(l.eng.listeners, listenKey{l.cfg.Local.Addr(), l.cfg.Local.Port()})
	if l.halfOpen > 0 {
		l.eng.abortHalves(now, l)
	}
}

// listening returns the listener for packets to dst: the one of the address itself before
// the wildcard of its family, and that before the wildcard of both.
func (e *Engine) listening(dst netip.Addr, port uint16) *Listener {
	if len(e.listeners) == 0 {
		return nil
	}
	if l := e.listeners[listenKey{dst, port}]; l != nil {
		return l
	}
	wild := netip.IPv6Unspecified()
	if dst.Is4() {
		wild = netip.IPv4Unspecified()
	}
	if l := e.listeners[listenKey{wild, port}]; l != nil {
		return l
	}
	return e.listeners[listenKey{netip.Addr{}, port}]
}

// listen handles a segment for a listener, after RFC 9293, section 3.10.7.2.
func (e *Engine) listen(now mono.Time, l *Listener, in *inbound) {
	seg := &in.seg
	switch {
	case seg.Flags&wire.RST != 0:
		e.stats.Drop.NotSYN++
	case seg.Flags&wire.ACK != 0:
		if !e.cookieIn(now, l, in) {
			e.replyReset(now, in)
		}
	case seg.Flags&(wire.SYN|wire.FIN) != wire.SYN:
		// SYN with FIN is of no use but to slip through filters.
		e.stats.Drop.NotSYN++
	case l.cfg.Acceptor.Full():
		e.overflow()
	case e.memoryFull():
		e.stats.ListenDrops++
		e.stats.Drop.Memory++
	case e.flows.n >= e.cfg.ConnsMax:
		e.stats.ListenDrops++
		e.stats.Drop.ConnsMax++
	case e.cfg.Cookies == CookiesAlways:
		e.sendCookie(now, l, in)
	case !e.roomForHalf(l, &in.key):
		e.requestsFull(now, l, in)
	default:
		e.request(now, l, in, nil)
	}
}

// keepsSYN says whether a SYN for l would become a half-open connection: one that is not may not
// end a connection in TIME-WAIT.
func (e *Engine) keepsSYN(l *Listener, k *flowKey) bool {
	return !l.cfg.Acceptor.Full() && !e.memoryFull() && e.flows.n < e.cfg.ConnsMax && e.roomForHalf(l, k)
}

// roomForHalf says whether one more connection may be half open: of the listener, of all, and
// of its peer's address.
func (e *Engine) roomForHalf(l *Listener, k *flowKey) bool {
	return l.halfOpen < l.cfg.Backlog && e.halves.n < e.cfg.HalfOpenMax && !e.sources.full(k)
}

// requestsFull handles a SYN for which there is no room.
func (e *Engine) requestsFull(now mono.Time, l *Listener, in *inbound) {
	if e.cfg.Cookies == CookiesNever {
		e.stats.TCPReqQFullDrop++
		e.stats.ListenDrops++
		e.stats.Drop.Backlog++
		return
	}
	e.stats.TCPReqQFullDoCookies++
	e.sendCookie(now, l, in)
}

// overflow counts a SYN, or the last ACK of a handshake, that is dropped because the accept
// queue is full.
func (e *Engine) overflow() {
	e.stats.ListenOverflows++
	e.stats.ListenDrops++
	e.stats.Drop.AcceptQueue++
}
