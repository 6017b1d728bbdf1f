// Package socket is what a stream socket does, without waiting: each call does what it can
// at this moment and says by EAGAIN that it would have to wait. Who may block (package
// stack, whose goroutines sleep at a gate, or a player of scripts, in which time is
// virtual) calls again when the engine's events say so. There is no clock, goroutine or
// lock here. Errors are the errnos of a Linux socket.
package socket

import (
	"sync/atomic"
	"syscall"

	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// OK is the errno of a call that succeeded.
const OK syscall.Errno = 0

// Stream is the socket's side of one connection. Read and Lend are for one goroutine at a time,
// and so are Write, Append, Reserve and Commit; the rest is safe for concurrent use.
type Stream struct {
	c *engine.Conn
	// KeepError has every call say why the connection broke, not the first one alone. It is
	// set before anyone else knows the stream.
	KeepError bool

	closed    atomic.Bool
	readShut  atomic.Bool
	writeShut atomic.Bool
	reported  atomic.Bool // the error that ended the connection was taken
}

// Bind joins s to its connection, before anyone else knows s.
func (s *Stream) Bind(c *engine.Conn) { s.c = c }

// Conn returns the connection.
func (s *Stream) Conn() *engine.Conn { return s.c }

// Read moves into b what has arrived. 0 octets without an errno are the end of the peer's
// data; EAGAIN is that nothing has arrived yet. What arrived before the connection broke is
// read first, and its errno once: afterwards there is the end.
func (s *Stream) Read(b []byte) (int, syscall.Errno) {
	if s.closed.Load() {
		return 0, syscall.EBADF
	}
	// What the status says of the data was true before it was stored: look at it first.
	status := s.c.Status()
	if n := s.c.Recv().Read(b); n > 0 {
		// An ACK that is held tells of the window, too. Without this the first read of a connection
		// had one sent, for a SYN cannot tell of more than 64 KiB.
		if s.c.Recv().UpdateDue() && !status.ACKHeld() {
			s.c.PostRead()
		}
		return n, OK
	}
	if len(b) == 0 {
		return 0, OK
	}
	return 0, s.nothing(status)
}

// Lend is Read without a copy: an empty lease without an errno is the end.
func (s *Stream) Lend(most int) (queue.Lease, syscall.Errno) {
	if s.closed.Load() {
		return queue.Lease{}, syscall.EBADF
	}
	status := s.c.Status()
	if l := s.c.Recv().Lend(most); l.Bytes() != nil {
		return l, OK
	}
	return queue.Lease{}, s.nothing(status)
}

// nothing says what it means that there is nothing to read, at a status that is older.
func (s *Stream) nothing(status engine.Status) syscall.Errno {
	switch {
	case status.PeerFinished(), s.readShut.Load():
		return OK
	case status.Gone():
		return s.TakeError()
	}
	return syscall.EAGAIN
}

// Write appends as much of b as there is room for. EAGAIN is that there is none, or that
// the handshake is not done.
func (s *Stream) Write(b []byte) (int, syscall.Errno) {
	n, err := s.Append(b)
	if n > 0 {
		s.c.PostWrite()
	}
	return n, err
}

// Append is Write, but the worker does not hear of it: the caller has to call PostWrite of the
// connection before it waits for anything.
func (s *Stream) Append(b []byte) (int, syscall.Errno) {
	if err := s.unwritable(); err != OK {
		return 0, err
	}
	n := s.c.Send().Write(b)
	if n == 0 && len(b) > 0 {
		return 0, syscall.EAGAIN
	}
	return n, OK
}

// Reserve lends space to be filled in place, at most n octets. The errnos are those of Write.
func (s *Stream) Reserve(n int) (queue.Reservation, syscall.Errno) {
	if err := s.unwritable(); err != OK {
		return queue.Reservation{}, err
	}
	r := s.c.Send().Reserve(n)
	if r.Bytes() == nil && n > 0 {
		return r, syscall.EAGAIN
	}
	return r, OK
}

// Commit appends the first n octets of r, and returns how many: it may be fewer, as with
// Append, where another write came before.
func (s *Stream) Commit(r *queue.Reservation, n int) (int, syscall.Errno) {
	if err := s.unwritable(); err != OK {
		r.Commit(0)
		return 0, err
	}
	if r.Commit(n) {
		return n, OK
	}
	return s.Append(r.Bytes()[:n])
}

// unwritable says why nothing can be written whatever the room, or OK.
func (s *Stream) unwritable() syscall.Errno {
	status := s.c.Status()
	switch {
	case s.closed.Load():
		return syscall.EBADF
	case status.Gone(), s.writeShut.Load():
		if err := s.TakeError(); err != OK {
			return err
		}
		return syscall.EPIPE
	case !status.Open():
		return syscall.EAGAIN
	}
	return OK
}

// Shutdown ends one direction, or both. The other end of a connection that is being made is
// not there yet: it is given up, as Linux does.
func (s *Stream) Shutdown(read, write bool) syscall.Errno {
	status := s.c.Status()
	switch {
	case s.closed.Load():
		return syscall.EBADF
	case status.Gone(), resting(status):
		return syscall.ENOTCONN
	case !status.Open():
		s.reported.Store(true)
		s.c.PostAbort()
		return OK
	}
	if read {
		// What arrived, or still does, can be read, as on Linux; then there is the end.
		s.StopReading()
	}
	if write {
		s.StopWriting()
		s.c.PostCloseWrite()
	}
	return OK
}

// Close gives the connection up: by RST if abort says so, or with data unread; else what
// was written is still sent. The caller who lingers asks Sent afterwards.
func (s *Stream) Close(abort bool) syscall.Errno {
	if !s.Retire() {
		return syscall.EBADF
	}
	s.Finish(abort)
	return OK
}

// Retire is the first half of Close, for callers that must see others out of Read and Write
// before the second: from now on these say EBADF. It says whether this is the first close.
func (s *Stream) Retire() bool { return !s.closed.Swap(true) }

// Finish is the second half of Close.
func (s *Stream) Finish(abort bool) {
	if abort {
		s.c.PostAbort()
	} else {
		s.c.PostClose()
	}
}

// Closed says whether Close or Retire was called.
func (s *Stream) Closed() bool { return s.closed.Load() }

// StopReading has Read return the end once what is there has been read, and StopWriting has
// Write say EPIPE. The connection does not hear of it.
func (s *Stream) StopReading() { s.readShut.Store(true) }

// StopWriting is explained with StopReading.
func (s *Stream) StopWriting() { s.writeShut.Store(true) }

// ReadStopped and WriteStopped say whether that was done.
func (s *Stream) ReadStopped() bool { return s.readShut.Load() }

// WriteStopped is explained with ReadStopped.
func (s *Stream) WriteStopped() bool { return s.writeShut.Load() }

// Sent says whether the peer has acknowledged all, or never will: the end of lingering.
func (s *Stream) Sent() bool {
	status := s.c.Status()
	return status.SendFinished() || status.Gone()
}

// Opened says how the handshake stands: OK, EINPROGRESS, or why it failed.
func (s *Stream) Opened() syscall.Errno {
	status := s.c.Status()
	switch {
	case status.Gone() && (!status.Open() || s.pending(status) != OK):
		if err := s.TakeError(); err != OK {
			return err
		}
		return syscall.ECONNABORTED
	case status.Open():
		return OK
	}
	return syscall.EINPROGRESS
}

// TakeError returns the errno that ended the connection and was not reported before, as
// SO_ERROR does, or OK.
func (s *Stream) TakeError() syscall.Errno {
	err := s.pending(s.c.Status())
	if err == OK || s.KeepError {
		return err
	}
	if s.reported.Swap(true) {
		return OK
	}
	return err
}

// pending is the errno that waits to be reported.
func (s *Stream) pending(status engine.Status) syscall.Errno {
	if !status.Gone() || s.reported.Load() {
		return OK
	}
	if status.Cause() == engine.Reset && status.PeerFinished() && !s.writeShut.Load() {
		// The peer has said all it had to say: only our data is in vain.
		return syscall.EPIPE
	}
	return Errno(status.Cause())
}

// resting says whether a connection is in TIME-WAIT: to its application it is over.
func resting(s engine.Status) bool { return s.State() == tcp.StateTimeWait }

// Errno returns the errno for the end of a connection; OK for one in good order, or that we
// ended ourselves.
func Errno(cause engine.Cause) syscall.Errno {
	switch cause {
	case engine.Refused:
		return syscall.ECONNREFUSED
	case engine.Reset:
		return syscall.ECONNRESET
	case engine.TimedOut:
		return syscall.ETIMEDOUT
	case engine.Unreachable:
		return syscall.EHOSTUNREACH
	case engine.NetUnreachable:
		return syscall.ENETUNREACH
	case engine.NoProtocol:
		return syscall.ENOPROTOOPT
	case engine.None, engine.Aborted:
	}
	return OK
}
