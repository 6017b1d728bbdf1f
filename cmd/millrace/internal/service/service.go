// Package service is the classic TCP services, each a goroutine a connection: echo
// (RFC 862), discard (RFC 863), chargen (RFC 864), and the accept loop under them.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/splice"
)

// Handler serves one connection and returns how many octets it moved. It need not close
// the connection, and ends when the connection is closed under it.
type Handler func(c net.Conn) (octets int64, err error)

// ConnsMax is the default limit of connections that are served at once. Each takes two
// goroutines and up to two small buffers: some 20 KiB, so 1.3 GB in all.
const ConnsMax = 65536

// Server accepts connections and serves them.
type Server struct {
	Handle Handler
	// Limit is how many connections are served at once; 0: ConnsMax. Those above it
	// wait in the listener's accept queue.
	Limit int
	// Closed is called when a connection was served, before it is closed; nil: nobody is
	// told. It may be called by several goroutines at once.
	Closed func(c net.Conn, octets int64, lasted time.Duration, err error)

	mu    sync.Mutex
	conns map[net.Conn]struct{} // nil after the end
}

// Serve accepts on l until ctx ends or l fails. It closes l and every connection, waits for
// the handlers, and returns nil if ctx ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	limit := s.Limit
	if limit == 0 {
		limit = ConnsMax
	}
	room := make(chan struct{}, limit)
	s.conns = make(map[net.Conn]struct{})
	var handlers sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		s.closeAll()
	})
	defer func() {
		stop()
		_ = l.Close()
		s.closeAll()
		handlers.Wait()
	}()
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		c, err := accept(ctx, l)
		if ctx.Err() != nil {
			if err == nil {
				_ = c.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("service: accept: %w", err)
		}
		handlers.Go(func() {
			s.serve(c)
			<-room
		})
	}
}

// acceptPause is how long accept waits when the process has run out of something.
const acceptPause = 50 * time.Millisecond

// accept accepts a connection. That one connection was aborted, or that the process is out
// of descriptors or memory for now, is not the end of the listener.
func accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, syscall.ECONNABORTED):
			continue
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE),
			errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
			t := time.NewTimer(acceptPause)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
			continue
		}
		return c, err
	}
}

// serve runs the handler of one connection.
func (s *Server) serve(c net.Conn) {
	if !s.track(c) {
		_ = c.Close()
		return
	}
	start := time.Now()
	n, err := s.Handle(c)
	if s.Closed != nil {
		s.Closed(c, n, time.Since(start), err)
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

// track notes a connection for closeAll; false says that it comes too late.
func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *Server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

// blockLen is the length of one read or write in octets.
const blockLen = 128 << 10

// Echo returns a handler that sends back what comes, until the peer ends its direction and
// all of it is back (RFC 862).
func Echo() Handler {
	var buffers splice.Buffers
	return func(c net.Conn) (int64, error) {
		n, err := buffers.Copy(c, c)
		if err == nil {
			err = splice.CloseWrite(c)
		}
		return n, err
	}
}

// Discard returns a handler that reads and throws away (RFC 863).
func Discard() Handler {
	var buffers splice.Buffers
	return func(c net.Conn) (int64, error) { return buffers.Copy(nowhere{}, c) }
}

// nowhere takes everything.
type nowhere struct{}

// Write takes b.
func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// Chargen returns a handler that sends characters for as long as the peer takes them, and
// throws away what comes (RFC 864).
func Chargen() Handler {
	pattern := Pattern(blockLen)
	discard := Discard()
	return func(c net.Conn) (sent int64, err error) {
		var reader sync.WaitGroup
		reader.Go(func() { _, _ = discard(c) }) // what fails there fails here too
		for err == nil {
			var n int
			n, err = c.Write(pattern)
			sent += int64(n)
		}
		_ = c.SetReadDeadline(time.Unix(1, 0)) // open for Closed to ask about, see Server
		reader.Wait()
		return sent, nil // that the peer goes is how it ends
	}
}

const (
	lineLen    = 72 // characters of a line, "\r\n" comes on top
	patternLen = 95 * (lineLen + 2)
)

// Pattern returns the popular pattern of RFC 864, 95 lines of 72 characters each one
// further along the printable ASCII characters, repeated to at least n octets and to a
// whole number of patterns, so that it can be sent again and again.
func Pattern(n int) []byte {
	out := make([]byte, 0, n+patternLen)
	for len(out) < n {
		for line := range 95 {
			for i := range lineLen {
				out = append(out, ' '+byte((line+i)%95))
			}
			out = append(out, '\r', '\n')
		}
	}
	return out
}
