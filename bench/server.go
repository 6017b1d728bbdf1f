package bench

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

// ConnsMax is how many connections a server serves at once; more wait to be accepted.
const ConnsMax = 16384

// patience is how long an end waits beyond the time of a workload before it gives up.
const patience = 15 * time.Second

// Server serves workloads. The zero value is ready.
type Server struct {
	// Log tells what went wrong with a connection; nil is slog.Default.
	Log *slog.Logger
	// InPlace has transfers looked at and made where they lie: by leases and reservations, which
	// the connections must have.
	InPlace bool

	idle groups
}

// Serve accepts on l and serves until ctx ends or l fails. It closes l and all connections,
// and returns nil after ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	log := s.Log
	if log == nil {
		log = slog.Default()
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer context.AfterFunc(ctx, s.idle.end)()
	room := make(chan struct{}, ConnsMax)
	for {
		c, err := l.Accept()
		if err != nil {
			_ = l.Close()
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("bench: accept: %w", err)
		}
		room <- struct{}{}
		all.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			err := s.serveConn(c, func() { _ = c.Close(); <-room })
			if errors.Is(err, errKept) {
				stop() // its group closes it
				return
			}
			_ = c.Close()
			<-room
			if stop() && err != nil {
				log.Warn("bench: workload failed", "remote", fmt.Sprint(c.RemoteAddr()), "cause", err)
			}
		})
	}
}

// serveConn serves one connection. If it returns errKept, the connection is left open, and
// release called to end it.
func (s *Server) serveConn(c net.Conn, release func()) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	w, seed, err := readRequest(c)
	if errors.Is(err, io.EOF) {
		return nil // nothing was asked
	}
	if err != nil {
		return err
	}
	deadline := time.Time{}
	if w.Kind != Exact {
		deadline = time.Now().Add(w.Longest() + patience)
	}
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	switch w.Kind {
	case Bulk, Exact:
		if w.Way == Upload {
			return s.serveUpload(c, w)
		}
		return s.serveDownload(c, w, seed)
	case RequestResponse, Connect:
		return serveMessages(c, w.Size)
	case Idle:
		return s.idle.serve(c, seed, release)
	case HTTP:
	}
	return fmt.Errorf("bench: a %s is not served here", w.Kind)
}

func (s *Server) serveUpload(c net.Conn, w Workload) error {
	t, err := receive(c, w, -1, s.InPlace)
	if err != nil {
		return err
	}
	return t.write(c)
}

func (s *Server) serveDownload(c net.Conn, w Workload, seed uint64) error {
	t, err := send(c, w, seed, s.InPlace)
	if err != nil || w.Kind == Bulk {
		return err
	}
	return t.write(c)
}

// serveMessages sends back messages until the client closes.
func serveMessages(c net.Conn, size int) error {
	message := make([]byte, size)
	for {
		if _, err := io.ReadFull(c, message); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("bench: receive message: %w", err)
		}
		if _, err := c.Write(message); err != nil {
			return fmt.Errorf("bench: send message: %w", err)
		}
	}
}
