package stack_test

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack"
)

// claimCounter grants everything, and counts.
type claimCounter struct{ held, released atomic.Int64 }

func (c *claimCounter) grant() func() {
	c.held.Add(1)
	return func() {
		c.held.Add(-1)
		c.released.Add(1)
	}
}

func (c *claimCounter) Listen(local netip.AddrPort) (netip.AddrPort, func(), error) {
	return local, c.grant(), nil
}

func (c *claimCounter) Flow(local, _ netip.AddrPort, _ func(netip.AddrPort) bool) (netip.AddrPort, func(), error) {
	return netip.AddrPortFrom(local.Addr(), 50_000), c.grant(), nil
}

// A stack that is closed holds no claim, also of listeners that nobody has closed, and those that
// are closed after it give nothing back twice.
func TestCloseReleasesListeners(t *testing.T) {
	var claims claimCounter
	pa, pb := pipe.New(pipe.Config{})
	defer pa.Close()
	defer pb.Close()
	server := newStack(t, stack.Config{Claimer: &claims}, sourceRouter{v4: addrA}, pa)
	client := newStack(t, stack.Config{}, sourceRouter{v4: addrB}, pb)
	defer client.Close()

	l := listen(t, server, ":80")
	listen(t, server, ":81")
	c, err := client.Dial("tcp", netip.AddrPortFrom(addrA, 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if held := claims.held.Load(); held != 2 {
		t.Fatalf("%d claims are held, want 2", held)
	}

	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if held := claims.held.Load(); held != 0 {
		t.Errorf("%d claims are held by a stack that is closed", held)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if released := claims.released.Load(); released != 2 {
		t.Errorf("%d claims were released, want 2", released)
	}
	if _, err := server.Listen("tcp", ":82"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Listen on a closed stack: %v", err)
	}
}
