// Peers is an end of a measurement, as "millrace bench end" is, on other stacks than this
// module's: gVisor's netstack over its AF_XDP endpoint, over AF_PACKET and over its pipe in
// memory. It is a module of its own, so that nobody who uses millrace carries them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"

	"github.com/millrace-tcp/millrace/bench"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
}

// config is the command line.
type config struct {
	stack, nic, mode, listen, web string
	mtu                           int
}

func run(ctx context.Context, args []string) error {
	var c config
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.StringVar(&c.stack, "stack", "", "xdp, packet or pipe")
	f.StringVar(&c.nic, "nic", "", "interface, whose addresses are taken off the kernel")
	f.StringVar(&c.mode, "mode", "native", "where the XDP program is attached: native or generic")
	f.StringVar(&c.listen, "listen", "", "serve workloads on :PORT")
	f.StringVar(&c.web, "web", "", "serve the web on :PORT")
	f.IntVar(&c.mtu, "mtu", 1500, "of the pipe")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch c.stack {
	case "pipe":
		return overPipe(ctx, c)
	case "xdp", "packet":
		return overNIC(ctx, c)
	}
	return fmt.Errorf("there is no stack %q: xdp, packet, pipe", c.stack)
}

// overPipe is both ends of a pipe.
func overPipe(ctx context.Context, c config) error {
	server, client, err := openPipe(uint32(c.mtu))
	if err != nil {
		return err
	}
	defer server.Close()
	defer client.Close()
	l, err := server.listen("5001")
	if err != nil {
		return err
	}
	agent := bench.Agent{
		Hello: bench.Hello{About: version() + ", both ends in one process"},
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			return client.dial(ctx, address)
		},
	}
	return agent.Serve(ctx, l, nil, os.Stdin, os.Stdout)
}

// overNIC serves on an interface.
func overNIC(ctx context.Context, c config) (err error) {
	n, about, err := openNIC(c.nic, c.stack, c.mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	l, err := n.listen(strings.TrimPrefix(c.listen, ":"))
	if err != nil {
		return err
	}
	web, err := n.listen(strings.TrimPrefix(c.web, ":"))
	if err != nil {
		return err
	}
	agent := bench.Agent{Hello: bench.Hello{About: version() + ", " + about}}
	return agent.Serve(ctx, l, web, os.Stdin, os.Stdout)
}

// version is that of netstack.
func version() string {
	const module = "gvisor.dev/gvisor"
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, d := range info.Deps {
			if d.Path == module {
				return "gVisor " + d.Version
			}
		}
	}
	return "gVisor"
}
