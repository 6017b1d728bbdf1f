//go:build !linux

package network

import (
	"errors"
	"net"
	"syscall"
)

func kernelInfo(net.Conn) (Info, bool) { return Info{}, false }

func kernelAbout(string) string { return "the system's TCP" }

func setKernelCongestion(net.Conn, string) error { return ErrNoInfo }

func control(string) func(network, address string, c syscall.RawConn) error {
	return func(string, string, syscall.RawConn) error {
		return errors.New("network: this system's congestion control cannot be chosen")
	}
}
