package loader_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
)

// sink registers an AF_XDP socket that is not bound: what is redirected to it vanishes,
// which is all that a test of claims needs.
func sink(t *testing.T, p *loader.Program) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := p.Register(0, fd); err != nil {
		t.Fatal(err)
	}
}

// kernelServer listens on host a and accepts what comes.
func kernelServer(t *testing.T, h *lab.Host, address string) netip.AddrPort {
	t.Helper()
	l, err := h.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// wantReach says that host b's kernel connects to the address: the segments were passed.
func wantReach(t *testing.T, b *lab.Host, to netip.AddrPort) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	c, err := b.Dial(ctx, "tcp", to.String())
	if err != nil {
		t.Errorf("dial %v: %v, want the kernel to answer", to, err)
		return
	}
	c.Close()
}

// wantSunk says that a segment to the address is redirected and the kernel does not answer.
func wantSunk(t *testing.T, p *loader.Program, b *lab.Host, to netip.AddrPort) {
	t.Helper()
	before := p.Counters().Redirected
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		c, err := b.Dial(ctx, "tcp", to.String())
		if err == nil {
			c.Close()
		}
		done <- err
	}()
	testutil.Eventually(t, deadline, func() bool { return p.Counters().Redirected > before },
		"a SYN to be redirected")
	cancel()
	if err := <-done; err == nil || errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("dial %v: %v, want no answer", to, err)
	}
}

func TestListenClaimTakesItsPortOnly(t *testing.T) {
	l := newLab(t, lab.Config{})
	for _, mode := range []loader.Mode{loader.Native, loader.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			p := attach(t, l.A, loader.Config{Mode: mode})
			sink(t, p)
			for _, ip := range []netip.Addr{l.A.IP4.Addr(), l.A.IP6.Addr()} {
				claimed := kernelServer(t, l.A, netip.AddrPortFrom(ip, 0).String())
				other := kernelServer(t, l.A, netip.AddrPortFrom(ip, 0).String())
				wantReach(t, l.B, claimed)
				if err := p.ClaimListen(claimed); err != nil {
					t.Fatal(err)
				}
				wantSunk(t, p, l.B, claimed)
				wantReach(t, l.B, other)
				if err := p.ReleaseListen(claimed); err != nil {
					t.Fatal(err)
				}
				wantReach(t, l.B, claimed)
			}
			if c := p.Counters(); c.PassedUnclaimed == 0 || c.DroppedFragment != 0 || c.NoSocket != 0 {
				t.Errorf("counters = %+v", c)
			}
		})
	}
}

func TestWildcardNeedsALocalAddress(t *testing.T) {
	l := newLab(t, lab.Config{})
	p := attach(t, l.A, loader.Config{})
	sink(t, p)
	for _, ip := range []netip.Addr{l.A.IP4.Addr(), l.A.IP6.Addr()} {
		server := kernelServer(t, l.A, netip.AddrPortFrom(ip, 0).String())
		any := netip.IPv6Unspecified()
		if ip.Is4() {
			any = netip.IPv4Unspecified()
		}
		if err := p.ClaimListen(netip.AddrPortFrom(any, server.Port())); err != nil {
			t.Fatal(err)
		}
		wantReach(t, l.B, server)
		if err := p.SetLocalAddrs([]netip.Addr{ip, netip.MustParseAddr("192.0.2.7")}); err != nil {
			t.Fatal(err)
		}
		wantSunk(t, p, l.B, server)
		if err := p.SetLocalAddrs([]netip.Addr{netip.MustParseAddr("192.0.2.7")}); err != nil {
			t.Fatal(err)
		}
		wantReach(t, l.B, server)
	}
}

func TestFlowClaimTakesOneConnection(t *testing.T) {
	l := newLab(t, lab.Config{})
	p := attach(t, l.A, loader.Config{})
	sink(t, p)
	server := kernelServer(t, l.B, netip.AddrPortFrom(l.B.IP4.Addr(), 0).String())
	mine := netip.AddrPortFrom(l.A.IP4.Addr(), 40001)
	if err := p.ClaimFlow(mine, server); err != nil {
		t.Fatal(err)
	}
	dial := func(from netip.AddrPort, wait time.Duration) error {
		return l.A.Do(func() error {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from), Timeout: wait}
			c, err := d.Dial("tcp", server.String())
			if err == nil {
				// A reset: the port is free again at once.
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
			return err
		})
	}
	if err := dial(netip.AddrPortFrom(mine.Addr(), 40002), deadline); err != nil {
		t.Errorf("from another port: %v", err)
	}
	err := dial(mine, 50*time.Millisecond)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("from the claimed port: %v, want the answer to be redirected", err)
	}
	if got := p.Counters().Redirected; got == 0 {
		t.Error("nothing was redirected")
	}
	if err := p.ReleaseFlow(mine, server); err != nil {
		t.Fatal(err)
	}
	if err := dial(mine, deadline); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestClaimErrors(t *testing.T) {
	l := newLab(t, lab.Config{})
	p := attach(t, l.A, loader.Config{ListensMax: 2, FlowsMax: 1, AddrsMax: 1})
	at := netip.MustParseAddrPort
	want := func(name string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: error = %v, want %v", name, got, want)
		}
	}
	want("first listen", p.ClaimListen(at("0.0.0.0:80")), nil)
	want("the same again", p.ClaimListen(at("0.0.0.0:80")), unix.EADDRINUSE)
	want("the same, mapped", p.ClaimListen(at("[::ffff:0.0.0.0]:80")), unix.EADDRINUSE)
	want("the other family", p.ClaimListen(at("[::]:80")), nil)
	want("one too many", p.ClaimListen(at("10.77.0.1:80")), loader.ErrFull)
	want("release", p.ReleaseListen(at("0.0.0.0:80")), nil)
	want("release again", p.ReleaseListen(at("0.0.0.0:80")), os.ErrNotExist)
	want("room again", p.ClaimListen(at("10.77.0.1:80")), nil)

	want("first flow", p.ClaimFlow(at("10.0.0.1:1"), at("10.0.0.2:2")), nil)
	want("the same flow", p.ClaimFlow(at("10.0.0.1:1"), at("10.0.0.2:2")), unix.EADDRINUSE)
	want("one flow too many", p.ClaimFlow(at("10.0.0.1:3"), at("10.0.0.2:2")), loader.ErrFull)
	want("an unknown flow", p.ReleaseFlow(at("10.0.0.1:3"), at("10.0.0.2:2")), os.ErrNotExist)

	want("one address too many", p.SetLocalAddrs([]netip.Addr{l.A.IP4.Addr(), l.A.IP6.Addr()}), loader.ErrFull)
	want("another single address", p.SetLocalAddrs([]netip.Addr{netip.MustParseAddr("10.9.9.9")}), nil)

	want("queue -1", p.Register(-1, 0), unix.EINVAL)
	want("queue 1024", p.Register(loader.QueuesMax, 0), unix.EINVAL)
	want("no socket", p.Register(0, -1), unix.EBADF)
	want("an empty queue", p.Unregister(5), nil)
	for _, err := range []error{
		p.ClaimListen(netip.AddrPort{}), p.ClaimListen(at("10.0.0.1:0")),
		p.ClaimFlow(at("10.0.0.1:1"), at("[fd00::1]:2")), p.ClaimFlow(at("0.0.0.0:1"), at("10.0.0.2:2")),
	} {
		if err == nil {
			t.Error("a claim that cannot be was accepted")
		}
	}

	want("close", p.Close(), nil)
	want("close again", p.Close(), net.ErrClosed)
	want("claim after close", p.ClaimListen(at("10.0.0.1:80")), net.ErrClosed)
	want("register after close", p.Register(0, 0), net.ErrClosed)
	if got := p.Counters(); got != (loader.Counters{}) {
		t.Errorf("counters after close = %+v", got)
	}
}

// Claims come from the goroutines of the application, and Close in their midst.
func TestConcurrentUse(t *testing.T) {
	l := newLab(t, lab.Config{})
	p := attach(t, l.A, loader.Config{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			local := netip.AddrPortFrom(l.A.IP4.Addr(), uint16(1000+i))
			for {
				err := p.ClaimListen(local)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				_ = p.SetLocalAddrs([]netip.Addr{local.Addr()})
				_ = p.Counters()
				if err := p.ReleaseListen(local); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	for p.ClaimFlow(netip.AddrPortFrom(l.A.IP4.Addr(), 1), netip.AddrPortFrom(l.B.IP4.Addr(), 2)) != nil {
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}
