package stack_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

var (
	addrA = netip.MustParseAddr("10.0.0.1")
	addrB = netip.MustParseAddr("10.0.0.2")
	addr6 = netip.MustParseAddr("fd00::2")
)

// sourceRouter gives a source address of the family that is asked for.
type sourceRouter struct{ v4, v6 netip.Addr }

func (r sourceRouter) Route(src, dst netip.Addr) (engine.Hop, engine.RouteStatus) {
	h := engine.Hop{LocalMAC: [6]byte{2, 0, 0, 0, 0, 1}, RemoteMAC: [6]byte{2, 0, 0, 0, 0, 2}, MTU: 1500, Src: r.v4}
	if !dst.Is4() {
		h.Src = r.v6
	}
	return h, engine.RouteOK
}

func (sourceRouter) Generation() uint64 { return 1 }

// pair is two stacks on a pipe.
type pair struct {
	a, b  *stack.Stack
	ports []dataplane.Port
}

func newPair(t testing.TB, cfg stack.Config) *pair {
	t.Helper()
	pa, pb := pipe.New(pipe.Config{})
	p := &pair{ports: []dataplane.Port{pa, pb}}
	v6 := netip.MustParseAddr("fd00::1")
	p.a = newStack(t, cfg, sourceRouter{addrA, v6}, pa)
	p.b = newStack(t, cfg, sourceRouter{addrB, addr6}, pb)
	t.Cleanup(func() {
		p.a.Close()
		p.b.Close()
		for _, port := range p.ports {
			if err := port.Close(); err != nil {
				t.Error(err)
			}
		}
		for _, s := range []*stack.Stack{p.a, p.b} {
			if n := s.BufferOctets(); n != 0 {
				t.Errorf("%d octets of buffers are in use after Close", n)
			}
		}
	})
	return p
}

func newStack(t testing.TB, cfg stack.Config, r sourceRouter, ports ...dataplane.Port) *stack.Stack {
	t.Helper()
	cfg.Router = r
	cfg.Addrs = engine.NewAddrSet(r.v4, r.v6)
	s, err := stack.New(cfg, ports...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func listen(t testing.TB, s *stack.Stack, address string) net.Listener {
	t.Helper()
	l, err := s.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// connect makes a connection from a to b.
func (p *pair) connect(t testing.TB) (a, b *stack.Conn) {
	t.Helper()
	l := listen(t, p.b, "10.0.0.2:0")
	defer l.Close()
	c, err := p.a.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(*stack.Conn), s.(*stack.Conn)
}

// TestNettest is the standard library's own idea of what a net.Conn must do.
func TestNettest(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	p := newPair(t, stack.Config{})
	l := listen(t, p.b, "10.0.0.2:0")
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		if c1, err = p.a.Dial("tcp", l.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		if c2, err = l.Accept(); err != nil {
			return nil, nil, nil, err
		}
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

const patience = 10 * time.Second
