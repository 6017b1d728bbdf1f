// Package proxy joins connections that were accepted on one network with new ones on
// another.
package proxy

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/service"
	"github.com/millrace-tcp/millrace/cmd/millrace/internal/splice"
)

// DialWait is how long the far side may take to accept a connection.
const DialWait = 10 * time.Second

// Config says what to join. Dial and To are needed.
type Config struct {
	// Dial opens a connection to the far side.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	To   string // the far side, HOST:PORT

	Limit int // connections at once; 0: service.ConnsMax
	// Refused, if given, is told why the far side could not be connected to. Like Closed it may
	// be called by several goroutines at once.
	Refused func(err error)
	Closed  func(c net.Conn, octets int64, lasted time.Duration, err error)
}

// Serve accepts on l and joins each connection with one to the far side, until ctx ends or
// l fails; it closes l and the connections. A half-close is passed on as one, a reset as
// one; a far side that refuses resets the near one.
func Serve(ctx context.Context, l net.Listener, cfg Config) error {
	var buffers splice.Buffers
	s := service.Server{Limit: cfg.Limit, Closed: cfg.Closed}
	s.Handle = func(near net.Conn) (int64, error) {
		dialing, cancel := context.WithTimeout(ctx, DialWait)
		defer cancel()
		far, err := cfg.Dial(dialing, "tcp", cfg.To)
		if err != nil {
			splice.Reset(near)
			err = fmt.Errorf("proxy: connect to %s: %w", cfg.To, err)
			if cfg.Refused != nil && ctx.Err() == nil {
				cfg.Refused(err)
			}
			return 0, err
		}
		// The near side is closed by the server when ctx ends, and the far side with it.
		forth, back, err := buffers.Join(near, far)
		return forth + back, err
	}
	return s.Serve(ctx, l)
}
