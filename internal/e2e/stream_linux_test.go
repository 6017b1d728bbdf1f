package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// characters is what serve chargen sends, over and over: the pattern of RFC 864, 95 lines of
// 72 of the 95 printable characters.
var characters = func() (all []byte) {
	for line := range 95 {
		for i := range 72 {
			all = append(all, ' '+byte((line+i)%95))
		}
		all = append(all, '\r', '\n')
	}
	return all
}()

// stream is a connection to serve chargen that is read as fast as it comes, every octet of
// which is checked.
type stream struct {
	conn   net.Conn
	octets atomic.Int64
	done   chan error
}

// openStream connects over the kernel's TCP of a host and returns when octets flow. It is
// closed when the test ends.
func openStream(t testing.TB, h *lab.Host, address string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := h.Dial(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &stream{conn: conn, done: make(chan error, 1)}
	seen := make(chan struct{})
	go func() { s.done <- s.run(seen) }()
	select {
	case <-seen:
	case err := <-s.done:
		t.Fatalf("the stream from %s ended before it was under way: %v", address, err)
	case <-time.After(patience):
		t.Fatalf("nothing came from %s in %v", address, patience)
	}
	return s
}

func (s *stream) run(seen chan struct{}) error {
	// A pattern more than a read takes, so that what comes is compared in one piece.
	want := bytes.Repeat(characters, 2+(256<<10)/len(characters))
	buf := make([]byte, 256<<10)
	for at := int64(0); ; {
		n, err := s.conn.Read(buf)
		from := int(at % int64(len(characters)))
		if !bytes.Equal(buf[:n], want[from:from+n]) {
			return fmt.Errorf("the octets from %d to %d are wrong", at, at+int64(n))
		}
		at += int64(n)
		if s.octets.Swap(at) == 0 {
			close(seen)
		}
		if err != nil {
			return fmt.Errorf("after %d octets: %w", at, err)
		}
	}
}

// fault returns what went wrong so far, nil if the stream runs.
func (s *stream) fault() error {
	select {
	case err := <-s.done:
		s.done <- err
		return err
	default:
		return nil
	}
}

// meter measures a stream from now on. What it returns tells the rate since, in Gbit/s.
func (s *stream) meter() func() float64 {
	octets, began := s.octets.Load(), time.Now()
	return func() float64 { return rate(s.octets.Load()-octets, time.Since(began)) }
}
