package stack

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/millrace-tcp/millrace/stack/engine"
)

// sysError is an errno as package net reports one: as of a system call.
func sysError(call string, errno syscall.Errno) error { return os.NewSyscallError(call, errno) }

// causeError translates why a connection ended. call is the system call that would have
// said so.
func causeError(call string, cause engine.Cause) error {
	switch cause {
	case engine.None:
		return sysError(call, syscall.EPIPE)
	case engine.Refused:
		return sysError(call, syscall.ECONNREFUSED)
	case engine.Reset:
		return sysError(call, syscall.ECONNRESET)
	case engine.TimedOut:
		return sysError(call, syscall.ETIMEDOUT)
	case engine.Unreachable:
		return sysError(call, syscall.EHOSTUNREACH)
	case engine.NetUnreachable:
		return sysError(call, syscall.ENETUNREACH)
	case engine.NoProtocol:
		return sysError(call, syscall.ENOPROTOOPT)
	case engine.Aborted:
		return sysError(call, syscall.ECONNABORTED)
	}
	return sysError(call, syscall.ECONNABORTED)
}

// engineError translates the refusals of an engine.
func engineError(call string, err error) error {
	switch {
	case errors.Is(err, engine.ErrInUse):
		return sysError(call, syscall.EADDRINUSE)
	case errors.Is(err, engine.ErrClosed):
		return net.ErrClosed
	case errors.Is(err, engine.ErrConnsMax), errors.Is(err, engine.ErrMemory):
		return sysError(call, syscall.ENOBUFS)
	case errors.Is(err, engine.ErrUnreachable):
		return sysError(call, syscall.EHOSTUNREACH)
	case errors.Is(err, engine.ErrFamily):
		return sysError(call, syscall.EAFNOSUPPORT)
	}
	return err
}

// dialTimeout is what a dialer returns whose time is over: the same to test for as in net.
type dialTimeout struct{}

func (dialTimeout) Error() string   { return "i/o timeout" }
func (dialTimeout) Timeout() bool   { return true }
func (dialTimeout) Temporary() bool { return true }
func (dialTimeout) Is(err error) bool {
	return err == context.DeadlineExceeded || err == os.ErrDeadlineExceeded
}

// contextError translates the end of a context.
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return dialTimeout{}
	}
	return err
}

// opError wraps err as package net does.
func opError(op string, local, remote net.Addr, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: local, Addr: remote, Err: err}
}
