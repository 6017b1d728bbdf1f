package socket

import (
	"errors"
	"net/netip"
	"syscall"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// Socket is a socket as a program has it before it knows what will become of it: it is
// bound, and then listens or connects. It is driven on the worker of its engine: calls take
// the time, and belong to one goroutine.
type Socket struct {
	eng  *engine.Engine
	base tcp.Config // the engine's
	opts engine.Options
	set  Settings

	local  netip.AddrPort
	bound  bool
	stream *Stream // connecting, or connected
	opened bool    // connect has said so
	listen *listening
	closed bool
	peeked []byte // read by Peek, and not yet by Read
}

// listening is a socket's accept queue.
type listening struct {
	l     *engine.Listener
	queue []*engine.Conn
	limit int
}

// Full implements engine.Acceptor. Linux takes one connection more than the backlog.
func (q *listening) Full() bool { return len(q.queue) > q.limit }

// Accept implements engine.Acceptor.
func (q *listening) Accept(c *engine.Conn) { q.queue = append(q.queue, c) }

// New returns a socket of e, whose connections are as base says. That is what the engine
// was made with.
func New(e *engine.Engine, base tcp.Config) *Socket {
	return &Socket{eng: e, base: base, set: Settings{Linger: -1}}
}

// Stream returns the connection's side of the socket; nil before Connect.
func (s *Socket) Stream() *Stream { return s.stream }

// Bind chooses the local address and port.
func (s *Socket) Bind(local netip.AddrPort) syscall.Errno {
	if s.bound || s.stream != nil || s.listen != nil {
		return syscall.EINVAL
	}
	s.local, s.bound = local, true
	return OK
}

// Listen makes the socket accept connections, backlog of which may wait.
func (s *Socket) Listen(backlog int) syscall.Errno {
	switch {
	case s.stream != nil:
		return syscall.EINVAL
	case s.listen != nil:
		s.listen.limit = max(0, backlog)
		return OK
	}
	q := &listening{limit: max(0, backlog)}
	l, err := s.eng.Listen(engine.ListenConfig{Local: s.local, Options: s.opts, Acceptor: q})
	if err != nil {
		return engineErrno(err)
	}
	q.l, s.listen = l, q
	return OK
}

// Accept takes the first connection that waits.
func (s *Socket) Accept() (*Socket, syscall.Errno) {
	switch {
	case s.listen == nil:
		return nil, syscall.EINVAL
	case len(s.listen.queue) == 0:
		return nil, syscall.EAGAIN
	}
	c := s.listen.queue[0]
	s.listen.queue = s.listen.queue[1:]
	child := &Socket{eng: s.eng, base: s.base, opts: s.opts, set: s.set, local: s.local, bound: true, opened: true}
	child.stream = new(Stream)
	child.stream.Bind(c)
	return child, OK
}

// Connect starts to connect, or says how that stands: EINPROGRESS when it has begun by this
// call, EALREADY when it was under way before, OK once when it is done, and then EISCONN.
func (s *Socket) Connect(now mono.Time, remote netip.AddrPort) syscall.Errno {
	switch {
	case s.listen != nil:
		return syscall.EISCONN
	case s.opened:
		return syscall.EISCONN
	case s.stream != nil:
		err := s.Connected()
		if err == syscall.EINPROGRESS {
			return syscall.EALREADY
		}
		return err
	}
	c, err := s.eng.Connect(now, engine.ConnectConfig{Local: s.local, Remote: remote, Options: s.opts})
	if err != nil {
		return engineErrno(err)
	}
	s.stream = new(Stream)
	s.stream.Bind(c)
	return syscall.EINPROGRESS
}

// Connected says how the attempt to connect stands. After a failure the socket may connect
// again.
func (s *Socket) Connected() syscall.Errno {
	err := s.stream.Opened()
	switch err {
	case OK:
		s.opened = true
	case syscall.EINPROGRESS:
	default:
		s.stream = nil
	}
	return err
}

// Read is Stream.Read.
func (s *Socket) Read(b []byte) (int, syscall.Errno) {
	if s.stream == nil {
		return 0, syscall.ENOTCONN
	}
	n := copy(b, s.peeked)
	if n == 0 {
		return s.stream.Read(b)
	}
	s.peeked = s.peeked[n:]
	if n < len(b) && s.stream.c.Recv().Len() > 0 {
		more, _ := s.stream.Read(b[n:])
		n += more
	}
	return n, OK
}

// Peek is Read, but what it returns stays to be read.
func (s *Socket) Peek(b []byte) (int, syscall.Errno) {
	if s.stream == nil {
		return 0, syscall.ENOTCONN
	}
	if len(s.peeked) < len(b) {
		more := make([]byte, len(b)-len(s.peeked))
		n, err := s.stream.Read(more)
		if n == 0 && len(s.peeked) == 0 {
			return 0, err
		}
		s.peeked = append(s.peeked, more[:n]...)
	}
	return copy(b, s.peeked), OK
}

// Write is Stream.Write.
func (s *Socket) Write(b []byte) (int, syscall.Errno) {
	if s.stream == nil {
		return 0, syscall.EPIPE
	}
	return s.stream.Write(b)
}

// Shutdown is Stream.Shutdown. A listener that reads no more listens no more.
func (s *Socket) Shutdown(now mono.Time, read, write bool) syscall.Errno {
	switch {
	case s.listen != nil:
		if read {
			s.stopListening(now)
		}
		return OK
	case s.stream == nil:
		return syscall.ENOTCONN
	}
	connecting := s.stream.Opened() == syscall.EINPROGRESS
	err := s.stream.Shutdown(read, write)
	if read && err == OK {
		s.change((*tcp.Conn).EndRead)
	}
	if connecting && err == OK {
		s.stream = nil
	}
	return err
}

// Close gives the socket up. It says whether the caller has to linger until Stream().Sent.
func (s *Socket) Close(now mono.Time) (lingers bool) {
	s.closed = true
	if s.listen != nil {
		s.stopListening(now)
	}
	if s.stream == nil {
		return false
	}
	s.stream.Close(s.set.Linger == 0 || len(s.peeked) > 0)
	return s.set.Linger > 0
}

// stopListening resets the connections that nobody has accepted.
func (s *Socket) stopListening(now mono.Time) {
	s.listen.l.Close(now)
	for _, c := range s.listen.queue {
		c.PostAbort()
	}
	s.listen = nil
}

// Ready is what poll says.
func (s *Socket) Ready() Ready {
	switch {
	case s.listen != nil:
		if len(s.listen.queue) > 0 {
			return In
		}
		return 0
	case s.stream == nil:
		return Out | Hup
	}
	r := s.stream.Ready()
	if len(s.peeked) > 0 {
		r |= In
	}
	return r
}

// TakeError is SO_ERROR: the error that waits, which is none afterwards.
func (s *Socket) TakeError() syscall.Errno {
	if s.stream == nil {
		return OK
	}
	return s.stream.TakeError()
}

// Unread is SIOCINQ: how many octets can be read.
func (s *Socket) Unread() (int, syscall.Errno) {
	if s.listen != nil {
		return 0, syscall.EINVAL
	}
	if s.stream == nil {
		return 0, OK
	}
	return len(s.peeked) + s.stream.c.Recv().Len(), OK
}

// Unacked is SIOCOUTQ: how many octets were written and are not acknowledged. A FIN that was
// sent counts as one.
func (s *Socket) Unacked() (int, syscall.Errno) {
	if s.listen != nil {
		return 0, syscall.EINVAL
	}
	if s.stream == nil {
		return 0, OK
	}
	n := s.stream.c.Send().Len()
	switch s.stream.c.Status().State() {
	case tcp.StateFinWait1, tcp.StateClosing, tcp.StateLastAck:
		n++
	default:
	}
	return n, OK
}

// engineErrno translates the refusals of an engine.
func engineErrno(err error) syscall.Errno {
	switch {
	case errors.Is(err, engine.ErrInUse):
		return syscall.EADDRINUSE
	case errors.Is(err, engine.ErrUnreachable):
		return syscall.EHOSTUNREACH
	case errors.Is(err, engine.ErrFamily):
		return syscall.EAFNOSUPPORT
	}
	return syscall.ENOBUFS
}
