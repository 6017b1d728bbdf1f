package socket

import (
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// Settings are the options of a socket that calls of its own obey, not the connection.
type Settings struct {
	NonBlocking bool
	// Linger is what Close does with what is not acknowledged, in seconds: less than zero is
	// in the background, 0 is RST.
	Linger int
	// RecvTimeout and SendTimeout bound a call that blocks; 0 is for ever.
	RecvTimeout, SendTimeout time.Duration
}

// Settings returns the settings, to be read and changed.
func (s *Socket) Settings() *Settings { return &s.set }

// change applies f to the connection, if there is one.
func (s *Socket) change(f func(c *tcp.Conn)) {
	if s.stream != nil && !s.stream.c.Status().Gone() {
		f(s.stream.c.TCP())
		s.stream.c.Touch()
	}
}

// SetNoDelay is TCP_NODELAY.
func (s *Socket) SetNoDelay(on bool) {
	s.opts.NoDelay = on
	s.change(func(c *tcp.Conn) { c.SetNoDelay(on) })
}

// SetKeepAlive is SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT; zero keeps what
// is set.
func (s *Socket) SetKeepAlive(now mono.Time, on bool, idle, interval time.Duration, count int) {
	o := &s.opts
	o.KeepAlive = on
	if idle > 0 {
		o.KeepIdle = idle
	}
	if interval > 0 {
		o.KeepInterval = interval
	}
	if count > 0 {
		o.KeepCount = count
	}
	s.change(func(c *tcp.Conn) { c.SetKeepAlive(now, on, o.KeepIdle, o.KeepInterval, o.KeepCount) })
}

// KeepAlive says whether SO_KEEPALIVE is on.
func (s *Socket) KeepAlive() bool { return s.opts.KeepAlive }

// SetCork is TCP_CORK: nothing less than a full segment is sent while it is on, for a while.
func (s *Socket) SetCork(on bool) {
	s.change(func(c *tcp.Conn) { c.SetCork(on) })
}

// SetQuickACK is TCP_QUICKACK: acknowledge at once, or as the peer's manner asks for.
func (s *Socket) SetQuickACK(on bool) {
	s.change(func(c *tcp.Conn) { c.SetQuickACK(on) })
}

// SetMSS is TCP_MAXSEG: the most that a segment carries either way, for connections to come.
// A listener forgets what is half open.
func (s *Socket) SetMSS(now mono.Time, octets int) syscall.Errno {
	cfg := *s.config()
	cfg.MSS = octets
	s.opts.TCP = &cfg
	if s.listen == nil {
		return OK
	}
	q := s.listen
	q.l.Close(now)
	l, err := s.eng.Listen(engine.ListenConfig{Local: s.local, Options: s.opts, Acceptor: q})
	if err != nil {
		return engineErrno(err)
	}
	q.l = l
	return OK
}

// config is what the socket's connections have instead of the engine's.
func (s *Socket) config() *tcp.Config {
	if s.opts.TCP != nil {
		return s.opts.TCP
	}
	return &s.base
}

// SetUserTimeout is TCP_USER_TIMEOUT.
func (s *Socket) SetUserTimeout(now mono.Time, d time.Duration) {
	s.opts.UserTimeout = d
	s.change(func(c *tcp.Conn) { c.SetUserTimeout(now, d) })
}

// SetBuffers is SO_RCVBUF and SO_SNDBUF in octets of data; 0 keeps what is set. The window
// scale is settled by the handshake.
func (s *Socket) SetBuffers(recv, send int) {
	if recv > 0 {
		s.opts.RecvBuffer = recv
	}
	if send > 0 {
		s.opts.SendBuffer = send
	}
	if s.stream == nil {
		return
	}
	if recv > 0 {
		s.change((*tcp.Conn).FixReceiveBuffer)
		s.stream.c.Recv().SetLimit(recv)
		s.stream.c.PostRead()
	}
	if send > 0 {
		s.change((*tcp.Conn).FixSendBuffer)
		s.stream.c.Send().SetLimit(send)
	}
}

// SetCongestion is TCP_CONGESTION: of the connection, which it takes over, or of those to come.
func (s *Socket) SetCongestion(now mono.Time, algorithm func() congestion.Algorithm) {
	cfg := *s.config()
	cfg.Congestion = algorithm
	s.opts.TCP = &cfg
	s.change(func(c *tcp.Conn) { c.SetAlgorithm(now, algorithm()) })
}
