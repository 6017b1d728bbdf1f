package bench

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/millrace-tcp/millrace/stack"
)

// lender is a connection that lends what has come, and room for what is to go. This module's
// are.
type lender interface {
	Lend(most int) (stack.Lease, error)
	Reserve(n int) (stack.Reservation, error)
}

// lenderOf returns the lender that a connection is, and the pulse of what moves on it.
func lenderOf(c net.Conn) (l lender, p *pulse, err error) {
	p = new(pulse)
	if m, ok := c.(moving); ok {
		c, p = m.Conn, m.p
	}
	l, ok := c.(lender)
	if !ok {
		return nil, nil, fmt.Errorf("bench: %T lends nothing", c)
	}
	return l, p, nil
}

// origin is what a transfer sends: octets of no meaning for a time (Bulk), or a number of
// octets drawn from a seed (Exact).
type origin struct {
	until  time.Time // of Bulk
	source *rand.ChaCha8
	sum    hash.Hash
	octets int64 // that have been made
	left   int64
}

func newOrigin(w Workload, seed uint64) *origin {
	if w.Kind == Bulk {
		return &origin{until: time.Now().Add(w.Time)}
	}
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	return &origin{source: rand.NewChaCha8(key), sum: sha256.New(), left: w.Octets}
}

// more says whether there is more to send now.
func (o *origin) more() bool {
	if o.source == nil {
		return time.Now().Before(o.until)
	}
	return o.left > 0
}

// fill makes the next octets in b and returns how many there are. Those of Bulk are zeros.
func (o *origin) fill(b []byte) int {
	if o.source == nil {
		clear(b)
	} else {
		b = b[:min(int64(len(b)), o.left)]
		_, _ = o.source.Read(b) // it never fails
		_, _ = o.sum.Write(b)
		o.left -= int64(len(b))
	}
	o.octets += int64(len(b))
	return len(b)
}

// tally is what has been made.
func (o *origin) tally() (t tally) {
	t.Octets = uint64(o.octets)
	if o.sum != nil {
		o.sum.Sum(t.Sum[:0])
	}
	return t
}

// pour writes all of it, by copies out of a block of the sender's own. That of Bulk is made
// once.
func (o *origin) pour(c io.Writer) error {
	block := make([]byte, BlockSize)
	for o.more() {
		b := block
		if o.source != nil {
			b = block[:o.fill(block)]
		}
		if _, err := c.Write(b); err != nil {
			return fmt.Errorf("bench: send: %w", err)
		}
	}
	return nil
}

// pourInPlace makes all of it in the connection's own queue, and has the stack hear of it once a
// block, as it does of what pour writes.
func (o *origin) pourInPlace(c net.Conn) error {
	l, p, err := lenderOf(c)
	if err != nil {
		return err
	}
	for o.more() {
		if err := o.blockInPlace(l, p); err != nil {
			return fmt.Errorf("bench: send: %w", err)
		}
	}
	return nil
}

// blockInPlace makes one block.
func (o *origin) blockInPlace(l lender, p *pulse) error {
	for left := BlockSize; ; {
		r, err := l.Reserve(left)
		if err != nil {
			return err
		}
		n := o.fill(r.Bytes())
		p.moved.Add(int64(n))
		left -= n
		if left == 0 || o.source != nil && o.left == 0 {
			return r.Commit(n)
		}
		if err := r.CommitMore(n); err != nil {
			return err
		}
	}
}

// sink is what has come of a transfer.
type sink struct {
	octets int64
	sum    hash.Hash // of Exact
}

func newSink(w Workload) *sink {
	if w.Kind == Exact {
		return &sink{sum: sha256.New()}
	}
	return new(sink)
}

func (s *sink) take(b []byte) {
	s.octets += int64(len(b))
	if s.sum != nil {
		_, _ = s.sum.Write(b)
	}
}

func (s *sink) tally() (t tally) {
	t.Octets = uint64(s.octets)
	if s.sum != nil {
		s.sum.Sum(t.Sum[:0])
	}
	return t
}

// drain reads to the end, or octets of it if that is not negative, by copies.
func (s *sink) drain(c io.Reader, octets int64) error {
	if octets >= 0 {
		c = io.LimitReader(c, octets)
	}
	block := make([]byte, BlockSize)
	for {
		n, err := c.Read(block)
		s.take(block[:n])
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bench: receive: %w", err)
		}
	}
}

// drainInPlace looks at all of it where it lies.
func (s *sink) drainInPlace(c net.Conn, octets int64) error {
	l, p, err := lenderOf(c)
	if err != nil {
		return err
	}
	for octets < 0 || s.octets < octets {
		most := int64(BlockSize)
		if octets >= 0 {
			most = min(most, octets-s.octets)
		}
		lease, err := l.Lend(int(most))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("bench: receive: %w", err)
		}
		s.take(lease.Bytes())
		p.moved.Add(int64(len(lease.Bytes())))
		lease.Release()
	}
	return nil
}

// send sends what a workload asks for, in place or by copies.
func send(c net.Conn, w Workload, seed uint64, inPlace bool) (tally, error) {
	o := newOrigin(w, seed)
	var err error
	if inPlace {
		err = o.pourInPlace(c)
	} else {
		err = o.pour(c)
	}
	return o.tally(), err
}

// receive receives to the end, or octets if that is not negative, in place or by copies.
func receive(c net.Conn, w Workload, octets int64, inPlace bool) (tally, error) {
	s := newSink(w)
	var err error
	if inPlace {
		err = s.drainInPlace(c, octets)
	} else {
		err = s.drain(c, octets)
	}
	return s.tally(), err
}

// closeWrite ends what is sent on a connection that can do that.
func closeWrite(c net.Conn) error {
	h, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("bench: %T has no half-close", c)
	}
	return h.CloseWrite()
}
