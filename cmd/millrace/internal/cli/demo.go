package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/demo"
)

// demoTimeMin is the shortest time that still gives each measurement a few milliseconds.
const demoTimeMin = time.Second

func (a *app) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show it on this machine, without a NIC: AF_XDP beside kernel TCP (root)",
		Long: `Demo makes two network namespaces joined by a veth pair, opens millrace on one end
through XDP and AF_XDP, and drives it with the kernel's TCP from the other. It compares the
SHA-256 of a transfer each way and measures throughput, latency and connection rate, with
kernel TCP on the same machine beside it. Everything it made is gone when it ends, and the
machine's own interfaces are never touched. It takes root and about half a minute.`,
		Example: `  sudo millrace demo
  sudo millrace demo --time 5s --json`,
		Args: arguments(0, ""),
	}
	asJSON := cmd.Flags().Bool("json", false, "print one object")
	d := cmd.Flags().Duration("time", demo.TimeDefault, "how long to measure, all measurements together, `DUR`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *d < demoTimeMin || *d > bench.TimeMax {
			return usagef("--time %v is not from %v to %v", *d, demoTimeMin, bench.TimeMax)
		}
		return a.demo(cmd.Context(), *d, *asJSON)
	}
	return cmd
}

func (a *app) demo(ctx context.Context, d time.Duration, asJSON bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: find the program itself: %w", err)
	}
	cfg := demo.Config{Client: []string{self, "peer"}, Time: d, Log: a.log}
	if terminal(a.stderr) {
		cfg.Progress = func(what string) { fmt.Fprintf(a.stderr, "\r\033[K%s", what) }
		defer fmt.Fprint(a.stderr, "\r\033[K")
	}
	r, err := demo.Run(ctx, cfg)
	if errors.Is(err, demo.ErrPrivilege) {
		return fmt.Errorf("%w: sudo %s demo", err, self)
	}
	if err != nil {
		return err
	}
	if cfg.Progress != nil {
		fmt.Fprint(a.stderr, "\r\033[K")
	}
	if asJSON {
		a.printJSON(r)
		return nil
	}
	return r.WriteText(a.stdout)
}

// peerCommand is the other process of a measurement. It is no command for people.
func (a *app) peerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "peer",
		Short:   "Run workloads over kernel TCP for another millrace process",
		Example: `  echo '{"do":"run","address":"192.0.2.1:5001","workload":{"kind":"rr","size":1,"time":1000000000}}' | millrace peer`,
		Args:    arguments(0, ""),
		Hidden:  true,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var dialer net.Dialer
		agent := bench.Agent{Dial: dialer.DialContext}
		return agent.Answer(cmd.Context(), a.stdin, a.stdout)
	}
	return cmd
}
