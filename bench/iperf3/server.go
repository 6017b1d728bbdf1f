package iperf3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Server serves tests, one at a time, as iperf3 does. Everything may be zero.
type Server struct {
	// Info tells about a connection what its transport knows; nil means nothing.
	Info func(net.Conn) (Info, bool)
	// SetCongestion chooses the congestion control that a client asks for; nil ignores
	// such wishes. An error is logged and the test goes on, as with iperf3.
	SetCongestion func(c net.Conn, name string) error
	// ChooseCongestion, if given, is called in place of SetCongestion: before the data
	// connections come, with what a client asks for, and with "" after such a test.
	// Connections that the stack opens in between are to use it.
	ChooseCongestion func(name string) error

	Interval time.Duration // between reports; 0: none
	OneOff   bool          // serve one test, then end

	Out  io.Writer // the reports; nil: none
	JSON bool      // Out gets one JSON object a test, instead of text

	// QuietMax is how long a test may go on without a single octet moving; 0: 120 s,
	// as --rcv-timeout of iperf3. It ends the test of a client that has vanished.
	QuietMax time.Duration
	// Log tells what went wrong with a client; nil: slog.Default.
	Log *slog.Logger

	mu    sync.Mutex
	cur   *session
	tests int // begun so far
}

// newcomersMax bounds the connections whose cookie has not come yet: both directions of
// the largest test, and as many again of somebody else's. More are closed unheard.
const newcomersMax = 4 * StreamsMax

// newcomer is a connection that was accepted, with its place in the order of them.
type newcomer struct {
	net.Conn
	order int
}

// Serve accepts on l and serves tests until ctx ends, l fails, or the one test of OneOff
// is over; it closes l. It returns nil after ctx ended, and the failure of the one test.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	s.announce(l)
	over := make(chan error, 1) // the result of the test of OneOff
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, newcomersMax)
	for order := 0; ; order++ {
		c, err := l.Accept()
		if err != nil {
			stopped := ctx.Err() != nil
			cancel()
			select {
			case result := <-over:
				return result
			default:
			}
			if stopped {
				return nil
			}
			return fmt.Errorf("iperf3: accept: %w", err)
		}
		select {
		case room <- struct{}{}:
		default:
			_ = c.Close()
			continue
		}
		all.Go(func() {
			ck, err := greet(ctx, c)
			<-room
			if err != nil {
				s.log().Debug("connection without a cookie", "remote", c.RemoteAddr(), "cause", err)
				_ = c.Close()
				return
			}
			if test := s.route(newcomer{c, order}, ck); test != nil {
				err := test.serve(ctx)
				s.leave(test, err, l)
				if s.OneOff {
					over <- err
					_ = l.Close()
				}
			}
		})
	}
}

// greet reads the cookie that every connection begins with.
func greet(ctx context.Context, c net.Conn) (ck cookie, err error) {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := c.SetReadDeadline(time.Now().Add(controlWait)); err != nil {
		return ck, err
	}
	if _, err := io.ReadFull(c, ck[:]); err != nil {
		return ck, err
	}
	return ck, c.SetReadDeadline(time.Time{})
}

// finishingMax is how long a newcomer waits for a test that is as good as over. The client
// of that test knows that it is over before the server does, and may come again.
const finishingMax = time.Second

// leavingMax is how long it waits for any other test to end: the message of a client that
// has given up may still be on its way when the next client comes.
const leavingMax = 100 * time.Millisecond

// route finds out whose a connection is: the next test's, which is returned for the caller
// to serve, the present one's, or nobody's, which gets ACCESS_DENIED.
func (s *Server) route(c newcomer, ck cookie) *session {
	came := time.Now()
	for {
		s.mu.Lock()
		cur := s.cur
		if cur == nil && !(s.OneOff && s.tests > 0) {
			s.tests++
			cur = newSession(s, c, ck)
			s.cur = cur
			s.mu.Unlock()
			return cur
		}
		if cur != nil && cur.creating && cur.cookie == ck && len(cur.arrivals) < cap(cur.arrivals) {
			cur.arrivals <- c // under the lock, so there is room
			s.mu.Unlock()
			return nil
		}
		patience := leavingMax
		if cur != nil && cur.finishing {
			patience = finishingMax
		}
		s.mu.Unlock()
		if left := patience - time.Since(came); cur != nil && left > 0 {
			cur.await(left)
			continue
		}
		s.log().Debug("busy", "remote", c.RemoteAddr())
		_ = control{c}.sendState(stateAccessDenied) // it may be gone
		_ = c.Close()
		return nil
	}
}

// await waits for a test to be over, or for as long as it has patience.
func (t *session) await(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.over:
	case <-timer.C:
	}
}

// leave ends a test: the server is free again.
func (s *Server) leave(t *session, err error, l net.Listener) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log().Warn("test failed", "remote", t.ctl.RemoteAddr(), "cause", err)
	}
	s.mu.Lock()
	s.cur = nil
	s.mu.Unlock()
	close(t.over)
	if !s.OneOff && !errors.Is(err, context.Canceled) {
		s.announce(l)
	}
}

// announce writes that the server is ready.
func (s *Server) announce(l net.Listener) {
	if s.Out == nil || s.JSON {
		return
	}
	_, port := hostPort(l.Addr())
	s.mu.Lock()
	n := s.tests + 1
	s.mu.Unlock()
	const line = "-----------------------------------------------------------"
	fmt.Fprintf(s.Out, "%s\nServer listening on %d (test #%d)\n%s\n", line, port, n, line)
}

func (s *Server) log() *slog.Logger {
	if s.Log != nil {
		return s.Log
	}
	return slog.Default()
}

func (s *Server) quietMax() time.Duration {
	if s.QuietMax > 0 {
		return s.QuietMax
	}
	return 120 * time.Second
}
