package service

import (
	"github.com/millrace-tcp/millrace/stack"
)

// OnWorker makes the handler of a connection that the stack's worker serves itself.
type OnWorker func(c *stack.HandlerConn) stack.Handler

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
