package service

import (
	"maps"
	"slices"
	"sync"

	"github.com/millrace-tcp/millrace/stack"
)

// OnWorker makes the handler of a connection that the stack's worker serves itself.
type OnWorker func(c *stack.HandlerConn) stack.Handler

// Conns knows the connections of handlers, so that they can be closed all at once. The zero
// value is ready.
type Conns struct {
	mu  sync.Mutex
	all map[*stack.HandlerConn]struct{}
}

// Track returns an OnWorker that does as open does, and takes note of the connections.
func (t *Conns) Track(open OnWorker) OnWorker {
	return func(c *stack.HandlerConn) stack.Handler {
		h := open(c)
		if h == nil {
			return nil
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.all == nil {
			t.all = make(map[*stack.HandlerConn]struct{})
		}
		t.all[c] = struct{}{}
		return tracked{h, t}
	}
}

// Close has every connection closed: what was written is still sent.
func (t *Conns) Close() {
	t.mu.Lock()
	open := slices.Collect(maps.Keys(t.all))
	t.mu.Unlock()
	for _, c := range open {
		c.Do((*stack.HandlerConn).Close)
	}
}

// tracked is a handler whose connection is known.
type tracked struct {
	stack.Handler
	conns *Conns
}

// Closed forgets the connection.
func (t tracked) Closed(c *stack.HandlerConn, err error) {
	t.conns.mu.Lock()
	delete(t.conns.all, c)
	t.conns.mu.Unlock()
	t.Handler.Closed(c, err)
}

// EchoOnWorker is Echo for ListenHandler: out of the receive queue into the send queue, with one
// copy.
func EchoOnWorker(*stack.HandlerConn) stack.Handler { return echoOnWorker{} }

type echoOnWorker struct{}

// Data sends back as much as there is room for; Writable goes on.
func (echoOnWorker) Data(c *stack.HandlerConn) {
	for c.Len() > 0 && c.Space() > 0 {
		l := c.Lend(c.Space())
		c.Write(l.Bytes())
		l.Release()
	}
	if c.Ended() && c.Len() == 0 {
		c.Close()
	}
}

// Writable goes on where Data had no room.
func (e echoOnWorker) Writable(c *stack.HandlerConn) { e.Data(c) }

// Closed is the end.
func (echoOnWorker) Closed(*stack.HandlerConn, error) {}

// DiscardOnWorker is Discard for ListenHandler.
func DiscardOnWorker(*stack.HandlerConn) stack.Handler { return discardOnWorker{} }

type discardOnWorker struct{}

// Data throws away what has come.
func (discardOnWorker) Data(c *stack.HandlerConn) {
	for c.Len() > 0 {
		l := c.Lend(c.Len())
		l.Release()
	}
	if c.Ended() {
		c.Close()
	}
}

// Writable is of no interest.
func (discardOnWorker) Writable(*stack.HandlerConn) {}

// Closed is the end.
func (discardOnWorker) Closed(*stack.HandlerConn, error) {}
