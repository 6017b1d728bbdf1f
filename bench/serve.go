package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
)

// HTTPAnswer is what the web server of a measurement answers.
const HTTPAnswer = "hello, world\n"

// Serve serves workloads on l, unless that has handlers of its own, and, if it is not nil, the web on web, while it answers what
// is asked on in and out. It returns when in or ctx ends, or serving fails, and closes both
// listeners.
func (a *Agent) Serve(ctx context.Context, l, web net.Listener, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.Hello.Address = l.Addr().String()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() {
		s := Server{InPlace: a.InPlace}
		if err := s.Serve(ctx, l); err != nil {
			cancel(err)
		}
	})
	if web != nil {
		a.Hello.HTTP = web.Addr().String()
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, HTTPAnswer)
		})}
		all.Go(func() {
			if err := srv.Serve(web); !errors.Is(err, http.ErrServerClosed) {
				cancel(fmt.Errorf("bench: serve the web: %w", err))
			}
		})
		defer func() { _ = srv.Close() }()
	}
	err := a.Answer(ctx, in, out)
	cancel(err)
	return err
}
