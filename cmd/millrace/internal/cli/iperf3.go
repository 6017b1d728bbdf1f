package cli

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/bench/iperf3"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
)

// iperf is the flags of the command, which are iperf3's own.
type iperf struct {
	server bool
	client string
	port   uint16
	asJSON bool
	every  float64
	oneOff bool

	seconds, omit               int
	bytes, blocks, length       string
	window, bitrate, congestion string
	parallel                    int
	reverse, bidir, noDelay     bool
	title                       string
}

// clientOnly are the flags that a server has no use for.
var clientOnly = []string{"time", "bytes", "blockcount", "length", "window", "bitrate", "congestion",
	"parallel", "reverse", "bidir", "no-delay", "omit", "title"}

func (a *app) iperf3Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "iperf3 {-s | -c HOST}",
		Short: "Measure throughput; a stock iperf3 3.x can be the other end",
		Example: `  millrace iperf3 -s --nic eth0
  millrace iperf3 -c 192.0.2.1 -t 5 -P 4 -R -J`,
		Args: arguments(0, ""),
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	var o iperf
	f := cmd.Flags()
	f.BoolVarP(&o.server, "server", "s", false, "serve tests")
	f.StringVarP(&o.client, "client", "c", "", "run a test with the server `HOST`")
	f.Uint16VarP(&o.port, "port", "p", iperf3.DefaultPort, "`PORT` of the server")
	f.BoolVarP(&o.asJSON, "json", "J", false, "print iperf3's JSON")
	f.Float64VarP(&o.every, "interval", "i", 1, "`SECONDS` between reports, 0 for none")
	f.BoolVarP(&o.oneOff, "one-off", "1", false, "serve one test, then end")
	f.IntVarP(&o.seconds, "time", "t", 10, "`SECONDS` to send for")
	f.StringVarP(&o.bytes, "bytes", "n", "", "octets to send in place of -t, `N[KMG]`")
	f.StringVarP(&o.blocks, "blockcount", "k", "", "blocks to send in place of -t, `N[KMG]`")
	f.StringVarP(&o.length, "length", "l", "128K", "length of a block, `N[KMG]`")
	f.StringVarP(&o.window, "window", "w", "", "socket buffers where the stack has them, `N[KMG]`")
	f.StringVarP(&o.bitrate, "bitrate", "b", "", "bits a second each stream sends, `N[KMG]`")
	f.StringVarP(&o.congestion, "congestion", "C", "", "congestion control `NAME` of the test: the server is asked for it, and it is ours where millrace has it (default: that of --cc)")
	f.IntVarP(&o.parallel, "parallel", "P", 1, "`N` streams each way")
	f.BoolVarP(&o.reverse, "reverse", "R", false, "the server sends")
	f.BoolVar(&o.bidir, "bidir", false, "both send")
	f.BoolVarP(&o.noDelay, "no-delay", "N", false, "send small segments at once")
	f.IntVarP(&o.omit, "omit", "O", 0, "`SECONDS` at the start that do not count")
	f.StringVarP(&o.title, "title", "T", "", "`NAME` of the test, sent to the server")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case o.server == (o.client != ""):
			return usagef("iperf3 needs either -s or -c HOST (see %s --help)", cmd.CommandPath())
		case o.every < 0 || o.every > 60:
			return usagef("-i %v is not from 0 to 60 seconds", o.every)
		case o.server:
			for _, name := range clientOnly {
				if cmd.Flags().Changed(name) {
					return usagef("--%s is for a client (-c)", name)
				}
			}
			return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
				return n.iperf3Server(ctx, nw, &o)
			})
		case o.oneOff:
			return usagef("--one-off is for a server (-s)")
		}
		c, err := o.newClient(cmd)
		if err != nil {
			return err
		}
		n.congestionFor(&o)
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			return n.iperf3Client(ctx, nw, c, &o)
		})
	}
	return cmd
}

func (o *iperf) interval() time.Duration { return time.Duration(o.every * float64(time.Second)) }

// congestionFor makes -C our own congestion control too, as iperf3 does, unless --cc says
// something else. A name that only the server has is no mistake: with -R it is the sender.
func (n *nic) congestionFor(o *iperf) {
	if o.congestion == "" || n.cc != "" {
		return
	}
	if err := n.app.checkCC(o.congestion); err != nil && n.stack.value != "kernel" {
		n.app.log.Warn("congestion control is not ours, only the server is asked for it", "name", o.congestion, "cause", err)
		return
	}
	n.cc = o.congestion
}

func (n *nic) iperf3Server(ctx context.Context, nw network.Network, o *iperf) error {
	l, err := nw.Listen(ctx, "tcp", ":"+strconv.Itoa(int(o.port)))
	if err != nil {
		return err
	}
	s := &iperf3.Server{
		Info: infoOf(nw), SetCongestion: network.SetCongestion, Interval: o.interval(),
		OneOff: o.oneOff, Out: n.app.stdout, JSON: o.asJSON, Log: n.app.log,
	}
	if chooser, ok := nw.(network.Chooser); ok {
		s.ChooseCongestion = chooser.ChooseCongestion
	}
	return s.Serve(ctx, l)
}

func (n *nic) iperf3Client(ctx context.Context, nw network.Network, c *iperf3.Client, o *iperf) error {
	if c.Congestion == "" {
		c.Congestion, _, _ = strings.Cut(n.cc, "?")
	}
	c.Dial = func(ctx context.Context, nt, address string) (net.Conn, error) {
		return network.DialAny(ctx, nw, nt, address)
	}
	c.Info, c.Out, c.JSON = infoOf(nw), n.app.stdout, o.asJSON
	_, err := c.Run(ctx)
	return err
}

// infoOf hands what the stack tells to package iperf3.
func infoOf(nw network.Network) func(c net.Conn) (iperf3.Info, bool) {
	return func(c net.Conn) (iperf3.Info, bool) {
		info, ok := network.InfoOf(nw, c)
		return iperf3.Info(info), ok
	}
}

// newClient makes a test of the flags.
func (o *iperf) newClient(cmd *cobra.Command) (*iperf3.Client, error) {
	c := &iperf3.Client{
		Host: o.client, Port: int(o.port), Parallel: o.parallel, Reverse: o.reverse, Bidir: o.bidir,
		Omit: time.Duration(o.omit) * time.Second, Interval: o.interval(), NoDelay: o.noDelay,
		Congestion: o.congestion, Title: o.title,
	}
	var length, window int64
	for _, size := range []struct {
		name, value string
		into        *int64
	}{
		{"bytes", o.bytes, &c.Bytes}, {"blockcount", o.blocks, &c.Blocks},
		{"length", o.length, &length}, {"window", o.window, &window},
	} {
		if size.value == "" {
			continue
		}
		v, err := iperf3.ParseSize(size.value)
		if err != nil {
			return nil, usagef("--%s: %w", size.name, err)
		}
		*size.into = v
	}
	if length < 1 || length > iperf3.BlockSizeMax {
		return nil, usagef("--length %s is not from 1 to %d", o.length, iperf3.BlockSizeMax)
	}
	if window > 512<<20 {
		return nil, usagef("--window %s is more than 512M", o.window)
	}
	if o.parallel < 1 {
		return nil, usagef("--parallel %d is less than 1", o.parallel)
	}
	c.BlockSize, c.Window = int(length), int(window)
	if o.bitrate != "" {
		v, err := iperf3.ParseRate(o.bitrate)
		if err != nil {
			return nil, usagef("--bitrate: %w", err)
		}
		c.Bandwidth = v
	}
	if c.Bytes == 0 && c.Blocks == 0 || cmd.Flags().Changed("time") {
		c.Time = time.Duration(o.seconds) * time.Second
	}
	if cmd.Flags().Changed("time") && o.seconds < 1 {
		return nil, usagef("--time %d is less than 1", o.seconds)
	}
	if err := c.Check(); err != nil {
		return nil, usageError{errors.New(strings.TrimPrefix(err.Error(), "iperf3: client asks for "))}
	}
	return c, nil
}
