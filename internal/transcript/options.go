package transcript

import (
	"fmt"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/internal/pktdrill"
	"github.com/millrace-tcp/millrace/stack/socket"
)

// optionName is the name of the option that a call is about.
func optionName(c *pktdrill.Call) (string, bool) {
	if len(c.Args) < 4 || len(c.Args[2].Words) != 1 {
		return "", false
	}
	return c.Args[2].Words[0], true
}

// setOption is setsockopt.
func (p *player) setOption(f *file, c *pktdrill.Call) (operation, error) {
	name, ok := optionName(c)
	if !ok {
		return operation{}, fmt.Errorf("setsockopt(): %w", errArguments)
	}
	arg := c.Args[3]
	switch name {
	case "SO_LINGER":
		on, _ := arg.Get("onoff")
		seconds, _ := arg.Get("linger")
		f.Settings().Linger = -1
		if on.Int != 0 {
			f.Settings().Linger = int(seconds.Int)
			f.values["linger"] = seconds.Int
		}
		return always(outcome{}), nil
	case "TCP_CONGESTION":
		return p.setCongestion(f, arg.Text), nil
	case "SO_RCVTIMEO", "SO_SNDTIMEO":
		d := interval(arg)
		if name == "SO_RCVTIMEO" {
			f.Settings().RecvTimeout = d
		} else {
			f.Settings().SendTimeout = d
		}
		return always(outcome{}), nil
	}
	n, ok := value(arg)
	if !ok {
		return operation{}, fmt.Errorf("setsockopt(%s): %w", name, errArguments)
	}
	err := p.setNumber(f, name, n)
	if err == socket.OK {
		f.values[name] = n
	}
	return always(failed(err)), nil
}

// interval is a struct timeval: {tv_sec=1, tv_usec=0}, or without names.
func interval(e pktdrill.Expr) time.Duration {
	if len(e.Items) == 1 && e.Items[0].Kind == pktdrill.List {
		e = e.Items[0]
	}
	var d time.Duration
	for i, unit := range []time.Duration{time.Second, time.Microsecond} {
		if i < len(e.Items) {
			d += time.Duration(e.Items[i].Int) * unit
		}
	}
	return d
}

func (p *player) setCongestion(f *file, name string) operation {
	if _, _, err := catalog.All().Parse(name); err != nil {
		return always(failed(syscall.ENOENT))
	}
	f.name = name
	f.SetCongestion(p.now, algorithm(name))
	return always(outcome{})
}

// setNumber sets an option that is a number, with the bounds that Linux has.
func (p *player) setNumber(f *file, name string, n int64) syscall.Errno {
	within := func(low, high int64) bool { return n >= low && n <= high }
	seconds := time.Duration(n) * time.Second
	keep := f.values["SO_KEEPALIVE"] != 0
	switch name {
	case "SO_REUSEADDR", "SO_REUSEPORT", "TCP_DEFER_ACCEPT", "TCP_SYNCNT", "TCP_NOTSENT_LOWAT", "SO_PRIORITY",
		"IP_TOS", "IP_MTU_DISCOVER", "IPV6_V6ONLY", "SO_MARK", "SO_RCVLOWAT", "TCP_LINGER2", "IP_RECVERR", "SO_OOBINLINE":
	case "SO_RCVBUF":
		f.SetBuffers(int(max(n, 1152)), 0)
	case "SO_SNDBUF":
		f.SetBuffers(0, int(max(2*n, 4608)))
	case "SO_KEEPALIVE":
		f.SetKeepAlive(p.now, n != 0, 0, 0, 0)
	case "TCP_KEEPIDLE", "TCP_KEEPINTVL":
		if !within(1, 32767) {
			return syscall.EINVAL
		}
		if name == "TCP_KEEPIDLE" {
			f.SetKeepAlive(p.now, keep, seconds, 0, 0)
		} else {
			f.SetKeepAlive(p.now, keep, 0, seconds, 0)
		}
	case "TCP_KEEPCNT":
		if !within(1, 127) {
			return syscall.EINVAL
		}
		f.SetKeepAlive(p.now, keep, 0, 0, int(n))
	case "TCP_USER_TIMEOUT":
		if n < 0 {
			return syscall.EINVAL
		}
		f.SetUserTimeout(p.now, time.Duration(n)*time.Millisecond)
	case "TCP_NODELAY":
		f.SetNoDelay(n != 0)
	case "TCP_CORK":
		f.SetCork(n != 0)
	case "TCP_QUICKACK":
		f.SetQuickACK(n != 0)
	case "TCP_MAXSEG":
		if n != 0 && !within(88, 32767) {
			return syscall.EINVAL
		}
		return f.SetMSS(p.now, int(n))
	default:
		return syscall.ENOPROTOOPT
	}
	return socket.OK
}

// getOption is getsockopt: the argument holds what it must say.
func (p *player) getOption(f *file, c *pktdrill.Call) (operation, error) {
	name, ok := optionName(c)
	if !ok {
		return operation{}, fmt.Errorf("getsockopt(): %w", errArguments)
	}
	arg := c.Args[3]
	if name == "TCP_INFO" {
		return always(outcome{}), nil // its fields are what assertions are about
	}
	if name == "TCP_CONGESTION" {
		o := outcome{}
		if arg.Kind == pktdrill.String && arg.Text != f.name {
			o.err = fmt.Errorf("TCP_CONGESTION is to be %q, it is %q", arg.Text, f.name)
		}
		return always(o), nil
	}
	if name == "SO_LINGER" {
		return always(lingerIs(f, arg)), nil
	}
	got, known := p.number(f, name)
	if !known {
		return always(failed(syscall.ENOPROTOOPT)), nil
	}
	o := outcome{}
	if want, ok := value(arg); ok && want != got {
		o.err = fmt.Errorf("%s is to be %d, it is %d", name, want, got)
	}
	return always(o), nil
}

// lingerIs compares SO_LINGER to what it must say: {onoff=1, linger=2}.
func lingerIs(f *file, want pktdrill.Expr) outcome {
	on, seconds := 0, f.values["linger"]
	if f.Settings().Linger >= 0 {
		on = 1
	}
	for _, field := range []struct {
		name string
		got  int64
	}{{"onoff", int64(on)}, {"linger", seconds}} {
		if e, ok := want.Get(field.name); ok && e.Int != field.got {
			return outcome{err: fmt.Errorf("SO_LINGER's %s is to be %d, it is %d", field.name, e.Int, field.got)}
		}
	}
	return outcome{}
}

// number is what an option says.
func (p *player) number(f *file, name string) (int64, bool) {
	if name == "SO_ERROR" {
		return int64(f.TakeError()), true
	}
	v, set := f.values[name]
	usual := map[string]int64{
		"TCP_NODELAY": 0, "TCP_CORK": 0, "TCP_NOTSENT_LOWAT": 0, "TCP_KEEPIDLE": 7200, "TCP_KEEPINTVL": 75, "TCP_KEEPCNT": 9,
		"SO_KEEPALIVE": 0, "SO_REUSEADDR": 0, "TCP_USER_TIMEOUT": 0, "TCP_QUICKACK": 1, "SO_TYPE": 1,
		"SO_RCVBUF": int64(2 * p.hints.recv[0]), "SO_SNDBUF": int64(p.hints.send[0]), "TCP_MAXSEG": 536,
	}
	switch name {
	case "SO_RCVBUF":
		if set {
			return max(2*v, 2304), true // the least of Linux
		}
	case "SO_SNDBUF":
		if set {
			return max(2*v, 4608), true
		}
	case "TCP_MAXSEG":
		if s := f.Stream(); s != nil && s.Conn().Status().Open() {
			return int64(s.Conn().TCP().Info(p.now).SendMSS), true
		}
	}
	if set {
		return v, true
	}
	v, ok := usual[name]
	return v, ok
}
