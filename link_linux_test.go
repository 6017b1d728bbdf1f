package millrace_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// onVeth skips a test that changes what a NIC must keep.
func onVeth(t *testing.T) *lab.Lab {
	t.Helper()
	testutil.Privileged(t)
	if lab.OnNICs() {
		t.Skip("needs a veth")
	}
	testutil.NoGoroutineLeak(t)
	return lab.ForTest(t, lab.Config{})
}

// change changes a host's interface.
func change(t *testing.T, h *lab.Host, how func(link netlink.Link) error) {
	t.Helper()
	err := h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		return how(link)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantSoon waits for an error that is want.
func wantSoon(t *testing.T, what string, got <-chan error, want error) {
	t.Helper()
	select {
	case err := <-got:
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("%s: it waits on, want %v", what, want)
	}
}

// An interface that is removed, or moved to another namespace, takes all its connections and listeners
// with it, at once, and what they return says so. Nothing is left, and one of the same name can be opened.
func TestInterfaceGone(t *testing.T) {
	for name, mode := range map[string]millrace.Mode{
		"removed, copy": millrace.ModeCopy, "removed, generic": millrace.ModeGeneric, "moved": millrace.ModeGeneric,
	} {
		t.Run(name, func(t *testing.T) {
			l := onVeth(t)
			log := &heard{}
			nic := open(t, l.A, millrace.Config{Mode: mode, Log: slog.New(slog.NewTextHandler(log, nil))})
			ln := listen(t, l.A, nic, ":7")
			client, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			server, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			read, accept := make(chan error, 1), make(chan error, 1)
			go func() { _, err := server.Read(make([]byte, 1)); read <- err }()
			go func() { _, err := ln.Accept(); accept <- err }()
			change(t, l.A, func(link netlink.Link) error {
				if name != "moved" {
					return netlink.LinkDel(link)
				}
				there, err := os.Open(l.B.Path)
				if err != nil {
					return err
				}
				defer there.Close()
				return netlink.LinkSetNsFd(link, int(there.Fd()))
			})
			wantSoon(t, "Read", read, syscall.ENODEV)
			wantSoon(t, "Accept", accept, syscall.ENODEV)
			if _, err := server.Write([]byte("x")); !errors.Is(err, syscall.ENODEV) {
				t.Errorf("Write: %v, want ENODEV", err)
			}
			if _, err := dial(l.A, nic, "10.77.0.2:7"); !errors.Is(err, syscall.ENODEV) {
				t.Errorf("Dial: %v, want ENODEV", err)
			}
			if _, err := nic.Listen("tcp", ":8"); !errors.Is(err, syscall.ENODEV) {
				t.Errorf("Listen: %v, want ENODEV", err)
			}
			if !log.has("is gone") {
				t.Error("the log does not tell of it")
			}
			if err := nic.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := l.A.Do(func() error {
				attrs := netlink.NewLinkAttrs()
				attrs.Name = l.A.Interface
				pair := netlink.NewVeth(attrs)
				pair.PeerName = "other"
				return netlink.LinkAdd(pair)
			}); err != nil {
				t.Fatal(err)
			}
			_ = open(t, l.A, millrace.Config{Mode: mode})
		})
	}
}

// sendMSS is the segment size of the only connection.
func sendMSS(t *testing.T, nic *millrace.NIC) int {
	t.Helper()
	all := nic.Conns()
	at := slices.IndexFunc(all, func(c stack.ConnInfo) bool { return c.Local.Port() == 7 })
	if at < 0 {
		t.Fatal("there is no connection")
	}
	return all[at].SendMSS
}

// New connections have segments that fit the MTU of the moment, larger or smaller than at first.
func TestMTUFollowed(t *testing.T) {
	for _, mode := range []millrace.Mode{millrace.ModeCopy, millrace.ModeGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			l := onVeth(t)
			nic := open(t, l.A, millrace.Config{Mode: mode})
			echo(t, listen(t, l.A, nic, ":7"))
			for _, mtu := range []int{1500, 9000, 1400} {
				for _, h := range []*lab.Host{l.A, l.B} {
					change(t, h, func(link netlink.Link) error { return netlink.LinkSetMTU(link, mtu) })
				}
				testutil.Eventually(t, 10*time.Second, func() bool { return fitsMTU(t, l, nic, mtu) }, "segments that fit the MTU")
			}
		})
	}
}

// fitsMTU says whether a new connection's segments are as long as the MTU lets them, and if so moves
// some data.
func fitsMTU(t *testing.T, l *lab.Lab, nic *millrace.NIC, mtu int) bool {
	t.Helper()
	c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	const headers = 20 + 32 // IPv4, and TCP with timestamps
	fits := sendMSS(t, nic) == mtu-headers
	if fits {
		wantEcho(t, c, 1<<20)
	}
	c.Close()
	testutil.Eventually(t, 10*time.Second, func() bool { return len(nic.Conns()) == 0 }, "the connection to end")
	return fits
}

// Without its address an interface takes nothing for it and dials nowhere; when the address is back
// connections go on.
func TestAddressGoesAndComes(t *testing.T) {
	l := onVeth(t)
	nic := open(t, l.A, millrace.Config{})
	echo(t, listen(t, l.A, nic, ":7"))
	c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: l.A.IP4.Addr().AsSlice(), Mask: net.CIDRMask(l.A.IP4.Bits(), 32)}}
	change(t, l.A, func(link netlink.Link) error { return netlink.AddrDel(link, address) })
	testutil.Eventually(t, 10*time.Second, func() bool {
		d, err := dial(l.A, nic, "10.77.0.2:7")
		if err == nil {
			d.Close()
		}
		return errors.Is(err, syscall.EHOSTUNREACH)
	}, "dialing to find no way")
	if _, err := c.Write([]byte("again")); err != nil {
		t.Fatal(err)
	}
	change(t, l.A, func(link netlink.Link) error { return netlink.AddrAdd(link, address) })
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "again" {
		t.Errorf("after the address came back: %q, %v", b, err)
	}
	if len(nic.Conns()) != 1 {
		t.Errorf("%d connections, want the one", len(nic.Conns()))
	}
}
