package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/raw"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/stack"
)

// benchEnd is the flags of one end of a measurement.
type benchEnd struct {
	*nic
	listen, web address
	pipe        int
	raw         string
	rawEnds     choice
	serve       choice
}

// How an end serves, and dials, on this stack.
const (
	byGoroutines = "goroutines" // one a connection, by copies
	inPlace      = "in-place"   // likewise, transfers by leases and reservations
	byHandlers   = "handlers"   // on the workers, transfers in place
)

// What the ends without TCP are.
const (
	rawSleeps   = "sleep"   // both, and they sleep while there is nothing to do
	rawSpins    = "spin"    // both, and they don't
	rawReflects = "reflect" // one, which spins, and answers kernel TCP
)

// benchEndCommand is the process of one end of a measurement, or of both where they cannot
// be apart. It is no command for people.
func (a *app) benchEndCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "end",
		Short:   "Be an end of a measurement that another millrace process makes",
		Example: `  echo '{"do":"hello"}' | millrace bench end --pipe 1500`,
		Args:    arguments(0, ""),
		Hidden:  true,
	}
	e := benchEnd{
		nic: a.nicFlags(cmd), serve: choice{value: byGoroutines, of: []string{byGoroutines, inPlace, byHandlers}},
		rawEnds: choice{value: rawSleeps, of: []string{rawSleeps, rawSpins, rawReflects}},
	}
	f := cmd.Flags()
	f.Var(&e.listen, "listen", "serve workloads on `ADDR`; none: dial")
	f.Var(&e.web, "web", "serve the web on `ADDR` too")
	f.IntVar(&e.pipe, "pipe", 0, "be both ends of a pipe in memory with an MTU of `N`")
	f.StringVar(&e.raw, "raw", "", "be both ends of the lab `NAME`, without TCP")
	f.Var(&e.rawEnds, "raw-ends", "how: sleep|spin|reflect, which is one end for a client of kernel TCP at the other")
	f.Var(&e.serve, "serve", "how: goroutines|in-place|handlers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case e.pipe != 0:
			return e.overPipe(cmd.Context())
		case e.raw != "":
			return e.withoutTCP(cmd.Context())
		}
		return e.with(cmd.Context(), e.overNIC)
	}
	return cmd
}

func (e *benchEnd) overNIC(ctx context.Context, nw network.Network) error {
	agent := bench.Agent{
		Hello: bench.Hello{About: network.AboutOf(nw)}, Dial: nw.DialContext, InPlace: e.serve.value == inPlace,
	}
	if e.listen == "" {
		agent.Hello.About = "client " + agent.Hello.About
		return agent.Answer(ctx, e.app.stdin, e.app.stdout)
	}
	listen := nw.Listen
	if e.serve.value == byHandlers {
		on, ok := nw.(network.HandlerListener)
		if !ok {
			return usagef("--serve %s is for --stack millrace", byHandlers)
		}
		listen = func(ctx context.Context, network, address string) (net.Listener, error) {
			return on.ListenHandler(ctx, network, address, bench.OpenHandler)
		}
	}
	l, err := listen(ctx, "tcp", string(e.listen))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", e.listen, err)
	}
	var web net.Listener
	if e.web != "" {
		if web, err = nw.Listen(ctx, "tcp", string(e.web)); err != nil {
			return fmt.Errorf("listen on %s: %w", e.web, err)
		}
	}
	return agent.Serve(ctx, l, web, e.app.stdin, e.app.stdout)
}

func (e *benchEnd) overPipe(ctx context.Context) error {
	name, maker, err := e.app.table().Parse(e.cc)
	if err != nil {
		return usagef("--cc: %w", err)
	}
	cfg := stack.Config{Spin: e.spin.d, Congestion: func() congestion.Algorithm { return maker() }}
	p, err := testbed.NewPair(e.pipe, cfg, nil)
	if err != nil {
		return err
	}
	listen := p.Listen
	if e.serve.value == byHandlers {
		listen = func() (net.Listener, error) { return p.ListenHandler(bench.OpenHandler) }
	}
	l, err := listen()
	if err != nil {
		return errors.Join(err, p.Close())
	}
	agent := bench.Agent{
		Hello: bench.Hello{About: "both ends in one process, " + name}, Dial: p.B.DialContext,
		InPlace: e.serve.value == inPlace,
	}
	return errors.Join(agent.Serve(ctx, l, nil, e.app.stdin, e.app.stdout), p.Close())
}

func (e *benchEnd) withoutTCP(ctx context.Context) (err error) {
	l, err := lab.Find(e.raw)
	if err != nil {
		return err
	}
	mode, err := millrace.ParseMode(e.mode.value)
	if err != nil {
		return usagef("--mode: %w", err)
	}
	cfg := millrace.Config{Mode: mode, Log: e.app.log}
	if e.rawEnds.value == rawReflects {
		return e.reflect(ctx, l, cfg)
	}
	link := raw.Link{Spin: e.rawEnds.value == rawSpins}
	if link.A, err = raw.Open(l.A, l.B, l.MTU, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.A.Close()) }()
	if link.B, err = raw.Open(l.B, l.A, l.MTU, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.B.Close()) }()
	agent := bench.Agent{
		Hello: bench.Hello{About: "both ends in one process, " + link.A.About()},
		Run:   func(ctx context.Context, _ string, w bench.Workload) (bench.Result, error) { return link.Run(ctx, w) },
	}
	return agent.Answer(ctx, e.app.stdin, e.app.stdout)
}

// reflect answers kernel TCP without TCP.
func (e *benchEnd) reflect(ctx context.Context, l *lab.Lab, cfg millrace.Config) error {
	r, err := raw.OpenReflector(l.A, l.B, l.MTU, cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(ctx) }()
	agent := bench.Agent{Hello: bench.Hello{
		About: r.About(), Address: netip.AddrPortFrom(l.A.IP4.Addr(), raw.Port).String(),
	}}
	err = agent.Answer(ctx, e.app.stdin, e.app.stdout)
	cancel()
	return errors.Join(err, <-ended, r.Close())
}
