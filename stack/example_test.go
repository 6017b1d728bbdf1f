package stack_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// joined returns two connections that are each other's ends, over a pipe in memory.
func joined() (one, two *stack.Conn, end func()) {
	portA, portB := pipe.New(pipe.Config{})
	open := func(r sourceRouter, port *pipe.Port) *stack.Stack {
		s, err := stack.New(stack.Config{Router: r, Addrs: engine.NewAddrSet(r.v4)}, port)
		if err != nil {
			panic(err)
		}
		return s
	}
	a, b := open(sourceRouter{v4: addrA}, portA), open(sourceRouter{v4: addrB}, portB)
	l, err := b.Listen("tcp", ":7")
	if err != nil {
		panic(err)
	}
	client, err := a.Dial("tcp", "10.0.0.2:7")
	if err != nil {
		panic(err)
	}
	server, err := l.Accept()
	if err != nil {
		panic(err)
	}
	return client.(*stack.Conn), server.(*stack.Conn), func() {
		a.Close()
		b.Close()
		portA.Close()
		portB.Close()
	}
}

// What arrives is looked at where it lies. The next octets may come while it is held.
func ExampleConn_Lend() {
	client, server, end := joined()
	defer end()
	io.WriteString(client, "lent, not copied")
	client.CloseWrite()
	for {
		lease, err := server.Lend(1 << 20)
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s", lease.Bytes())
		lease.Release()
	}
	fmt.Println()
	// Output: lent, not copied
}

// An answer is made in the send queue itself.
func ExampleConn_Reserve() {
	client, server, end := joined()
	defer end()
	space, err := server.Reserve(64)
	if err != nil {
		panic(err)
	}
	answer := fmt.Appendf(space.Bytes()[:0], "%d octets of room", len(space.Bytes()))
	if err := space.Commit(len(answer)); err != nil {
		panic(err)
	}
	server.CloseWrite()
	got, err := io.ReadAll(client)
	fmt.Printf("%s, %v\n", got, err)
	// Output: 64 octets of room, <nil>
}

// Several buffers are one write, as writev has it.
func ExampleConn_WriteBuffers() {
	client, server, end := joined()
	defer end()
	message := net.Buffers{[]byte("head "), []byte("and body")}
	if _, err := server.WriteBuffers(&message); err != nil {
		panic(err)
	}
	server.CloseWrite()
	got, err := io.ReadAll(client)
	fmt.Printf("%s, %v, %d left\n", got, err, len(message))
	// Output: head and body, <nil>, 0 left
}

// shout answers in capitals.
type shout struct{}

func (shout) Data(c *stack.HandlerConn) {
	lease := c.Lend(c.Len())
	defer lease.Release()
	space := c.Reserve(len(lease.Bytes()))
	c.Commit(copy(space, bytes.ToUpper(lease.Bytes())))
	if c.Ended() {
		c.Close()
	}
}

func (shout) Writable(*stack.HandlerConn) {} // what is asked here is short

func (shout) Closed(*stack.HandlerConn, error) {}

// A server without a goroutine a connection: the worker itself answers.
func ExampleStack_ListenHandler() {
	portA, portB := pipe.New(pipe.Config{})
	open := func(addr netip.Addr, port *pipe.Port) *stack.Stack {
		s, err := stack.New(stack.Config{Router: sourceRouter{v4: addr}, Addrs: engine.NewAddrSet(addr)}, port)
		if err != nil {
			panic(err)
		}
		return s
	}
	client, server := open(addrA, portA), open(addrB, portB)
	defer portA.Close()
	defer portB.Close()
	defer client.Close()
	defer server.Close()
	if _, err := server.ListenHandler("tcp", ":7", func(*stack.HandlerConn) stack.Handler { return shout{} }); err != nil {
		panic(err)
	}
	c, err := client.Dial("tcp", "10.0.0.2:7")
	if err != nil {
		panic(err)
	}
	io.WriteString(c, "is anybody there?")
	c.(*stack.Conn).CloseWrite()
	got, err := io.ReadAll(c)
	fmt.Printf("%s, %v\n", got, err)
	// Output: IS ANYBODY THERE?, <nil>
}
