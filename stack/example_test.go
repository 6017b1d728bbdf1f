package stack_test

import (
	"fmt"
	"io"
	"net"

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
