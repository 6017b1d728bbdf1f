package testbed

import (
	"errors"
	"net"
	"net/netip"

	"github.com/millrace-tcp/millrace/bench/core"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// Pair is two stacks on a pipe in memory.
type Pair struct {
	A, B  *stack.Stack
	ports []dataplane.Port
}

// The addresses of a Pair.
var (
	pairA = netip.MustParseAddr("10.77.0.1")
	pairB = netip.MustParseAddr("10.77.0.2")
)

// frameHeader is what a frame holds besides the IP packet: an Ethernet header.
const frameHeader = 14

// NewPair returns two stacks on a pipe whose frames hold packets of mtu octets. wrap, if not
// nil, wraps each port.
func NewPair(mtu int, cfg stack.Config, wrap func(dataplane.Port) dataplane.Port) (*Pair, error) {
	pa, pb := pipe.New(pipe.Config{FrameSize: mtu + frameHeader, LinkLocal: false})
	p := &Pair{ports: []dataplane.Port{pa, pb}}
	if wrap != nil {
		p.ports = []dataplane.Port{wrap(pa), wrap(pb)}
	}
	open := func(own netip.Addr, port dataplane.Port) (*stack.Stack, error) {
		cfg := cfg
		cfg.Router, cfg.Addrs = core.WayTo{Src: own, MTU: mtu}, engine.NewAddrSet(own)
		return stack.New(cfg, port)
	}
	var err error
	if p.A, err = open(pairA, p.ports[0]); err == nil {
		p.B, err = open(pairB, p.ports[1])
	}
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Listen listens on A.
func (p *Pair) Listen() (net.Listener, error) { return p.A.Listen("tcp", pairA.String()+":"+servePort) }

// ListenHandler listens on A with handlers.
func (p *Pair) ListenHandler(open func(c *stack.HandlerConn) stack.Handler) (net.Listener, error) {
	return p.A.ListenHandler("tcp", pairA.String()+":"+servePort, open)
}

// Close ends both stacks.
func (p *Pair) Close() error {
	var errs []error
	for _, s := range []*stack.Stack{p.A, p.B} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	for _, port := range p.ports {
		errs = append(errs, port.Close())
	}
	return errors.Join(errs...)
}
