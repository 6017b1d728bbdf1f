package stack

import (
	"bytes"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// burst is how much ReadFrom and WriteBuffers append at the most before the worker hears of it,
// where nothing keeps them waiting, and WriteTo has lent at once: eight chunks, 45 segments.
const burst = 8 * queue.ChunkSize

// leasesMax is the most pieces that WriteTo has lent at once: of frames 32 segments.
const leasesMax = 32

// ReadFrom writes all that r has, which reads straight into the send queue. It implements
// io.ReaderFrom. While r waits it holds one chunk of the queue, and other writes may be made.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	if b, ok := r.(*net.Buffers); ok {
		return c.WriteBuffers(b)
	}
	total, silent, local := int64(0), 0, readsLocally(r)
	for {
		space, err := c.reserveFor(silent)
		if err != nil {
			return total, c.opError("write", err)
		}
		n, rerr := r.Read(space.Bytes())
		silent += n
		// Of a reader that may wait for somebody who waits for us nothing is held back.
		tell := !local || silent >= burst || rerr != nil
		m, err := c.commitFrom(&space, n, tell)
		total += int64(m)
		if tell {
			silent = 0
		}
		switch {
		case err != nil:
			return total, c.opError("write", err)
		case rerr == io.EOF:
			return total, nil
		case rerr != nil:
			return total, rerr
		}
	}
}

// readsLocally says that r never waits for a peer: a file, or memory.
func readsLocally(r io.Reader) bool {
	switch r := r.(type) {
	case *io.LimitedReader:
		return readsLocally(r.R)
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	case *os.File:
		info, err := r.Stat()
		return err == nil && info.Mode().IsRegular()
	}
	return false
}

// reserveFor reserves a chunk, and tells the worker of silent octets if it has to wait.
func (c *Conn) reserveFor(silent int) (queue.Reservation, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	if silent > 0 && c.c.Send().Space() == 0 {
		c.c.PostWrite()
	}
	return c.reserve(queue.ChunkSize)
}

func (c *Conn) commitFrom(r *queue.Reservation, n int, tell bool) (int, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	n, err := c.commit(r, n)
	if tell {
		c.c.PostWrite()
	}
	return n, err
}

// WriteBuffers writes all of b, as one Write of their whole would, and takes from b what was
// written. It is what net.Buffers.WriteTo, which writes one by one, is for connections of
// package net; so is ReadFrom of a *net.Buffers.
func (c *Conn) WriteBuffers(b *net.Buffers) (int64, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	total, silent := int64(0), 0
	for len(*b) > 0 {
		n, err := c.appendSome((*b)[0], &silent)
		total += int64(n)
		(*b)[0] = (*b)[0][n:]
		if err != nil {
			return total, c.opError("write", err)
		}
		if len((*b)[0]) == 0 {
			(*b)[0] = nil
			*b = (*b)[1:]
		}
	}
	c.c.PostWrite()
	return total, nil
}

// appendSome appends what there is room for; silent is what the worker has not heard of. If
// there is no room it waits. The caller holds wr.mu.
func (c *Conn) appendSome(b []byte, silent *int) (int, error) {
	if c.wr.expired() && !c.sock.Closed() {
		c.c.PostWrite()
		return 0, os.ErrDeadlineExceeded
	}
	n, errno := c.sock.Append(b[:min(len(b), burst)])
	c.wrote.Store(true)
	*silent += n
	if *silent >= burst || errno != socket.OK {
		c.c.PostWrite()
		*silent = 0
	}
	switch errno {
	case socket.OK:
		return n, nil
	case syscall.EAGAIN:
		c.awaitSpace(c.writable)
		return n, nil
	}
	return n, c.errnoError("write", errno)
}

// WriteTo writes all that the peer sends to w, straight out of the receive queue. It
// implements io.WriterTo. A w of package net, or of this one, gets what has arrived by one
// writev, and others piece by piece. No buffer is held while nothing comes.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	total := int64(0)
	var views views
	for {
		n, err := c.writeSome(w, &views)
		total += n
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// views is what WriteTo has been lent.
type views struct {
	leases [leasesMax]queue.Lease
	n      int
	room   [leasesMax][]byte
	bufs   net.Buffers // of room
}

// writeSome waits for data and has w take as much of it as a burst.
func (c *Conn) writeSome(w io.Writer, v *views) (int64, error) {
	size, err := c.lendSome(v)
	if err != nil {
		if err != io.EOF {
			err = c.opError("read", err)
		}
		return 0, err
	}
	defer c.releaseAll(v)
	var n int64
	if to, ok := w.(*Conn); ok {
		n, err = to.WriteBuffers(&v.bufs)
	} else {
		n, err = v.bufs.WriteTo(w)
	}
	if err == nil && n < int64(size) {
		err = io.ErrShortWrite
	}
	return n, err
}

// lendSome waits for the first lease, and takes those that come without waiting.
func (c *Conn) lendSome(v *views) (size int, err error) {
	if v.leases[0], err = c.lend(burst); err != nil {
		return 0, err
	}
	size = len(v.leases[0].Bytes())
	c.rd.mu.Lock()
	defer c.rd.mu.Unlock()
	v.n = 1 + c.c.Recv().LendAll(v.leases[1:], burst-size)
	for i := range v.n {
		v.room[i] = v.leases[i].Bytes()
	}
	for i := 1; i < v.n; i++ {
		size += len(v.room[i])
	}
	v.bufs = v.room[:v.n]
	return size, nil
}

// releaseAll ends the leases of v, and tells the peer once what room there is.
func (c *Conn) releaseAll(v *views) {
	due := queue.ReleaseAll(v.leases[:v.n])
	clear(v.room[:])
	if due {
		c.c.PostRead()
	}
}
