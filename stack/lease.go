package stack

import (
	"io"
	"os"
	"syscall"

	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// Lease is received bytes that a connection lends, where they lie. Whoever has it owns it and
// calls Release once, in any order and by any goroutine; until then the bytes stay as they are,
// though the connection be closed, and the peer may not send others in their place. So a
// reader that keeps leases slows its own peer down, and nobody else.
//
// Once a connection lends, what it receives stays in the frames of the port until it is
// released, where it fills a quarter of one. Of these a quarter may be out at a time; what comes
// beyond is copied once, into the receive queue, as small packets are for a connection that only reads. A
// frame that is lent outlives the port, whose memory is given back with the last of them.
//
// Where memory is short (see Config.MemoryMax) bytes that lie in the queue are lent as a copy.
type Lease struct {
	c *engine.Conn
	l queue.Lease
}

// Bytes returns the bytes, which are not to be changed; nil after Release.
func (l *Lease) Bytes() []byte { return l.l.Bytes() }

// Release ends the lease. To release it again, or an empty one, does nothing.
func (l *Lease) Release() {
	if l.l.Release() {
		l.c.PostRead()
	}
}

// Lend is Read without a copy: it waits until something has arrived, and lends up to most
// bytes of it, in one piece. That piece is at most queue.ChunkSize long, often what one frame
// has carried, and may be shorter than what has arrived: what follows is the next lease. io.EOF is the end of the peer's data.
func (c *Conn) Lend(most int) (Lease, error) {
	l, err := c.lend(most)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return Lease{c: c.c, l: l}, err
}

func (c *Conn) lend(most int) (queue.Lease, error) {
	c.rd.mu.Lock()
	defer c.rd.mu.Unlock()
	for {
		if c.rd.expired() && !c.sock.Closed() {
			return queue.Lease{}, os.ErrDeadlineExceeded
		}
		l, errno := c.sock.Lend(most)
		switch {
		case l.Bytes() != nil, errno == socket.OK && most <= 0:
			return l, nil
		case errno == socket.OK && !c.aborted():
			return l, io.EOF
		case errno != syscall.EAGAIN:
			return l, c.errnoError("read", errno)
		case most <= 0:
			return l, nil
		}
		c.awaitData()
	}
}

// Reservation is space in a connection's send queue that the application fills in place. It
// is ended by Commit, once; other writes of the same connection need not wait for that.
type Reservation struct {
	c *Conn
	r queue.Reservation
}

// Bytes returns the space. What it holds at first is undefined.
func (r *Reservation) Bytes() []byte { return r.r.Bytes() }

// Reserve is the first half of a Write without a copy: it waits until there is space and lends
// up to n octets of it, in one piece. That is at most queue.ChunkSize long and may be shorter
// than the space there is. Who has more to write than one piece ends all but the last by
// CommitMore: to send each by itself takes twice as long, and makes segments of 8 KiB where
// the link has larger ones.
func (c *Conn) Reserve(n int) (Reservation, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	r, err := c.reserve(n)
	if err != nil {
		err = c.opError("write", err)
	}
	return Reservation{c: c, r: r}, err
}

// reserve waits for space. The caller holds wr.mu.
func (c *Conn) reserve(n int) (queue.Reservation, error) {
	for {
		if c.wr.expired() && !c.sock.Closed() {
			c.speak()
			return queue.Reservation{}, os.ErrDeadlineExceeded
		}
		r, errno := c.sock.Reserve(n)
		switch errno {
		case socket.OK:
			return r, nil
		case syscall.EAGAIN:
		default:
			return r, c.errnoError("write", errno)
		}
		c.c.PostWrite() // what was appended without a word
		c.awaitSpace(c.writable)
	}
}

// Commit is the second half: it writes the first n octets of the space and gives the rest back;
// 0 gives up the whole. Where another write came in between, the octets follow behind it, by
// a copy, for which Commit may have to wait as Write does.
func (r *Reservation) Commit(n int) error { return r.end(n, true) }

// CommitMore is Commit by a writer that has more: what it wrote may wait for that, as with Linux's
// MSG_MORE. It is sent with the next Commit, of 0 octets too, or Write, when our side is closed, or
// when one of them has to wait for space, at the latest; nothing sends it if none of that comes.
func (r *Reservation) CommitMore(n int) error { return r.end(n, false) }

// end appends the first n octets of r, and has the worker hear of it if tell says so, or where
// that went wrong.
func (r *Reservation) end(n int, tell bool) error {
	c := r.c
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	_, err := c.commit(&r.r, n)
	c.silent = true
	if tell || err != nil {
		c.speak()
	}
	if err != nil {
		return c.opError("write", err)
	}
	return nil
}

// speak tells the worker of what was committed without a word. The caller holds wr.mu.
func (c *Conn) speak() {
	if c.silent {
		c.silent = false
		c.c.PostWrite()
	}
}

// commit appends what r holds, and leaves it to the caller to tell the worker, at the latest
// before it waits. The caller holds wr.mu.
func (c *Conn) commit(r *queue.Reservation, n int) (int, error) {
	done, errno := c.sock.Commit(r, n)
	c.wrote.Store(true)
	switch {
	case errno != socket.OK && errno != syscall.EAGAIN:
		return done, c.errnoError("write", errno)
	case done == n:
		return n, nil
	}
	more, err := c.writeAll(r.Bytes()[done:n])
	return done + more, err
}

// LeaseStats counts the leases of all connections: see Stack.Leases.
type LeaseStats = queue.LeaseStats

// Leases returns how many leases are open, and how many had to be copies.
func (s *Stack) Leases() LeaseStats { return s.pool.Leases() }
