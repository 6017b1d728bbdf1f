package e2e

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// TestKilled is point 5: killed in the middle of a transfer, the program leaves the
// interface as it was before.
func TestKilled(t *testing.T) {
	if onKernel() {
		t.Skip("the kernel's TCP attaches no program: take --stack kernel from MILLRACE_E2E_FLAGS")
	}
	l := byHand(t)
	ping := testutil.Command(t, "iputils-ping", "ping")
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	c := file(t, sized[int64](256, 64)*mib)
	before := settings(t, l.A, ethtool)
	peerBefore := settings(t, l.B, ethtool)
	p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	if attached(t, l.A) == "" {
		t.Error("point 5: there is no XDP program on the interface: the transfer is not millrace's")
	}
	tr := begin(t, l.B, c, c.size/10)
	if tr.ended() {
		t.Error("point 5: the transfer ended before the kill")
	}
	p.kill()
	// The kernel lets go of a link when the last reference to it is gone, soon after.
	testutil.Eventually(t, patience, func() bool { return attached(t, l.A) == "" }, "the XDP program to leave the interface")
	awaitCarrier(t, l.A)
	if got := settings(t, l.A, ethtool); got != before {
		t.Errorf("point 5: the interface was\n%s\nand is now\n%s", before, got)
	}
	if got := settings(t, l.B, ethtool); got != peerBefore {
		t.Errorf("point 5: the peer's interface was\n%s\nand is now\n%s", peerBefore, got)
	}
	if got := output(t, most(patience), l.B, ping, "-c", "5", "-i", "0.02", "-W", "2", "10.77.0.1"); pingLoss(got) != "0%" {
		t.Errorf("point 5: ping after the kill:\n%s", got)
	}
	// The very port that was claimed is the kernel's again.
	for _, port := range []string{"8080", "0"} {
		if err := kernelEcho(t, l.B, l.A, "10.77.0.1", port); err != nil {
			t.Errorf("point 5: kernel TCP after the kill, port %s: %v", port, err)
		}
	}
	// The orphaned connection ends by the kernel's reset, when its end has something to say.
	_, _ = io.WriteString(tr.conn, "x")
	if err := tr.await(most(time.Minute)); err == nil {
		t.Error("point 5: the transfer ended well without a server")
	}
	// And the next run starts.
	listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	small := file(t, mib)
	if _, err := download(t, l.B, small, "http://10.77.0.1:8080/"+small.name); err != nil {
		t.Errorf("point 5: a run after the kill: %v", err)
	}
	if !t.Failed() {
		t.Log("point 5: killed in a transfer: no XDP program left, the interface as before, ping and kernel TCP work, the next run serves")
	}
}

// TestStopped is point 5 with manners: told to stop in the middle of a transfer, the program
// ends it, leaves the interface as it was before, and ends with status 0.
func TestStopped(t *testing.T) {
	l := made(t)
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	c := file(t, sized[int64](256, 64)*mib)
	before := settings(t, l.A, ethtool)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[:sized(2, 1)] {
		p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
		tr := begin(t, l.B, c, c.size/20)
		began := time.Now()
		_ = p.cmd.Process.Signal(sig)
		if err := p.wait(most(patience)); err != nil {
			t.Errorf("point 5: %v in a transfer: %v, want status 0", sig, err)
		}
		took := time.Since(began)
		awaitCarrier(t, l.A)
		tr.hurry()
		// No keepalive can have told it: the reset, or the end of the file, came before.
		if err := tr.await(most(5 * time.Second)); err == nil || !strings.Contains(err.Error(), "octets") {
			t.Errorf("point 5: %v in a transfer: its client got %v, want a file cut off or a reset", sig, err)
		}
		if x := attached(t, l.A); x != "" {
			t.Errorf("point 5: %s is left on the interface", x)
		}
		if got := settings(t, l.A, ethtool); got != before {
			t.Errorf("point 5: the interface was\n%s\nand is now\n%s", before, got)
		}
		t.Logf("point 5: %v in a transfer: status 0 after %.1f s, the client was told, the interface as before", sig, took.Seconds())
	}
}

// awaitCarrier waits for an interface to be what it was, where the driver restarts it when a
// program comes or goes.
func awaitCarrier(t testing.TB, h *lab.Host) {
	t.Helper()
	testutil.Eventually(t, patience, func() (running bool) {
		err := h.Do(func() error {
			link, err := netlink.LinkByName(h.Interface)
			running = err == nil && link.Attrs().RawFlags&unix.IFF_RUNNING != 0
			return err
		})
		return err == nil && running
	}, "the carrier of "+h.Interface)
}

// attached names the XDP program on a host's interface, "" if there is none.
func attached(t testing.TB, h *lab.Host) (name string) {
	t.Helper()
	err := h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		if x := link.Attrs().Xdp; x != nil && (x.Attached || x.AttachMode != 0 || x.ProgId != 0) {
			name = "XDP program " + strconv.Itoa(int(x.ProgId))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// settings is what can be changed on a host's interface: MTU, queues, features, channels,
// and the knobs of its network queues that AF_XDP users turn.
func settings(t testing.TB, h *lab.Host, ethtool string) string {
	t.Helper()
	var text strings.Builder
	err := h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		a := link.Attrs()
		fmt.Fprintf(&text, "mtu %d, flags %v, promiscuous %d, queues %d/%d\n", a.MTU, a.Flags, a.Promisc, a.NumTxQueues, a.NumRxQueues)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	text.WriteString(output(t, most(patience), h, ethtool, "-k", h.Interface))
	text.WriteString(output(t, most(patience), h, ethtool, "-l", h.Interface))
	for _, knob := range []string{"gro_flush_timeout", "napi_defer_hard_irqs", "threaded"} {
		text.WriteString(knob + " " + output(t, most(patience), h, "/bin/cat", "/sys/class/net/"+h.Interface+"/"+knob))
	}
	return text.String()
}
