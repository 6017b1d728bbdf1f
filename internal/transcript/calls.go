package transcript

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// file is what a file descriptor stands for.
type file struct {
	*socket.Socket
	wrote, read int              // octets, for their pattern
	values      map[string]int64 // options that were set
	name        string           // of the congestion control
}

var errArguments = errors.New("the arguments are not understood")

// prepare makes an operation of a call.
func (p *player) prepare(c *pktdrill.Call) (operation, error) {
	if c.Name == "socket" {
		return p.open(c), nil
	}
	if c.Name == "poll" {
		return p.poll(c)
	}
	fd, ok := argument(c, 0)
	if !ok {
		return operation{}, fmt.Errorf("%s(): %w", c.Name, errArguments)
	}
	f := p.fds[int(fd)]
	if f == nil {
		return always(failed(syscall.EBADF)), nil
	}
	switch c.Name {
	case "bind":
		return always(failed(f.Bind(p.address(c, 1, netip.AddrPortFrom(p.local, bindPort))))), nil
	case "listen":
		return p.listen(f, c), nil
	case "accept", "accept4":
		return p.accept(f, c), nil
	case "connect":
		return p.connect(f, c), nil
	case "close":
		return p.close(f, int(fd)), nil
	case "shutdown":
		how, ok := argument(c, 1)
		if !ok || how < 0 || how > 2 {
			return always(failed(syscall.EINVAL)), nil
		}
		return always(failed(f.Shutdown(p.now, how != 1, how != 0))), nil
	case "fcntl":
		return p.fcntl(f, c), nil
	case "ioctl":
		return p.ioctl(f, c)
	case "getsockopt":
		return p.getOption(f, c)
	case "setsockopt":
		return p.setOption(f, c)
	case "read", "readv", "recv", "recvfrom", "recvmsg", "write", "writev", "send", "sendto", "sendmsg":
		return p.transfer(f, c)
	}
	return operation{}, fmt.Errorf("the system call %s is not played", c.Name)
}

// argument is the number of an argument.
func argument(c *pktdrill.Call, i int) (int64, bool) {
	if i >= len(c.Args) {
		return 0, false
	}
	return value(c.Args[i])
}

// always is an operation that is over at once.
func always(o outcome) operation {
	return operation{until: mono.Never, try: func(bool) (outcome, bool) { return o, true }}
}

// add gives a socket the file descriptor that the script calls it by, or the next one.
func (p *player) add(f *file, c *pktdrill.Call) int {
	fd := 3
	for p.fds[fd] != nil {
		fd++
	}
	if n, ok := value(c.Result); ok && n >= 0 && p.fds[int(n)] == nil {
		fd = int(n)
	}
	p.fds[fd] = f
	return fd
}

func (p *player) open(c *pktdrill.Call) operation {
	f := &file{Socket: socket.New(p.eng, p.hints.engine().TCP), values: make(map[string]int64), name: p.hints.congestion}
	if kind, ok := argument(c, 1); ok {
		f.Settings().NonBlocking = kind&0x800 != 0
	}
	return always(outcome{n: int64(p.add(f, c))})
}

// address is a socket address among the arguments, or what is usual.
func (p *player) address(c *pktdrill.Call, i int, usual netip.AddrPort) netip.AddrPort {
	if i >= len(c.Args) || c.Args[i].Kind != pktdrill.List {
		return usual
	}
	if e, ok := c.Args[i].Get("sin_port"); ok {
		if port, ok := value(e); ok {
			return netip.AddrPortFrom(usual.Addr(), uint16(port))
		}
	}
	return usual
}

func (p *player) listen(f *file, c *pktdrill.Call) operation {
	backlog, _ := argument(c, 1)
	err := f.Listen(int(backlog))
	if err == socket.OK {
		p.listenFlow(bindPort)
	}
	return always(failed(err))
}

func (p *player) accept(f *file, c *pktdrill.Call) operation {
	flags, _ := argument(c, 3)
	return p.blocking(f, false, f.Settings().RecvTimeout, func() (outcome, bool) {
		child, err := f.Accept()
		if err != socket.OK {
			return failed(err), err != syscall.EAGAIN
		}
		child.Settings().NonBlocking = flags&0x800 != 0
		values := make(map[string]int64)
		for k, v := range f.values {
			values[k] = v
		}
		return done(p.add(&file{Socket: child, values: values, name: f.name}, c))
	})
}

// blocking is an operation that tries until it is over, but once only if the socket does
// not block.
func (p *player) blocking(f *file, once bool, timeout time.Duration, try func() (outcome, bool)) operation {
	once = once || f.Settings().NonBlocking
	op := operation{until: mono.Never}
	if timeout > 0 {
		op.until = p.now.Add(timeout)
	}
	op.try = func(expired bool) (outcome, bool) {
		got, over := try()
		return got, over || once || expired
	}
	return op
}

func (p *player) connect(f *file, c *pktdrill.Call) operation {
	remote := p.address(c, 1, netip.AddrPortFrom(p.remote, connectPort))
	before := f.Stream()
	err := f.Connect(p.now, remote)
	if s := f.Stream(); s != nil && s != before {
		p.connectFlow(s.Conn().LocalAddr().Port(), remote)
	}
	if err != syscall.EINPROGRESS && err != syscall.EALREADY || f.Settings().NonBlocking {
		return always(failed(err))
	}
	return p.blocking(f, false, f.Settings().SendTimeout, func() (outcome, bool) {
		err := f.Connected()
		return failed(err), err != syscall.EINPROGRESS
	})
}

func (p *player) close(f *file, fd int) operation {
	delete(p.fds, fd)
	lingers := f.Close(p.now)
	if !lingers || f.Settings().NonBlocking {
		return always(outcome{})
	}
	return p.blocking(f, false, time.Duration(f.Settings().Linger)*time.Second, func() (outcome, bool) {
		return outcome{}, f.Stream().Sent()
	})
}

func (p *player) fcntl(f *file, c *pktdrill.Call) operation {
	set := f.Settings()
	if len(c.Args) > 1 && len(c.Args[1].Words) == 1 {
		switch flags, _ := argument(c, 2); c.Args[1].Words[0] {
		case "F_GETFL":
			n := int64(2)
			if set.NonBlocking {
				n |= 0x800
			}
			return always(outcome{n: n})
		case "F_SETFL":
			set.NonBlocking = flags&0x800 != 0
			return always(outcome{})
		}
	}
	return always(failed(syscall.EINVAL))
}

func (p *player) ioctl(f *file, c *pktdrill.Call) (operation, error) {
	if len(c.Args) < 3 || len(c.Args[1].Words) != 1 {
		return operation{}, fmt.Errorf("ioctl(): %w", errArguments)
	}
	var n int
	var err syscall.Errno
	switch c.Args[1].Words[0] {
	case "SIOCINQ", "FIONREAD", "TIOCINQ":
		n, err = f.Unread()
	case "SIOCOUTQ", "TIOCOUTQ":
		n, err = f.Unacked()
	case "SIOCOUTQNSD":
		if s := f.Stream(); s != nil {
			n = s.Conn().TCP().Info(p.now).NotSent
		}
	default:
		return operation{}, fmt.Errorf("ioctl %s is not played", c.Args[1].Words[0])
	}
	o := failed(err)
	if want, ok := argument(c, 2); ok && err == socket.OK && want != int64(n) {
		o.err = fmt.Errorf("%s is to be %d, it is %d", c.Args[1].Words[0], want, n)
	}
	return always(o), nil
}

// poll waits until a socket is ready.
func (p *player) poll(c *pktdrill.Call) (operation, error) {
	timeout, ok := argument(c, 2)
	if !ok || c.Args[0].Kind != pktdrill.List {
		return operation{}, fmt.Errorf("poll(): %w", errArguments)
	}
	fds := c.Args[0].Items
	op := operation{until: mono.Never}
	if timeout >= 0 {
		op.until = p.now.Add(time.Duration(timeout) * time.Millisecond)
	}
	op.try = func(expired bool) (outcome, bool) {
		ready := 0
		var differs error
		for i := range fds {
			got, want := p.revents(&fds[i])
			if got != 0 {
				ready++
			}
			if got != want {
				differs = fmt.Errorf("revents of item %d are to be %#x, they are %#x", i, want, got)
			}
		}
		return outcome{n: int64(ready), err: differs}, ready > 0 || expired
	}
	return op, nil
}

// revents is what poll says of one descriptor, and what the script says.
func (p *player) revents(e *pktdrill.Expr) (got, want int64) {
	number := func(field string) int64 {
		item, _ := e.Get(field)
		v, _ := value(item)
		return v
	}
	want = number("revents")
	fd := int(number("fd"))
	f := p.fds[fd]
	switch {
	case fd < 0: // to be left out
		return 0, want
	case f == nil:
		return 0x20, want
	}
	r := int64(f.Ready())
	// The normal-data bits go with the plain ones.
	r |= r & 1 << 6
	r |= r & 4 << 6
	return r & (number("events") | int64(socket.Err|socket.Hup)), want
}
