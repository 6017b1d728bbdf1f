package hostnet

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// deadline bounds what happens in the kernel's own time.
const deadline = 10 * time.Second

// bench is a lab and a View of its host a.
type bench struct {
	testing.TB
	A, B *lab.Host
	v    *View
}

func newBench(t testing.TB, tick time.Duration) *bench {
	t.Helper()
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	l := lab.ForTest(t, lab.Config{})
	b := &bench{TB: t, A: l.A, B: l.B}
	b.on(b.A, func() (err error) {
		b.v, err = follow(b.A.Index, nil, tick)
		return err
	})
	t.Cleanup(func() {
		if err := b.v.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return b
}

// on does something in a host's namespace.
func (b *bench) on(h *lab.Host, f func() error) {
	b.Helper()
	if err := h.Do(f); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) eventually(what string, cond func() bool) {
	b.Helper()
	testutil.Eventually(b, deadline, cond, what)
}

func (b *bench) wantStatus(dst string, want Status) {
	b.Helper()
	b.eventually(dst+" to be "+want.String(), func() bool {
		_, got := b.v.Route(netip.Addr{}, addr(dst))
		return got == want
	})
}

// neigh sets an entry of host a's neighbour table.
func (b *bench) neigh(ip netip.Addr, mac net.HardwareAddr, state int) {
	b.Helper()
	b.on(b.A, func() error {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: b.A.Index, IP: ip.AsSlice(), HardwareAddr: mac, State: state,
		})
	})
}

// state returns a neighbour's state on host a, 0 if it is not there.
func (b *bench) state(ip netip.Addr) (state int) {
	b.Helper()
	b.on(b.A, func() error {
		list, err := netlink.NeighList(b.A.Index, unix.AF_INET)
		for _, n := range list {
			if n.IP.Equal(ip.AsSlice()) {
				state = n.State
			}
		}
		return err
	})
	return state
}

func (b *bench) route(add bool, r netlink.Route) {
	b.Helper()
	b.on(b.A, func() error {
		if add {
			return netlink.RouteAdd(&r)
		}
		return netlink.RouteDel(&r)
	})
}

func ipNet(s string) *net.IPNet {
	p := prefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// A request makes the kernel of this machine send ARP or a neighbour solicitation.
func TestNeighbourIsResolved(t *testing.T) {
	b := newBench(t, tick)
	for _, tt := range []struct{ src, dst netip.Addr }{
		{b.A.IP4.Addr(), b.B.IP4.Addr()},
		{b.A.IP6.Addr(), b.B.IP6.Addr()},
	} {
		before := b.v.Generation()
		h, status := b.v.Route(netip.Addr{}, tt.dst)
		if status != Unresolved || h.Src != tt.src || h.MTU != 1500 {
			t.Errorf("%v: %+v, %v, want unresolved, source %v", tt.dst, h, status, tt.src)
		}
		b.eventually("the generation to change", func() bool { return b.v.Generation() != before })
		h, status = b.v.Route(tt.src, tt.dst)
		want := Hop{[6]byte(b.A.MAC), [6]byte(b.B.MAC), 1500, tt.src}
		if status != OK || h != want {
			t.Errorf("%v: %+v, %v, want %+v", tt.dst, h, status, want)
		}
	}
	b.wantStatus("10.77.0.99", Unresolved)
	b.eventually("the kernel to have given up", func() bool { return b.state(addr("10.77.0.99")) == unix.NUD_FAILED })
	b.wantStatus("10.77.0.99", Unresolved)
	b.wantStatus("10.99.0.1", Unreachable)
}

func TestRouteAllocatesNothing(t *testing.T) {
	b := newBench(t, tick)
	b.wantStatus(b.B.IP4.Addr().String(), Unresolved)
	b.wantStatus(b.B.IP4.Addr().String(), OK)
	for _, dst := range []netip.Addr{b.B.IP4.Addr(), addr("10.77.0.77"), addr("10.99.0.1"), addr("fe80::1%eth0")} {
		if n := testing.AllocsPerRun(1000, func() { b.v.Route(netip.Addr{}, dst) }); n >= 1 {
			t.Errorf("%v: allocs = %v, want 0", dst, n)
		}
	}
}

func TestRoutesAreFollowed(t *testing.T) {
	b := newBench(t, tick)
	gw := b.B.IP4.Addr()
	b.neigh(gw, b.B.MAC, unix.NUD_PERMANENT)
	b.neigh(addr("fe80::b"), b.B.MAC, unix.NUD_PERMANENT)
	b.wantStatus(gw.String(), OK)

	via := netlink.Route{LinkIndex: b.A.Index, Dst: ipNet("10.50.0.0/16"), Gw: gw.AsSlice(), MTU: 1280}
	b.wantStatus("10.50.1.1", Unreachable)
	b.route(true, via)
	b.wantStatus("10.50.1.1", OK)
	if h, _ := b.v.Route(netip.Addr{}, addr("10.50.1.1")); h.MTU != 1280 || h.RemoteMAC != [6]byte(b.B.MAC) {
		t.Errorf("hop = %+v, want the gateway's MAC and MTU 1280", h)
	}
	hole := netlink.Route{Dst: ipNet("10.50.1.0/24"), Type: unix.RTN_UNREACHABLE}
	b.route(true, hole)
	b.wantStatus("10.50.1.1", Unreachable)
	b.route(false, hole)
	b.wantStatus("10.50.1.1", OK)
	b.route(false, via)
	b.wantStatus("10.50.1.1", Unreachable)

	b.route(true, netlink.Route{LinkIndex: b.A.Index, Dst: ipNet("::/0"), Gw: net.ParseIP("fe80::b")})
	b.wantStatus("2001:db8::1", OK)
	if h, _ := b.v.Route(netip.Addr{}, addr("2001:db8::1")); h.Src != b.A.IP6.Addr() {
		t.Errorf("source = %v, want %v", h.Src, b.A.IP6.Addr())
	}

	lo := 1
	b.route(true, netlink.Route{Dst: ipNet("10.60.0.0/16"), MultiPath: []*netlink.NexthopInfo{
		{LinkIndex: b.A.Index, Gw: net.ParseIP("10.77.0.88")}, {LinkIndex: b.A.Index, Gw: gw.AsSlice()},
	}})
	b.wantStatus("10.60.0.1", Unresolved) // of the first of them
	b.route(true, netlink.Route{LinkIndex: lo, Dst: ipNet("10.70.0.0/16"), Scope: netlink.SCOPE_LINK})
	b.route(true, netlink.Route{LinkIndex: b.A.Index, Dst: ipNet("10.71.0.0/16"), Gw: gw.AsSlice(), Table: 100})
	b.route(true, netlink.Route{LinkIndex: b.A.Index, Dst: ipNet("10.72.0.0/16"), Gw: gw.AsSlice()})
	b.wantStatus("10.72.0.1", OK) // by then the two before it have been seen
	b.wantStatus("10.70.0.1", Unreachable)
	b.wantStatus("10.71.0.1", Unreachable)
}

func TestAddressesAreFollowed(t *testing.T) {
	b := newBench(t, tick)
	var told atomic.Pointer[[]netip.Addr]
	b.v.OnAddrs(func(addrs []netip.Addr) { told.Store(&addrs) })
	has := func(a netip.Addr) bool { return slices.Contains(*told.Load(), a) }
	for _, a := range []netip.Addr{b.A.IP4.Addr(), b.A.IP6.Addr()} {
		if !has(a) || !slices.Contains(b.v.Addrs(), a) {
			t.Errorf("told %v, addresses %v: want %v there", *told.Load(), b.v.Addrs(), a)
		}
	}
	change := func(add bool) {
		b.on(b.A, func() error {
			nic, err := netlink.LinkByIndex(b.A.Index)
			if err != nil {
				return err
			}
			for _, s := range []string{"10.78.0.1/24", "fd78::1/64"} {
				a := &netlink.Addr{IPNet: ipNet(s), Flags: unix.IFA_F_NODAD}
				if add {
					err = netlink.AddrAdd(nic, a)
				} else {
					err = netlink.AddrDel(nic, a)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	change(true)
	b.eventually("the new addresses", func() bool { return has(addr("10.78.0.1")) && has(addr("fd78::1")) })
	b.wantStatus("10.78.0.2", Unresolved)
	b.wantStatus("10.78.0.1", Unreachable) // itself
	if h, _ := b.v.Route(netip.Addr{}, addr("10.78.0.2")); h.Src != addr("10.78.0.1") {
		t.Errorf("source = %v, want 10.78.0.1", h.Src)
	}
	change(false)
	b.eventually("the addresses to go", func() bool { return !has(addr("10.78.0.1")) && !has(addr("fd78::1")) })
	b.wantStatus("10.78.0.2", Unreachable)
	if !has(b.A.IP4.Addr()) {
		t.Errorf("told %v: %v has gone too", *told.Load(), b.A.IP4.Addr())
	}
}

func TestLinkIsFollowed(t *testing.T) {
	b := newBench(t, tick)
	dst := b.B.IP4.Addr()
	hop := func() Hop { h, _ := b.v.Route(netip.Addr{}, dst); return h }
	nic := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: b.A.Index}}
	b.neigh(dst, b.B.MAC, unix.NUD_PERMANENT)
	b.wantStatus(dst.String(), OK)

	b.on(b.A, func() error { return netlink.LinkSetMTU(nic, 1400) })
	b.eventually("the MTU to change", func() bool { return hop().MTU == 1400 })
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 0x77}
	b.on(b.A, func() error { return netlink.LinkSetHardwareAddr(nic, mac) })
	b.eventually("the MAC to change", func() bool { return hop().LocalMAC == [6]byte(mac) })
	b.on(b.A, func() error { return netlink.LinkSetDown(nic) })
	b.wantStatus(dst.String(), Unreachable)
	b.on(b.A, func() error { return netlink.LinkSetUp(nic) })
	b.wantStatus(dst.String(), Unresolved) // a link that goes down forgets its neighbours
	b.on(b.A, func() error { return netlink.LinkDel(nic) })
	b.wantStatus(dst.String(), Unreachable)
	b.eventually("the addresses to go", func() bool { return len(b.v.Addrs()) == 0 })
}

// "REACHABLE to STALE with the same MAC" is no news to a worker; another MAC is.
func TestGenerationChangesForAnswersOnly(t *testing.T) {
	b := newBench(t, tick)
	a, marker := addr("10.77.0.50"), addr("10.77.0.51")
	b.neigh(a, b.B.MAC, unix.NUD_REACHABLE)
	b.wantStatus(a.String(), OK)
	before := b.v.Generation()
	for range 20 {
		b.neigh(a, b.B.MAC, unix.NUD_STALE)
		b.neigh(a, b.B.MAC, unix.NUD_REACHABLE)
	}
	b.neigh(marker, b.B.MAC, unix.NUD_PERMANENT)
	b.eventually("the marker", func() bool { return b.v.current.Load().neighbours[marker] != nil })
	if got := b.v.Generation() - before; got != 1 {
		t.Errorf("%d generations, want one: that of the marker", got)
	}
	other := net.HardwareAddr{2, 0, 0, 0, 0, 0x55}
	b.neigh(a, other, unix.NUD_REACHABLE)
	b.eventually("the new MAC", func() bool {
		h, _ := b.v.Route(netip.Addr{}, a)
		return h.RemoteMAC == [6]byte(other)
	})
	if got := b.v.Generation() - before; got != 2 {
		t.Errorf("%d generations, want two", got)
	}
}

// The kernel is asked to confirm a stale neighbour that a worker sends to, and none else.
func TestStaleNeighbourInUseIsConfirmed(t *testing.T) {
	b := newBench(t, 20*time.Millisecond)
	used, unused := b.B.IP4.Addr(), addr("10.77.0.50")
	b.neigh(unused, b.B.MAC, unix.NUD_STALE)
	b.neigh(used, b.B.MAC, unix.NUD_STALE)
	b.wantStatus(used.String(), OK)
	b.eventually("the kernel to doubt it", func() bool { return b.state(used)&(unix.NUD_DELAY|unix.NUD_PROBE|unix.NUD_REACHABLE) != 0 })
	if got := b.state(unused); got != unix.NUD_STALE {
		t.Errorf("the neighbour that is not in use is in state %#x, want stale", got)
	}
}

// A flood of packets to a network where nobody is must not fill the kernel's table.
func TestRequestsAreLimited(t *testing.T) {
	b := newBench(t, time.Hour)
	for i := range 20 * askedMax {
		dst := netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 14: byte(i >> 8), 15: byte(i)})
		b.v.Route(netip.Addr{}, dst.Next().Next().Next())
		if i%askedMax == 0 {
			b.eventually("the requests to be taken", func() bool { return len(b.v.wants) == 0 })
		}
	}
	var known int
	b.on(b.A, func() error {
		list, err := netlink.NeighList(b.A.Index, unix.AF_INET6)
		for _, n := range list {
			// A solicitation leaves an entry for the group that it was sent to, too.
			if !n.IP.IsMulticast() {
				known++
			}
		}
		return err
	})
	// Twice, for what is asked in a second second where the machine is slow.
	if known < askedMax || known > 2*askedMax {
		t.Errorf("the kernel looks for %d neighbours, want at most %d", known, askedMax)
	}
}

func TestLostNotificationsAreMadeUpFor(t *testing.T) {
	b := newBench(t, tick)
	raw, err := b.v.events.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.on(b.A, func() error {
		for i := 0; b.v.overruns.Load() == 0 && i < 100_000; i++ {
			n := &netlink.Neigh{LinkIndex: b.A.Index, IP: addr("10.77.0.60").AsSlice(),
				HardwareAddr: net.HardwareAddr{2, 0, 0, 1, byte(i >> 8), byte(i)}, State: unix.NUD_PERMANENT}
			if err := netlink.NeighSet(n); err != nil {
				return err
			}
		}
		return nil
	})
	if b.v.overruns.Load() == 0 {
		t.Fatal("no notification was lost")
	}
	b.neigh(addr("10.77.0.60"), b.B.MAC, unix.NUD_PERMANENT)
	b.eventually("the last change", func() bool {
		h, _ := b.v.Route(netip.Addr{}, addr("10.77.0.60"))
		return h.RemoteMAC == [6]byte(b.B.MAC)
	})
}

func TestOpenAndClose(t *testing.T) {
	b := newBench(t, tick)
	if err := b.v.Close(); err != nil {
		t.Error(err)
	}
	if err := b.v.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: error = %v, want net.ErrClosed", err)
	}
	b.on(b.A, func() error {
		if _, err := Open(12345, nil); !errors.Is(err, unix.ENODEV) {
			t.Errorf("no such interface: error = %v, want ENODEV", err)
		}
		return nil
	})
}

func BenchmarkRoute(b *testing.B) {
	l := newBench(b, tick)
	l.neigh(l.B.IP4.Addr(), l.B.MAC, unix.NUD_PERMANENT)
	dst := l.B.IP4.Addr()
	l.wantStatus(dst.String(), OK)
	b.ReportAllocs()
	for b.Loop() {
		l.v.Route(netip.Addr{}, dst)
	}
}
