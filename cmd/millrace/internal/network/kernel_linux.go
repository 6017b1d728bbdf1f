package network

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawConn calls f with the descriptor of a kernel's connection.
func rawConn(c net.Conn, f func(fd int) error) error {
	s, ok := c.(syscall.Conn)
	if !ok {
		return ErrNoInfo
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = f(int(fd)) })
	if cerr != nil {
		return cerr
	}
	return err
}

// kernelInfo asks for TCP_INFO, see tcp(7).
func kernelInfo(c net.Conn) (info Info, ok bool) {
	err := rawConn(c, func(fd int) error {
		t, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		info = Info{
			Retransmits: int64(t.Total_retrans),
			Cwnd:        int64(t.Snd_cwnd) * int64(t.Snd_mss),
			SndWnd:      int64(t.Snd_wnd),
			RTT:         time.Duration(t.Rtt) * time.Microsecond,
			RTTVar:      time.Duration(t.Rttvar) * time.Microsecond,
			PMTU:        int(t.Pmtu),
		}
		info.Congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return err
	})
	return info, err == nil
}

// kernelAbout names the kernel's TCP and its congestion control.
func kernelAbout(congestion string) string {
	read := func(name string) string {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(b))
	}
	if congestion == "" {
		congestion = read("net/ipv4/tcp_congestion_control")
	}
	return "Linux " + read("kernel/osrelease") + ", " + congestion
}

func setKernelCongestion(c net.Conn, name string) error {
	return rawConn(c, func(fd int) error { return setCongestion(fd, name) })
}

func setCongestion(fd int, name string) error {
	err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	if err != nil {
		return fmt.Errorf("network: set the kernel's congestion control %q: %w", name, err)
	}
	return nil
}

// control returns a net.Dialer.Control that chooses the congestion control.
func control(congestion string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		cerr := c.Control(func(fd uintptr) { err = setCongestion(int(fd), congestion) })
		if cerr != nil {
			return cerr
		}
		return err
	}
}
