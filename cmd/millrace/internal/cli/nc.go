package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/splice"
)

func (a *app) ncCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nc HOST PORT | nc -l PORT",
		Short: "Join standard input and output with a connection over the stack",
		Long: `Nc connects, or with -l waits for one connection, sends standard input and prints what
comes. The end of standard input is sent as a half-close; nc ends when the peer has ended
too.`,
		Example: `  echo hello | millrace nc 192.0.2.1 7
  millrace nc -l 9000 > file`,
	}
	n := a.nicFlags(cmd)
	n.keepAlive = keepAlive
	listen := cmd.Flags().BoolP("listen", "l", false, "wait for one connection")
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if *listen {
			return arguments(1, "-l and a PORT")(cmd, args)
		}
		return arguments(2, "HOST and PORT, or -l and a PORT")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		port := args[len(args)-1]
		if _, err := parsePort(port); err != nil {
			return usageError{err}
		}
		return n.with(cmd.Context(), func(ctx context.Context, nw network.Network) error {
			if *listen {
				c, err := n.acceptOne(ctx, nw, ":"+port)
				if err != nil {
					return err
				}
				return a.converse(ctx, c)
			}
			c, err := network.DialAny(ctx, nw, "tcp", net.JoinHostPort(args[0], port))
			if err != nil {
				return fmt.Errorf("connect to %s port %s: %w", args[0], port, err)
			}
			return a.converse(ctx, c)
		})
	}
	return cmd
}

// acceptOne waits for one connection.
func (n *nic) acceptOne(ctx context.Context, nw network.Network, address string) (net.Conn, error) {
	l, err := n.listen(ctx, nw, address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	c, err := l.Accept()
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	n.app.log.Debug("accepted", "remote", c.RemoteAddr().String())
	return c, nil
}

// converse joins a connection with standard input and output, until both directions have
// ended. At a terminal the end of the peer is enough: nobody waits for a person to end a
// conversation that is over.
func (a *app) converse(ctx context.Context, c net.Conn) error {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	var buffers splice.Buffers
	sent := make(chan error, 1)
	go func() {
		_, err := buffers.Copy(c, a.stdin)
		if err == nil {
			err = splice.CloseWrite(c)
		}
		sent <- err
	}()
	_, err := buffers.Copy(a.stdout, c)
	if err != nil {
		return fmt.Errorf("nc: %w", err)
	}
	if terminal(a.stdin) {
		return nil
	}
	select {
	case err = <-sent:
	case <-ctx.Done():
		return ctx.Err()
	}
	var write *splice.WriteError
	if errors.As(err, &write) && errors.Is(err, net.ErrClosed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("nc: %w", err)
	}
	return nil
}
