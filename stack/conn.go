package stack

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/socket"
	"github.com/millrace-tcp/millrace/stack/spin"
)

// Conn is a TCP connection. It implements net.Conn, with the semantics and the errors of
// net.TCPConn, and is safe for concurrent use: reads are serialised among each other, and
// so are writes.
type Conn struct {
	s             *Stack
	w             *worker // written before the application has c
	c             *engine.Conn
	local, remote net.TCPAddr

	sock   socket.Stream // what reads and writes do when they need not wait
	rd, wr gate
	wrote  atomic.Bool // since a reader has waited the last time
	silent bool        // something was written that the worker may not know of; of who holds wr.mu
	turns  spin.Turns  // of who holds rd.mu
	young  young
	linger atomic.Int64 // seconds; less than zero is in the background
}

var (
	_ net.Conn      = (*Conn)(nil)
	_ io.ReaderFrom = (*Conn)(nil)
	_ io.WriterTo   = (*Conn)(nil)
)

func (s *Stack) newConn(w *worker) *Conn {
	c := &Conn{s: s, w: w, sock: socket.Stream{KeepError: true}}
	c.linger.Store(-1)
	return c
}

// ConnMoved is called by the worker of the queue that the answer to our SYN came by, which is the
// one that c belongs to from then on. The application learns of c only later.
func (c *Conn) ConnMoved(_ *engine.Conn, to *engine.Engine) {
	for _, w := range c.s.workers {
		if w.e == to {
			c.w = w
		}
	}
}

// bind joins c to its connection. It is called on the worker, or before anyone else knows c.
func (c *Conn) bind(ec *engine.Conn) {
	c.c = ec
	c.sock.Bind(ec)
	ec.SetHolds()
	c.local, c.remote = tcpAddr(ec.LocalAddr()), tcpAddr(ec.RemoteAddr())
}

func tcpAddr(a netip.AddrPort) net.TCPAddr {
	return net.TCPAddr{IP: a.Addr().AsSlice(), Zone: a.Addr().Zone(), Port: int(a.Port())}
}

// ConnEvent is called by the worker when something happened.
func (c *Conn) ConnEvent(_ *engine.Conn, e engine.Events) {
	if e&engine.Readable != 0 {
		c.w.leader.sole.came(c)
	}
	if e&(engine.Readable|engine.Closed) != 0 && (c.rd.awaited() || c.w.leader.gate == &c.rd) && c.readable() {
		c.c.HoldACK() // until the reader writes, or waits again
		c.rd.open()
		c.w.woke = true
	} else if e&engine.Readable != 0 && c.young.unseen.Load() {
		c.c.HoldACK() // likewise: the reader is on its way
	}
	if e&(engine.Writable|engine.Open|engine.Closed) != 0 && c.wr.waiting.Load() && c.writable() {
		c.wr.open()
		c.w.woke = true
	}
	if e&engine.Closed != 0 {
		c.w.leader.sole.forget(c)
	}
	if e&engine.Replaced != 0 {
		c.s.warnReplaced(c.c)
	}
}

// LocalAddr returns our address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return &c.local }

// RemoteAddr returns the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return &c.remote }

// Read reads into b what has arrived, and waits until something has. io.EOF is the end of
// the peer's data.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.read(b)
	if err != nil && err != io.EOF {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *Conn) read(b []byte) (int, error) {
	c.rd.mu.Lock()
	defer c.rd.mu.Unlock()
	for {
		if c.rd.expired() && !c.sock.Closed() {
			return 0, os.ErrDeadlineExceeded
		}
		n, errno := c.sock.Read(b)
		switch {
		case n > 0, errno == socket.OK && len(b) == 0:
			return n, nil
		case errno == socket.OK && !c.aborted():
			return 0, io.EOF
		case errno != syscall.EAGAIN:
			return 0, c.errnoError("read", errno)
		}
		c.awaitData()
	}
}

// awaitData waits until there is something to read, or may be.
func (c *Conn) awaitData() {
	if c.turns.Wait(c.wrote.Swap(false)) {
		c.w.lead(c)
	} else if !c.guess() {
		c.leadAlone()
	}
	if c.c.Status().ACKHeld() && !c.readable() {
		c.c.PostACK() // there was no answer to carry it
	}
	if !c.readable() {
		c.w.beforeWait()
		c.rd.wait(c.readable)
	}
}

// readable says whether a reader need not wait.
func (c *Conn) readable() bool {
	s := c.c.Status()
	return c.c.Recv().Len() > 0 || s.PeerFinished() || s.Gone() ||
		c.sock.Closed() || c.sock.ReadStopped() || c.rd.expired()
}

// Write writes all of b, which is copied, and waits for space as long as there is too
// little. It returns how much was taken when it fails.
func (c *Conn) Write(b []byte) (int, error) {
	n, err := c.write(b)
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

func (c *Conn) write(b []byte) (int, error) {
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	return c.writeAll(b)
}

// writeAll writes all of b. The caller holds wr.mu.
func (c *Conn) writeAll(b []byte) (int, error) {
	written := 0
	for {
		if c.wr.expired() && !c.sock.Closed() {
			return written, os.ErrDeadlineExceeded
		}
		n, errno := c.sock.Write(b[written:])
		written += n
		c.wrote.Store(true)
		switch {
		case errno != socket.OK && errno != syscall.EAGAIN:
			return written, c.errnoError("write", errno)
		case written == len(b):
			return written, nil
		case errno == socket.OK:
			continue
		}
		c.speak()
		c.awaitSpace(c.writable)
	}
}

// awaitSpace waits until ready says so, which is about the writing side.
func (c *Conn) awaitSpace(ready func() bool) {
	c.w.beforeWait()
	c.wr.wait(ready)
}

// writable says whether a writer need not wait. It is woken when there is space worth it, a
// quarter of the queue, not for each segment that is acknowledged.
func (c *Conn) writable() bool {
	q, s := c.c.Send(), c.c.Status()
	return q.Roomy() || s.Gone() ||
		c.sock.Closed() || c.sock.WriteStopped() || c.wr.expired()
}

// aborted says whether our own side broke the connection off.
func (c *Conn) aborted() bool {
	s := c.c.Status()
	return s.Gone() && s.Cause() == engine.Aborted && !c.sock.ReadStopped() && !s.PeerFinished()
}

// errnoError is an errno of the socket as package net reports it.
func (c *Conn) errnoError(call string, errno syscall.Errno) error {
	s := c.c.Status()
	switch {
	case errno == syscall.EBADF:
		return net.ErrClosed
	case errno == syscall.EPIPE && c.sock.WriteStopped():
	case s.Gone() && s.Cause() == engine.Aborted:
		return c.goneError(call, s)
	}
	return sysError(call, errno)
}

// goneError says why the connection is gone.
func (c *Conn) goneError(call string, s engine.Status) error {
	if s.Cause() == engine.Aborted && c.s.closed.Load() {
		return c.s.closedError()
	}
	return causeError(call, s.Cause())
}

// opError wraps an error of this connection.
func (c *Conn) opError(op string, err error) error {
	return opError(op, &c.local, &c.remote, err)
}

// Close ends the connection. What was written is still sent, in the background; with data
// unread the peer is sent RST. SetLinger changes that. Reads and writes that wait return
// net.ErrClosed.
func (c *Conn) Close() error {
	if !c.sock.Retire() {
		return c.opError("close", net.ErrClosed)
	}
	c.rd.stop()
	c.wr.stop()
	c.rd.open()
	c.wr.open()
	// None writes behind the FIN: who wrote has left when we hold the mutex.
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	linger := c.linger.Load()
	c.sock.Finish(linger == 0)
	if linger > 0 {
		c.awaitSent(time.Duration(linger) * time.Second)
	}
	c.seen()
	c.w.beforeLeave()
	return nil
}

// awaitSent waits until the peer has acknowledged all, or the connection is gone, or d has
// passed. The caller holds wr.mu.
func (c *Conn) awaitSent(d time.Duration) {
	late := clock().Add(d)
	timer := time.AfterFunc(d, c.wr.open)
	defer timer.Stop()
	sent := func() bool {
		return c.sock.Sent() || clock() >= late
	}
	for !sent() {
		c.awaitSpace(sent)
	}
}

// CloseWrite ends our side: the peer reads io.EOF after what was written.
func (c *Conn) CloseWrite() error {
	if c.sock.Closed() {
		return c.opError("close", net.ErrClosed)
	}
	c.sock.StopWriting()
	c.wr.open()
	c.wr.mu.Lock()
	defer c.wr.mu.Unlock()
	if c.c.Status().Gone() {
		return c.opError("close", sysError("shutdown", syscall.ENOTCONN))
	}
	c.c.PostCloseWrite()
	return nil
}

// CloseRead ends the reading: Read returns io.EOF, and what arrives is acknowledged and
// dropped, as on Linux.
func (c *Conn) CloseRead() error {
	if c.sock.Closed() {
		return c.opError("close", net.ErrClosed)
	}
	c.sock.StopReading()
	c.rd.open()
	if c.c.Status().Gone() {
		return c.opError("close", sysError("shutdown", syscall.ENOTCONN))
	}
	c.c.PostCloseRead()
	return nil
}

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets when reads fail with os.ErrDeadlineExceeded, those that wait already
// included. The zero time is never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.rd, t) }

// SetWriteDeadline does the same for writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.wr, t) }

func (c *Conn) setDeadline(g *gate, t time.Time) error {
	if c.sock.Closed() {
		return c.opError("set", net.ErrClosed)
	}
	g.setDeadline(t)
	return nil
}

// Info returns the state of the connection as Linux's tcp_info has it. It asks the worker.
func (c *Conn) Info() (engine.Info, error) {
	var info engine.Info
	if err := c.ask(func(now mono.Time) { info = c.c.TCP().Info(now) }); err != nil {
		return engine.Info{}, c.opError("get", err)
	}
	return info, nil
}

// ask has f called on the worker and waits for it.
func (c *Conn) ask(f func(now mono.Time)) error {
	done := make(chan struct{})
	if !c.w.e.Do(func(now mono.Time) {
		f(now)
		close(done)
	}) {
		return net.ErrClosed
	}
	<-done
	return nil
}
