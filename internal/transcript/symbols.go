package transcript

import (
	"syscall"

	"github.com/millrace-tcp/millrace/internal/pktdrill"
)

// value is the number of an argument, and whether it has one.
func value(e pktdrill.Expr) (int64, bool) {
	switch e.Kind {
	case pktdrill.Int:
		return e.Int, true
	case pktdrill.Word:
		sum := e.Int
		for _, w := range e.Words {
			v, ok := symbol(w)
			if !ok {
				return 0, false
			}
			sum |= v
		}
		return sum, true
	case pktdrill.Apply:
		if len(e.Items) == 1 && e.Text == "htons" {
			return value(e.Items[0])
		}
	case pktdrill.List:
		if len(e.Items) == 1 {
			return value(e.Items[0])
		}
	case pktdrill.Ellipsis, pktdrill.String:
	}
	return 0, false
}

// symbol is the number of a name, as on Linux.
func symbol(name string) (int64, bool) {
	symbols := map[string]int64{
		"O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_NONBLOCK": 0x800,
		"SOCK_STREAM": 1, "SOCK_NONBLOCK": 0x800, "SOCK_CLOEXEC": 0x80000,
		"SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
		"MSG_PEEK": 2, "MSG_DONTWAIT": 0x40, "MSG_WAITALL": 0x100, "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000,
		"MSG_OOB": 1, "MSG_TRUNC": 0x20, "MSG_EOR": 0x80, "MSG_ERRQUEUE": 0x2000, "MSG_ZEROCOPY": 0x4000000,
		"MSG_FASTOPEN": 0x20000000,
		"POLLIN":       1, "POLLPRI": 2, "POLLOUT": 4, "POLLERR": 8, "POLLHUP": 0x10, "POLLNVAL": 0x20,
		"IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3,
		"POLLRDNORM": 0x40, "POLLWRNORM": 0x100, "POLLRDHUP": 0x2000,
	}
	if v, ok := symbols[name]; ok {
		return v, true
	}
	if e, ok := errnos()[name]; ok {
		return int64(e), true
	}
	return 0, false
}

// errnos are the errors that calls on TCP sockets return.
func errnos() map[string]syscall.Errno {
	return map[string]syscall.Errno{
		"EAGAIN": syscall.EAGAIN, "EWOULDBLOCK": syscall.EAGAIN, "EBADF": syscall.EBADF,
		"EINVAL": syscall.EINVAL, "EPIPE": syscall.EPIPE, "EINPROGRESS": syscall.EINPROGRESS,
		"EALREADY": syscall.EALREADY, "EISCONN": syscall.EISCONN, "ENOTCONN": syscall.ENOTCONN,
		"ECONNREFUSED": syscall.ECONNREFUSED, "ECONNRESET": syscall.ECONNRESET,
		"ECONNABORTED": syscall.ECONNABORTED, "ETIMEDOUT": syscall.ETIMEDOUT,
		"EHOSTUNREACH": syscall.EHOSTUNREACH, "ENETUNREACH": syscall.ENETUNREACH,
		"EADDRINUSE": syscall.EADDRINUSE, "ENOPROTOOPT": syscall.ENOPROTOOPT, "ENOENT": syscall.ENOENT,
		"EOPNOTSUPP": syscall.EOPNOTSUPP, "EAFNOSUPPORT": syscall.EAFNOSUPPORT, "ENOBUFS": syscall.ENOBUFS,
		"EDESTADDRREQ": syscall.EDESTADDRREQ, "EFAULT": syscall.EFAULT, "EMSGSIZE": syscall.EMSGSIZE,
		"EACCES": syscall.EACCES,
	}
}

// sameErrno says whether two names mean one error: EWOULDBLOCK is EAGAIN.
func sameErrno(a, b string) bool {
	x, known := errnos()[a]
	return a == b || known && x == errnos()[b]
}

func errnoName(e syscall.Errno) string {
	for name, v := range errnos() {
		if v == e && name != "EWOULDBLOCK" {
			return name
		}
	}
	return e.Error()
}
