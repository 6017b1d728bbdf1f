package cli

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/proxy"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/service"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/static"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "serve",
		Short: "Serve files or a classic service over the stack",
		Example: `  millrace serve http --listen :8080 --root /srv/www
  millrace serve echo --listen :7`,
	})
	cmd.AddCommand(
		a.httpCommand(),
		a.classicCommand("echo", "Send back what comes (RFC 862)", service.Echo, service.EchoOnWorker),
		a.classicCommand("discard", "Throw away what comes (RFC 863)", service.Discard, service.DiscardOnWorker),
		a.classicCommand("chargen", "Send characters without end (RFC 864)", service.Chargen, nil),
	)
	return cmd
}

func (a *app) httpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "http --listen :PORT --root DIR",
		Short: "Serve the files below a directory over HTTP/1.1",
		Example: `  millrace serve http --listen :8080 --root /srv/www
  millrace serve http --nic eth0 --listen 192.0.2.1:80 --root . -v`,
		Args: arguments(0, ""),
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	var listen address
	cmd.Flags().Var(&listen, "listen", "address to listen on, :PORT for all of the NIC's addresses")
	dir := cmd.Flags().String("root", "", "directory `DIR` to serve; nothing outside of it is, whatever links say")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := required(cmd, "listen", "root"); err != nil {
			return err
		}
		root, err := os.OpenRoot(*dir)
		if err != nil {
			return usagef("--root: %w", err)
		}
		defer root.Close()
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			l, err := n.listen(ctx, nw, string(listen))
			if err != nil {
				return err
			}
			return static.Serve(ctx, l, static.Handler(root), a.log)
		})
	}
	return cmd
}

// served is what is printed about a connection that was served.
type served struct {
	Remote        string  `json:"remote"`
	Bytes         int64   `json:"bytes"`
	Seconds       float64 `json:"seconds"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   *int64  `json:"retransmits"` // null: the stack does not know
	CC            string  `json:"cc"`
}

func newServed(nw network.Network, c net.Conn, octets int64, lasted time.Duration) served {
	s := served{Remote: c.RemoteAddr().String(), Bytes: octets, Seconds: lasted.Seconds()}
	if s.Seconds > 0 {
		s.BitsPerSecond = float64(octets) * 8 / s.Seconds
	}
	if info, ok := network.InfoOf(nw, c); ok {
		s.Retransmits, s.CC = &info.Retransmits, info.Congestion
	}
	return s
}

// classicCommand serves by a goroutine a connection or, where there is onWorker and --handler is
// given, on the workers.
func (a *app) classicCommand(name, short string, handler func() service.Handler, onWorker service.OnWorker) *cobra.Command {
	cmd := &cobra.Command{
		Use:     name + " --listen :PORT",
		Short:   short,
		Example: "  millrace serve " + name + " --nic eth0 --listen :7000 --json",
		Args:    arguments(0, ""),
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	var listen address
	cmd.Flags().Var(&listen, "listen", "address to listen on, :PORT for all of the NIC's addresses")
	asJSON := cmd.Flags().Bool("json", false, "print one object for each closed connection")
	limit := cmd.Flags().Int("limit", service.ConnsMax, "`N` connections at once; more wait to be accepted")
	direct := new(bool)
	if onWorker != nil {
		direct = cmd.Flags().Bool("handler", false, "have the stack's workers answer themselves, without a goroutine for each connection")
		cmd.MarkFlagsMutuallyExclusive("handler", "json")
		cmd.MarkFlagsMutuallyExclusive("handler", "limit")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := required(cmd, "listen"); err != nil {
			return err
		}
		if *limit < 1 {
			return usagef("--limit %d is less than 1", *limit)
		}
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			if *direct {
				return n.serveOnWorkers(ctx, nw, string(listen), onWorker)
			}
			l, err := n.listen(ctx, nw, string(listen))
			if err != nil {
				return err
			}
			s := service.Server{Handle: handler(), Limit: *limit}
			s.Closed = func(c net.Conn, octets int64, lasted time.Duration, err error) {
				if *asJSON {
					a.printJSON(newServed(nw, c, octets, lasted))
				}
				a.log.Debug("closed", "remote", c.RemoteAddr().String(), "octets", octets, "lasted", lasted, "cause", err)
			}
			return s.Serve(ctx, l)
		})
	}
	return cmd
}

// serveOnWorkers serves by handlers until ctx ends, and then closes their connections.
func (n *nic) serveOnWorkers(ctx context.Context, nw network.Network, address string, open service.OnWorker) error {
	on, ok := nw.(network.HandlerListener)
	if !ok {
		return usagef("--handler is for --stack millrace")
	}
	var all service.Conns
	l, err := on.ListenHandler(ctx, "tcp", address, all.Track(open))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	n.app.log.Info("listening", "address", l.Addr().String(), "stack", n.stack.value)
	<-ctx.Done()
	err = l.Close()
	all.Close()
	return err
}

func (a *app) proxyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "proxy --listen :PORT --to HOST:PORT",
		Short: "Accept on the stack and pass on to the kernel's network",
		Long: `Proxy accepts connections on the stack and joins each with a new one over the kernel's
TCP. A half-close is passed on as a half-close, a reset as a reset.`,
		Example: "  millrace proxy --nic eth0 --listen :6379 --to 127.0.0.1:6379",
		Args:    arguments(0, ""),
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	var listen address
	cmd.Flags().Var(&listen, "listen", "address to listen on, :PORT for all of the NIC's addresses")
	to := cmd.Flags().String("to", "", "where to connect to over the kernel's network, `HOST:PORT`")
	limit := cmd.Flags().Int("limit", service.ConnsMax, "`N` connections at once; more wait to be accepted")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := required(cmd, "listen", "to"); err != nil {
			return err
		}
		if err := checkAddress(*to); err != nil {
			return usagef("--to: %w", err)
		}
		if *limit < 1 {
			return usagef("--limit %d is less than 1", *limit)
		}
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			l, err := n.listen(ctx, nw, string(listen))
			if err != nil {
				return err
			}
			var dialer net.Dialer
			var warned seldom
			return proxy.Serve(ctx, l, proxy.Config{
				Dial: dialer.DialContext, To: *to, Limit: *limit,
				Refused: func(err error) {
					if warned.may() {
						a.log.Warn("a connection was reset for want of the far side", "cause", err)
					}
				},
				Closed: func(c net.Conn, octets int64, lasted time.Duration, err error) {
					a.log.Debug("closed", "remote", c.RemoteAddr().String(), "octets", octets, "lasted", lasted, "cause", err)
				},
			})
		})
	}
	return cmd
}

// warnEvery is how often clients can bring about the same warning.
const warnEvery = time.Second

// seldom bounds what clients have logged. The zero value is ready, for many goroutines.
type seldom struct {
	mu   sync.Mutex
	next time.Time
}

// may says whether it is time again.
func (s *seldom) may() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Before(s.next) {
		return false
	}
	s.next = now.Add(warnEvery)
	return true
}
