package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/inspect"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/metrics"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/internal/pin"
)

// nic is the flags of every command that opens a NIC.
type nic struct {
	app *app
	cmd *cobra.Command

	name    string
	cc      string
	ecn     choice
	mode    choice
	stack   choice
	queues  int
	poll    bool
	setting choice
	spin    spin
	pin     processors
	pcap    string
	trace   string
	metrics string
	verbose bool

	keepAlive net.KeepAliveConfig
}

// keepAlive is that of what may run for long: peers that are switched off, or whose network
// forgets them, say no farewell, and would be held for ever. They are noticed after three
// minutes, and 10,000 idle ones cost 170 probes a second.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 8}

// nicFlags adds the flags to a command.
func (a *app) nicFlags(cmd *cobra.Command) *nic {
	n := a.portFlags(cmd)
	cmd.Flags().Var(&n.stack, "stack", "TCP to run on, kernel for comparison: millrace|kernel")
	return n
}

// portFlags adds the flags but for --stack.
func (a *app) portFlags(cmd *cobra.Command) *nic {
	n := &nic{
		app: a, cmd: cmd,
		ecn:   choice{value: "passive", of: []string{"passive", "off", "classic", "accurate"}},
		mode:  choice{value: "auto", of: []string{"auto", "zerocopy", "copy", "generic"}},
		stack: choice{value: "millrace", of: []string{"millrace", "kernel"}},

		setting: choice{value: "auto", of: []string{"auto", "keep", "steer"}},
	}
	f := cmd.Flags()
	f.StringVar(&n.name, "nic", "", "interface `IF`; what millrace does not claim stays with the kernel (default: the one with a default route)")
	f.StringVar(&n.cc, "cc", "", "congestion control `NAME`, or with options NAME?k=v&k=v, see millrace cc list (default "+catalog.Default+")")
	f.Var(&n.ecn, "ecn", "congestion marks to ask for: passive|off|classic|accurate; passive grants what the peer asks for, and asks for accurate where --cc goes by marks (dctcp)")
	f.Var(&n.mode, "mode", "how frames pass: auto|zerocopy|copy|generic; auto takes the best that works and says which")
	f.IntVar(&n.queues, "queues", 0, "receive queues to serve, `N` of them from the first on, 0 for all; what comes for us on others is dropped")
	f.BoolVar(&n.poll, "busy-poll", false, "have the workers drive the receive processing of the device, with its interrupts put off")
	f.Var(&n.setting, "settings", "of the interface: auto|keep|steer; auto changes those that help (with --queues, RSS to the queues that are served), which is said, until the end; steer has packets of a veth steered too, for bulk: short connections suffer")
	f.Var(&n.spin, "spin", "how long an idle worker, or a reader whose peer is to answer, spins before it sleeps: a duration such as 50us, or inf (default 0s for workers, and for readers up to 200us while answers come within it, as measured best)")
	f.Var(&n.pin, "pin", "processors to keep the workers on, one a queue: auto, or a list such as 0-3,8; for processors that nobody else needs (default: where the scheduler puts them)")
	f.StringVar(&n.pcap, "pcap", "", "write what crosses the port to `FILE` as pcapng")
	f.StringVar(&n.trace, "trace", "", "record what happens to the windows of connections into `DIR`: tables, qlog, events for sim replay, and a page with plots")
	f.StringVar(&n.metrics, "metrics", "", "serve Prometheus metrics (/metrics) and pprof (/debug/pprof/) on `ADDR` of the kernel's network")
	f.BoolVarP(&n.verbose, "verbose", "v", false, "debug log")
	return n
}

// config checks the flags and makes of them what the network is opened with.
func (n *nic) config() (network.Config, error) {
	if n.verbose {
		n.app.level.Set(slog.LevelDebug)
	}
	if n.queues < 0 {
		return network.Config{}, usagef("--queues %d is negative", n.queues)
	}
	if n.metrics != "" {
		if err := checkAddress(n.metrics); err != nil {
			return network.Config{}, usagef("--metrics: %w", err)
		}
	}
	cfg := network.Config{
		NIC: n.name, Congestion: n.cc, Algorithms: n.app.table(), ECN: n.ecn.value, Mode: n.mode.value, Queues: n.queues,
		BusyPoll: n.poll, KeepSettings: n.setting.value == "keep", SteerFlows: n.setting.value == "steer",
		Spin: n.spin.d, Pin: string(n.pin), PCAP: n.pcap, Trace: n.trace, Log: n.app.log, KeepAlive: n.keepAlive,
	}
	if n.stack.value == "kernel" {
		for _, f := range []string{"nic", "ecn", "mode", "queues", "busy-poll", "settings", "spin", "pin", "pcap", "trace"} {
			if n.cmd.Flags().Changed(f) {
				return cfg, usagef("--%s means nothing with --stack kernel", f)
			}
		}
		return cfg, nil
	}
	if n.cc != "" {
		if err := n.app.checkCC(n.cc); err != nil {
			return cfg, usagef("--cc: %w", err)
		}
	}
	if cfg.NIC == "" {
		name, err := network.DefaultNIC()
		if err != nil {
			return cfg, usagef("--nic: %w", err)
		}
		cfg.NIC = name
	} else if _, err := net.InterfaceByName(cfg.NIC); err != nil {
		return cfg, usagef("--nic: there is no interface %q, there are %s", cfg.NIC, interfaces())
	}
	return cfg, nil
}

// flags returns those of the flags that were given, for the command line of a process that
// opens the NIC in place of this one, after a check.
func (n *nic) flags(names ...string) (given []string, err error) {
	if n.verbose {
		n.app.level.Set(slog.LevelDebug)
	}
	if n.queues < 0 {
		return nil, usagef("--queues %d is negative", n.queues)
	}
	if n.cc != "" {
		if err := n.app.checkCC(n.cc); err != nil {
			return nil, usagef("--cc: %w", err)
		}
	}
	for _, name := range names {
		if f := n.cmd.Flags().Lookup(name); f.Changed {
			given = append(given, "--"+name+"="+f.Value.String())
		}
	}
	return given, nil
}

// interfaces lists the names of the interfaces.
func interfaces() string {
	all, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// with opens the network, runs f on it, and closes it.
func (n *nic) with(ctx context.Context, f func(ctx context.Context, nw network.Network) error) error {
	cfg, err := n.config()
	if err != nil {
		return err
	}
	open := n.app.open
	if n.stack.value == "kernel" {
		open = func(cfg network.Config) (network.Network, error) { return network.Kernel(cfg), nil }
	}
	nw, err := open(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if n.metrics != "" {
		addr, merr := metrics.Start(ctx, n.metrics, nw, func(err error) { n.app.log.Error("metrics", "cause", err) })
		if merr != nil {
			_ = nw.Close()
			return merr
		}
		n.app.log.Info("metrics", "address", addr)
	}
	defer n.show(nw)()
	endWith(ctx, cancel, nw)
	err = f(ctx, nw)
	if m, ok := nw.(mortal); ok && err == nil {
		err = m.Err()
	}
	if cerr := nw.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("close the network: %w", cerr)
	}
	return err
}

// mortal is a network that may end by itself.
type mortal interface {
	Gone() <-chan struct{}
	Err() error
}

// endWith cancels ctx when the network ends: who serves by handlers waits for nothing else.
func endWith(ctx context.Context, cancel context.CancelFunc, nw network.Network) {
	if m, ok := nw.(mortal); ok {
		go func() {
			select {
			case <-m.Gone():
				cancel()
			case <-ctx.Done():
			}
		}()
	}
}

// show lets millrace ss look at the network, and returns what ends that. A user who may
// not have the socket loses the view, and nothing else.
func (n *nic) show(nw network.Network) (end func()) {
	source, ok := nw.(inspect.Source)
	if !ok {
		return func() {}
	}
	s, err := inspect.Serve(inspect.Dir(), source)
	if err != nil {
		n.app.log.Warn("millrace ss will not see this instance", "cause", err)
		return func() {}
	}
	return func() {
		if err := s.Close(); err != nil {
			n.app.log.Debug("inspect", "cause", err)
		}
	}
}

// listen listens and says so.
func (n *nic) listen(ctx context.Context, nw network.Network, address string) (net.Listener, error) {
	l, err := nw.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	n.app.log.Info("listening", "address", l.Addr().String(), "stack", n.stack.value)
	return l, nil
}

// choice is a flag that takes one of a few words.
type choice struct {
	value string
	of    []string
}

// String returns the word.
func (c *choice) String() string { return c.value }

// Type is the placeholder in the help.
func (c *choice) Type() string { return "WORD" }

// Set takes a word.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("must be one of %s", strings.Join(c.of, ", "))
	}
	c.value = s
	return nil
}

// spin is a flag that takes a duration, or "inf".
type spin struct {
	d     time.Duration
	given bool
}

// String returns the value as it is given.
func (s *spin) String() string {
	switch {
	case !s.given:
		return ""
	case s.d == network.Forever:
		return "inf"
	case s.d < 0:
		return "0s"
	}
	return s.d.String()
}

// Type is the placeholder in the help.
func (s *spin) Type() string { return "DUR" }

// Set takes a value.
func (s *spin) Set(v string) error {
	s.given = true
	if v == "inf" {
		s.d = network.Forever
		return nil
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		return fmt.Errorf("must be a duration such as 50us, or inf")
	}
	s.d = d
	if d == 0 {
		s.d = -1 // 0 is the default, see network.Config
	}
	return nil
}

// processors is a flag that takes a list of processors, or "auto".
type processors string

// String returns the list.
func (p *processors) String() string { return string(*p) }

// Type is the placeholder in the help.
func (p *processors) Type() string { return "CPUS" }

// Set takes a list.
func (p *processors) Set(s string) error {
	if s != pin.Auto {
		if _, err := pin.ParseList(s); err != nil {
			return fmt.Errorf("must be auto or a list such as 0-3,8")
		}
	}
	*p = processors(s)
	return nil
}

// address is a flag that takes an address to listen on: ":PORT" or "IP:PORT".
type address string

// String returns the address.
func (a *address) String() string { return string(*a) }

// Type is the placeholder in the help.
func (a *address) Type() string { return "ADDR" }

// Set takes an address.
func (a *address) Set(s string) error {
	if err := checkAddress(s); err != nil {
		return err
	}
	*a = address(s)
	return nil
}

// checkAddress says what is wrong with HOST:PORT, where HOST may be missing.
func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address such as :8080 or 192.0.2.1:8080", s)
	}
	_, err = parsePort(port)
	return err
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is not a port from 0 to 65535", s)
	}
	return int(n), nil
}
