package stack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/spin"
)

// Handler is a server's side of one connection that runs to completion: the worker calls it as
// soon as a segment is in, and what it writes leaves with the acknowledgement. No goroutine is
// woken and none exists for the connection. In return a handler must not block, and while it
// runs no other connection of the queue is served; nor may it ask a Conn of the same stack for
// what the worker answers, as Info and the options.
//
// Calls for one connection never overlap. One that panics ends its connection by RST, and
// nothing else; Stack.HandlerPanics counts it, and it is logged.
type Handler interface {
	// Data is called when something has arrived, or the peer has ended its side (Ended). What
	// is not read is not announced again, until more arrives.
	Data(c *HandlerConn)
	// Writable is called when there is room again after a Write, or Reserve, had too little.
	Writable(c *HandlerConn)
	// Closed is called once, as the last: after Close with nil, or with why the connection broke,
	// an errno as package net has it. The connection can be asked for its addresses only.
	Closed(c *HandlerConn, err error)
}

// HandlerConn is a connection as its Handler sees it. All methods but Do are for calls of the
// handler, and none waits.
type HandlerConn struct {
	s  *Stack
	w  *worker
	c  *engine.Conn
	h  Handler
	rs queue.Reservation

	short     bool // a write had too little room
	wrote     bool
	answered  bool // has written since Data was called
	turns     spin.Turns
	read      bool
	told      bool // that the peer has ended
	over      bool // closed, or broken: Closed was called, or is about to be
	announced bool // Closed was called
}

// ListenHandler listens as Listen does, but has open called for each connection, on a worker,
// and what it returns serve it. Accept of the listener it returns waits until Close.
func (lc ListenConfig) ListenHandler(ctx context.Context, network, address string, open func(c *HandlerConn) Handler) (*Listener, error) {
	l, err := lc.listen(ctx, network, address, open)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Addr: addressOf(address), Err: err}
	}
	return l, nil
}

// ListenHandler is ListenConfig.ListenHandler with the stack's own configuration.
func (s *Stack) ListenHandler(network, address string, open func(c *HandlerConn) Handler) (*Listener, error) {
	return ListenConfig{Stack: s}.ListenHandler(context.Background(), network, address, open)
}

// HandlerPanics returns how many calls of handlers have panicked.
func (s *Stack) HandlerPanics() uint64 { return s.panics.Load() }

// handlerAcceptor is a listener whose connections have handlers.
type handlerAcceptor struct {
	s    *Stack
	w    *worker
	open func(c *HandlerConn) Handler
}

// Full says that there is always room: nothing waits.
func (handlerAcceptor) Full() bool { return false }

// Accept has the handler of a new connection made.
func (a handlerAcceptor) Accept(ec *engine.Conn) {
	h := &HandlerConn{s: a.s, w: a.w, c: ec}
	a.w.newcomers.Met()
	ec.SetObserver(h)
	ec.SetPrompt()
	h.opened(a.open)
	if h.h == nil {
		h.over, h.announced = true, true
		ec.CloseNow(true)
		return
	}
	h.settle()
}

func (h *HandlerConn) opened(open func(c *HandlerConn) Handler) {
	defer h.recovered()
	h.h = open(h)
}

// ConnEvent is called by the worker when something happened.
func (h *HandlerConn) ConnEvent(_ *engine.Conn, e engine.Events) {
	if e&engine.Replaced != 0 {
		h.s.warnReplaced(h.c)
	}
	if h.announced {
		return
	}
	if e&engine.Readable != 0 && !h.over && h.news() {
		h.countTurn()
		h.call((Handler).Data)
		if !h.wrote && !h.over {
			h.w.hold(h.c)
		}
	}
	if e&engine.Writable != 0 && !h.over && h.short && h.c.Send().Roomy() {
		h.short = false
		h.call((Handler).Writable)
	}
	h.settle()
}

// countTurn has the worker spin for the next segment, once the connection has answered some
// times in a row.
func (h *HandlerConn) countTurn() {
	taking := h.turns.Wait(h.answered)
	h.answered = false
	if taking {
		h.w.handled = true
	} else {
		h.w.newcomers.Met()
	}
}

// news says whether there is something for Data.
func (h *HandlerConn) news() bool {
	if h.Ended() && !h.told {
		h.told = true
		return true
	}
	return h.c.Recv().Len() > 0
}

// call calls the handler, and survives it.
func (h *HandlerConn) call(f func(Handler, *HandlerConn)) {
	defer h.recovered()
	f(h.h, h)
}

// recovered ends the connection of a handler that has panicked. It is deferred.
func (h *HandlerConn) recovered() {
	cause := recover()
	if cause == nil {
		return
	}
	h.s.panics.Add(1)
	h.rs.Commit(0)
	if !h.over {
		h.Abort()
	}
	if !h.s.mayWarn() {
		return
	}
	trace, local, remote := debug.Stack(), h.LocalAddr().String(), h.RemoteAddr().String()
	// The worker may not be held up by a log.
	h.s.running.Go(func() {
		h.s.cfg.Log.Error("stack: a handler panicked", "cause", fmt.Sprint(cause), "local", local, "remote", remote, "trace", string(trace))
	})
}

// settle does what the calls of the handler have asked for, and says that it is over if it is.
func (h *HandlerConn) settle() {
	if h.read && h.c.Recv().UpdateDue() {
		h.c.ReadNow()
	}
	if h.wrote {
		h.c.Touch()
		h.answered = true
	}
	h.read, h.wrote = false, false
	var err error
	if s := h.c.Status(); s.Gone() && !h.over {
		h.over = true
		if s.Cause() != engine.None {
			err = causeError("read", s.Cause())
		}
		h.c.CloseNow(false)
	}
	if h.over && !h.announced {
		h.announced = true
		h.rs.Commit(0)
		h.closed(err)
	}
}

func (h *HandlerConn) closed(err error) {
	defer h.recovered()
	h.h.Closed(h, err)
}

// LocalAddr returns our address.
func (h *HandlerConn) LocalAddr() netip.AddrPort { return h.c.LocalAddr() }

// RemoteAddr returns the peer's address.
func (h *HandlerConn) RemoteAddr() netip.AddrPort { return h.c.RemoteAddr() }

// Len returns how many octets can be read.
func (h *HandlerConn) Len() int { return h.c.Recv().Len() }

// Ended says that the peer has ended its side: what Len says is all that is left.
func (h *HandlerConn) Ended() bool { return h.c.Status().PeerFinished() }

// Read moves what has arrived into b, and returns how much that is.
func (h *HandlerConn) Read(b []byte) int {
	h.read = true
	return h.c.Recv().Read(b)
}

// Lend is Read without a copy, see Conn.Lend. An empty lease is that there is nothing. It may
// be kept beyond the call, and released by any goroutine.
func (h *HandlerConn) Lend(most int) Lease {
	h.read = true
	return Lease{c: h.c, l: h.c.Recv().Lend(most)}
}

// Write appends as much of b as there is room for, and returns how much that is. If that is
// not all, Writable is called when there is more.
func (h *HandlerConn) Write(b []byte) int {
	if h.over {
		return 0
	}
	n := h.c.Send().Write(b)
	h.wrote = true
	h.short = h.short || n < len(b)
	return n
}

// Space returns how many octets Write would take. With none Writable is called when there are.
func (h *HandlerConn) Space() int {
	n := h.c.Send().Space()
	h.short = h.short || n == 0
	return n
}

// Reserve lends up to n octets of the send queue, to be filled in place before Commit, which
// the same call has to make. nil is that there is no room: Writable is called when there is.
func (h *HandlerConn) Reserve(n int) []byte {
	if h.over {
		return nil
	}
	h.rs.Commit(0)
	h.rs = h.c.Send().Reserve(n)
	h.short = h.short || h.rs.Bytes() == nil
	return h.rs.Bytes()
}

// Commit writes the first n octets of what was reserved.
func (h *HandlerConn) Commit(n int) {
	h.rs.Commit(n)
	h.rs = queue.Reservation{}
	h.wrote = true
}

// CloseWrite ends our side: the peer reads the end after what was written.
func (h *HandlerConn) CloseWrite() {
	if !h.over {
		h.c.CloseWriteNow()
	}
}

// Close ends the connection. What was written is still sent; with data unread the peer is sent
// RST. Closed is called next.
func (h *HandlerConn) Close() { h.end(false) }

// Abort ends the connection by RST. Closed is called next.
func (h *HandlerConn) Abort() { h.end(true) }

func (h *HandlerConn) end(abort bool) {
	if !h.over {
		h.over = true
		h.c.CloseNow(abort)
	}
}

// Do has f called on the worker as if by the handler: for what comes from elsewhere. It says
// false when the stack is closed. f is not called after Closed. Any goroutine may call it.
func (h *HandlerConn) Do(f func(c *HandlerConn)) bool {
	return h.c.Engine().Do(func(mono.Time) {
		if h.over {
			return
		}
		h.call(func(_ Handler, c *HandlerConn) { f(c) })
		h.settle()
	})
}
