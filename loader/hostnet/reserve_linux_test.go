package hostnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

func newHost(t *testing.T) *lab.Host {
	t.Helper()
	testutil.Privileged(t)
	return lab.ForTest(t, lab.Config{}).A
}

func reservePort(h *lab.Host, network, addr string) (*Reservation, error) {
	return reserveOn(h, network, addr, "")
}

func reserveOn(h *lab.Host, network, addr, nic string) (r *Reservation, err error) {
	err = h.Do(func() error {
		r, err = ReservePort(network, netip.MustParseAddrPort(addr), nic)
		return err
	})
	return r, err
}

func mustReserve(t *testing.T, h *lab.Host, network, addr string) *Reservation {
	t.Helper()
	r, err := reservePort(h, network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return r
}

// listen opens a server of the kernel, as another process would.
func listen(t *testing.T, h *lab.Host, network, addr string) (net.Listener, error) {
	t.Helper()
	l, err := h.Listen(network, addr)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

func mustListen(t *testing.T, h *lab.Host, network, addr string) (net.Listener, uint16) {
	t.Helper()
	l, err := listen(t, h, network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return l, l.Addr().(*net.TCPAddr).AddrPort().Port()
}

func wantTaken(t *testing.T, h *lab.Host, port uint16) {
	t.Helper()
	for _, try := range []struct{ network, addr string }{
		{"tcp", ""}, {"tcp4", "0.0.0.0"}, {"tcp6", "[::]"}, {"tcp4", "127.0.0.1"}, {"tcp6", "[::1]"},
		{"tcp4", h.IP4.Addr().String()},
	} {
		l, err := listen(t, h, try.network, fmt.Sprintf("%s:%d", try.addr, port))
		if !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("listen %s %s:%d: error = %v, want EADDRINUSE", try.network, try.addr, port, err)
		}
		if l != nil {
			l.Close()
		}
	}
}

// connection makes one through the server and returns both ends.
func connection(t *testing.T, h *lab.Host, l net.Listener, port uint16) (server, client net.Conn) {
	t.Helper()
	client, err := h.Dial(context.Background(), "tcp", fmt.Sprintf("%v:%d", h.IP4.Addr(), port))
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func TestReservedWildcardIsTakenInBothFamilies(t *testing.T) {
	h := newHost(t)
	for _, any := range []string{"0.0.0.0:0", "[::]:0"} {
		r := mustReserve(t, h, "tcp", any)
		port := r.Addr().Port()
		if addrs := r.Addrs(); port == 0 || len(addrs) != 2 ||
			addrs[0] != netip.AddrPortFrom(netip.IPv4Unspecified(), port) ||
			addrs[1] != netip.AddrPortFrom(netip.IPv6Unspecified(), port) {
			t.Errorf("%s: addresses = %v, want both wildcards", any, addrs)
		}
		wantTaken(t, h, port)
		if _, err := reservePort(h, "tcp", fmt.Sprintf("[::]:%d", port)); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("second reservation: error = %v, want EADDRINUSE", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: error = %v, want net.ErrClosed", err)
		}
		if _, err := listen(t, h, "tcp", fmt.Sprintf(":%d", port)); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestReserveSpellsTheWildcard(t *testing.T) {
	h := newHost(t)
	r := mustReserve(t, h, "tcp", "0.0.0.0:0")
	taken := netip.AddrPortFrom(netip.Addr{}, r.Addr().Port())
	var err error
	if doErr := h.Do(func() error { _, err = ReservePort("tcp", taken, ""); return nil }); doErr != nil {
		t.Fatal(doErr)
	}
	if want := fmt.Sprintf("hostnet: reserve :%d: address already in use", taken.Port()); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// A port may be reserved for each of two interfaces, and no server has it as long as one of them
// has.
func TestReserveForEachInterface(t *testing.T) {
	h := newHost(t)
	first, err := reserveOn(h, "tcp", "[::]:0", h.Interface)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.IPv6Unspecified(), first.Addr().Port()).String()
	if _, err := reserveOn(h, "tcp", addr, h.Interface); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the same interface: error = %v, want EADDRINUSE", err)
	}
	second, err := reserveOn(h, "tcp", addr, "lo")
	if err != nil {
		t.Fatalf("another interface: %v", err)
	}
	for _, r := range []*Reservation{first, second} {
		for _, a := range []string{addr, netip.AddrPortFrom(h.IP4.Addr(), first.Addr().Port()).String()} {
			if _, err := listen(t, h, "tcp", a); !errors.Is(err, unix.EADDRINUSE) {
				t.Errorf("a server at %s: error = %v, want EADDRINUSE", a, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := listen(t, h, "tcp", addr); err != nil {
		t.Errorf("after Close: %v", err)
	}
	if _, err := reserveOn(h, "tcp", "[::]:0", "none"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("no such interface: error = %v, want ENODEV", err)
	}
}

func TestReservedAddressLeavesOthers(t *testing.T) {
	h := newHost(t)
	r := mustReserve(t, h, "tcp", netip.AddrPortFrom(h.IP4.Addr(), 0).String())
	if _, err := listen(t, h, "tcp", r.Addr().String()); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("the same address: error = %v, want EADDRINUSE", err)
	}
	if _, err := listen(t, h, "tcp", fmt.Sprintf("127.0.0.1:%d", r.Addr().Port())); err != nil {
		t.Errorf("another address: %v", err)
	}
	four := mustReserve(t, h, "tcp4", "0.0.0.0:0")
	if _, err := listen(t, h, "tcp6", fmt.Sprintf("[::1]:%d", four.Addr().Port())); err != nil {
		t.Errorf("the other family: %v", err)
	}
	if _, err := reservePort(h, "tcp", "192.0.2.1:80"); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("a foreign address: error = %v, want EADDRNOTAVAIL", err)
	}
	zoned := mustReserve(t, h, "tcp", "[::1%lo]:0")
	if zoned.Addr().Port() == 0 {
		t.Error("no port for an address with a zone")
	}
}

func TestWhatTheKernelHasIsInUse(t *testing.T) {
	h := newHost(t)
	for _, network := range []string{"tcp", "tcp4", "tcp6"} {
		_, port := mustListen(t, h, network, ":0")
		if _, err := reservePort(h, "tcp", fmt.Sprintf("[::]:%d", port)); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s server: error = %v, want EADDRINUSE", network, err)
		}
	}
}

// A server that is started again must not wait for the TIME_WAIT of its connections, and
// the port must be its own then.
func TestReserveOverTimeWait(t *testing.T) {
	h := newHost(t)
	l, port := mustListen(t, h, "tcp", ":0")
	server, client := connection(t, h, l, port)
	server.Close() // first: its end goes to TIME_WAIT
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	client.Close()
	l.Close()

	var plain error
	err := h.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		plain = unix.Bind(fd, &unix.SockaddrInet6{Port: int(port)})
		return nil
	})
	if err != nil || plain != unix.EADDRINUSE {
		t.Fatalf("bind without SO_REUSEADDR: %v, %v, want EADDRINUSE: there is no TIME_WAIT", plain, err)
	}
	mustReserve(t, h, "tcp", fmt.Sprintf("[::]:%d", port))
	wantTaken(t, h, port)
}

// Connections of a server that has stopped listening would be cut off by a claim.
func TestReserveBesideOpenConnections(t *testing.T) {
	h := newHost(t)
	l, port := mustListen(t, h, "tcp", ":0")
	connection(t, h, l, port)
	l.Close()
	for _, addr := range []string{fmt.Sprintf("[::]:%d", port), fmt.Sprintf("%v:%d", h.IP4.Addr(), port)} {
		if _, err := reservePort(h, "tcp", addr); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("%s: error = %v, want EADDRINUSE", addr, err)
		}
	}
}

// With one ephemeral port left, a reservation of it leaves none.
func TestReservedPortIsNotEphemeral(t *testing.T) {
	h := newHost(t)
	_, server := mustListen(t, h, "tcp", ":0")
	to := fmt.Sprintf("%v:%d", h.IP4.Addr(), server)
	if err := h.SetSysctl("net/ipv4/ip_local_port_range", "20000 20000"); err != nil {
		t.Fatal(err)
	}
	r := mustReserve(t, h, "tcp", "[::]:20000")
	c, err := h.Dial(context.Background(), "tcp", to)
	if err == nil {
		c.Close()
	}
	if !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("while reserved: error = %v, want EADDRNOTAVAIL", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = h.Dial(context.Background(), "tcp", to); err != nil {
		t.Fatalf("after the release: %v", err)
	}
	c.Close()
}
