package millrace_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// TestLinkLocal connects both ways between addresses that mean something on one link only.
func TestLinkLocal(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	ours, theirs := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b")
	addAddress(t, l.A, ours)
	addAddress(t, l.B, theirs)
	nic := open(t, l.A, millrace.Config{})
	for _, at := range []string{":7", "[" + ours.WithZone(l.A.Interface).String() + "]:8"} {
		listener := listen(t, l.A, nic, at)
		echo(t, listener)
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.B.Dial(t.Context(), "tcp", net.JoinHostPort(ours.WithZone(l.B.Interface).String(), port))
		if err != nil {
			t.Fatalf("to %s: %v", at, err)
		}
		wantEcho(t, c, 100_000)
	}
	kernel, err := l.B.Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	echo(t, kernel)
	for _, to := range []netip.Addr{theirs, theirs.WithZone(l.A.Interface)} {
		c, err := dial(l.A, nic, net.JoinHostPort(to.String(), "7"))
		if err != nil {
			t.Fatalf("to %v: %v", to, err)
		}
		wantEcho(t, c, 100_000)
	}
}

// addAddress adds an address that can be used at once.
func addAddress(t *testing.T, h *lab.Host, a netip.Addr) {
	t.Helper()
	err := h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		return netlink.AddrReplace(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
