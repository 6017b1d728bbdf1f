// Package core measures what a segment costs both ends of a connection and nothing else:
// two engines on a pipe in memory, stepped by turns on one goroutine, so that there is no
// waking, no system call and no scheduler in it. What is in it is all of the stack: queues
// and both their copies, checksums, headers, acknowledgements, timers, congestion control.
package core

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/socket"
)

const (
	port = 5001
	// patience is how long a connection may take that needs microseconds.
	patience = time.Second
)

var (
	addrA = netip.MustParseAddr("10.77.0.1")
	addrB = netip.MustParseAddr("10.77.0.2")
)

// Pair is a connection between two engines. One goroutine uses it.
type Pair struct {
	origin   time.Time
	a, b     *engine.Engine
	ports    [2]*pipe.Port
	from, to *socket.Socket
	out, in  []byte
}

// Open makes a connection over a pipe whose frames hold packets of mtu octets.
func Open(mtu int) (*Pair, error) {
	_, congestion, err := catalog.All().Parse(catalog.Default)
	if err != nil {
		return nil, err
	}
	p := &Pair{origin: time.Now(), out: make([]byte, bench.BlockSize), in: make([]byte, bench.BlockSize)}
	p.ports[0], p.ports[1] = pipe.New(pipe.Config{FrameSize: mtu + 14})
	pool := new(queue.Pool)
	var cfg engine.Config
	cfg.TCP.Congestion = congestion
	cfg.TCP.AckFold = engine.AckFoldGRO // as a Stack has it
	cfg.Pool = pool
	cfg.Addrs = engine.NewAddrSet(addrA)
	p.a = engine.New(cfg, p.ports[0], WayTo{addrA, mtu})
	cfg.Addrs = engine.NewAddrSet(addrB)
	p.b = engine.New(cfg, p.ports[1], WayTo{addrB, mtu})
	listener := socket.New(p.b, cfg.TCP)
	if err := errno("bind", listener.Bind(netip.AddrPortFrom(addrB, port))); err != nil {
		return nil, err
	}
	if err := errno("listen", listener.Listen(1)); err != nil {
		return nil, err
	}
	p.from = socket.New(p.a, cfg.TCP)
	if err := errno("connect", p.from.Connect(p.now(), netip.AddrPortFrom(addrB, port))); err != nil {
		return nil, err
	}
	for p.to == nil || p.from.Connected() != socket.OK {
		p.step()
		if accepted, err := listener.Accept(); err == socket.OK {
			p.to = accepted
		}
		if time.Since(p.origin) > patience {
			return nil, errors.New("core: connect: it takes too long")
		}
	}
	return p, nil
}

// errno makes an error of what a socket returns.
func errno(what string, e syscall.Errno) error {
	if e == socket.OK || e == syscall.EINPROGRESS {
		return nil
	}
	return fmt.Errorf("core: %s: %w", what, e)
}

// now reads the clock, as a worker does once a step.
func (p *Pair) now() mono.Time { return mono.Time(time.Since(p.origin)) + 1 }

// step lets both engines work once, and returns whether one had anything to do.
func (p *Pair) step() bool {
	a := p.a.Step(p.now())
	b := p.b.Step(p.now())
	return a || b
}

// round writes what there is room for, lets the engines work, and reads what came.
func (p *Pair) round() (octets int, err error) {
	if _, e := p.from.Write(p.out); e != socket.OK && e != syscall.EAGAIN {
		return 0, errno("write", e)
	}
	p.step()
	for {
		n, e := p.to.Read(p.in)
		if e != socket.OK && e != syscall.EAGAIN {
			return octets, errno("read", e)
		}
		if octets += n; n == 0 || e == syscall.EAGAIN {
			return octets, nil
		}
	}
}

// Run sends octets for the workload's time. Its count is segments; one processor does the
// work of both ends.
func (p *Pair) Run(ctx context.Context, w bench.Workload) (r bench.Result, err error) {
	if w.Kind != bench.Bulk {
		return r, fmt.Errorf("core: there is no %s on engines alone", w.Kind)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	segments, start := p.a.Stats().TCP.OutSegs, time.Now()
	for r.Elapsed < w.Time && ctx.Err() == nil {
		n, err := p.round()
		if err != nil {
			return r, err
		}
		r.Octets += int64(n)
		r.Elapsed = time.Since(start)
	}
	runtime.ReadMemStats(&after)
	r.Count = int64(p.a.Stats().TCP.OutSegs - segments)
	r.Allocs = int64(after.Mallocs - before.Mallocs)
	if r.Count == 0 || r.Octets == 0 {
		return r, errors.New("core: nothing was sent")
	}
	return r, context.Cause(ctx)
}

// Close ends both engines and the pipe.
func (p *Pair) Close() error {
	p.a.Close(p.now())
	p.b.Close(p.now())
	return errors.Join(p.ports[0].Close(), p.ports[1].Close())
}

// WayTo is the router of one end of a pipe: from Src to the other end, which is all there is.
type WayTo struct {
	Src netip.Addr
	MTU int // octets of an IP packet
}

// Route returns it.
func (r WayTo) Route(netip.Addr, netip.Addr) (engine.Hop, engine.RouteStatus) {
	return engine.Hop{
		LocalMAC: [6]byte{2, 0, 0, 0, 0, 1}, RemoteMAC: [6]byte{2, 0, 0, 0, 0, 2}, MTU: r.MTU, Src: r.Src,
	}, engine.RouteOK
}

// Generation never changes.
func (WayTo) Generation() uint64 { return 1 }
