package loader_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
)

// deadline bounds what happens in the kernel's own time.
const deadline = 10 * time.Second

func newLab(t *testing.T, cfg lab.Config) *lab.Lab {
	t.Helper()
	testutil.Privileged(t)
	return lab.ForTest(t, cfg)
}

func attach(t *testing.T, h *lab.Host, cfg loader.Config) *loader.Program {
	t.Helper()
	var p *loader.Program
	err := h.Do(func() (err error) {
		p, err = loader.Attach(h.Index, cfg)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return p
}

// attached returns how a program is attached to the host's interface, as the kernel tells.
func attached(t *testing.T, h *lab.Host) uint32 {
	t.Helper()
	var mode uint32
	err := h.Do(func() error {
		nic, err := netlink.LinkByIndex(h.Index)
		if err == nil && nic.Attrs().Xdp != nil {
			mode = nic.Attrs().Xdp.AttachMode
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mode
}

func TestAttachModes(t *testing.T) {
	l := newLab(t, lab.Config{})
	for _, tt := range []struct {
		ask, get loader.Mode
		kernel   uint32
	}{
		{loader.Auto, loader.Native, nl.XDP_ATTACHED_DRV},
		{loader.Native, loader.Native, nl.XDP_ATTACHED_DRV},
		{loader.Generic, loader.Generic, nl.XDP_ATTACHED_SKB},
	} {
		p := attach(t, l.A, loader.Config{Mode: tt.ask})
		if got := p.Mode(); got != tt.get {
			t.Errorf("asked %v: mode = %v, want %v", tt.ask, got, tt.get)
		}
		if got := attached(t, l.A); got != tt.kernel {
			t.Errorf("asked %v: the kernel says %d, want %d", tt.ask, got, tt.kernel)
		}
		if notes := p.Notes(); len(notes) != 0 {
			t.Errorf("asked %v: notes %q, want none", tt.ask, notes)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if got := attached(t, l.A); got != nl.XDP_ATTACHED_NONE {
			t.Errorf("asked %v: after Close the kernel says %d, want none", tt.ask, got)
		}
	}
}

// A program that is not frags-aware is refused on a veth of more than a page.
func TestAttachNativeAtJumboMTU(t *testing.T) {
	l := newLab(t, lab.Config{MTU: 65000})
	if p := attach(t, l.A, loader.Config{Mode: loader.Native}); p.Mode() != loader.Native {
		t.Errorf("mode = %v, want native", p.Mode())
	}
}

// The loopback driver has no XDP: it gets it generic, and the reason is told.
func TestAutoFallsBackToGeneric(t *testing.T) {
	l := newLab(t, lab.Config{})
	err := l.A.Do(func() error {
		lo, err := net.InterfaceByName("lo")
		if err != nil {
			return err
		}
		if _, err := loader.Attach(lo.Index, loader.Config{Mode: loader.Native}); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("native: error = %v, want EOPNOTSUPP", err)
		}
		p, err := loader.Attach(lo.Index, loader.Config{})
		if err != nil {
			return err
		}
		if p.Mode() != loader.Generic {
			t.Errorf("mode = %v, want generic", p.Mode())
		}
		if notes := strings.Join(p.Notes(), "\n"); !strings.Contains(notes, "native") {
			t.Errorf("notes = %q, want why it is not native", notes)
		}
		return p.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSecondProgramIsRefused(t *testing.T) {
	l := newLab(t, lab.Config{})
	for _, first := range []loader.Mode{loader.Native, loader.Generic} {
		p := attach(t, l.A, loader.Config{Mode: first})
		for _, second := range []loader.Mode{loader.Auto, loader.Native, loader.Generic} {
			err := l.A.Do(func() error {
				_, err := loader.Attach(l.A.Index, loader.Config{Mode: second})
				return err
			})
			if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), `"millrace"`) ||
				!strings.Contains(err.Error(), first.String()) {
				t.Errorf("%v over %v: error = %v, want EBUSY that names the program", second, first, err)
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAttachToNothing(t *testing.T) {
	l := newLab(t, lab.Config{})
	err := l.A.Do(func() error {
		_, err := loader.Attach(12345, loader.Config{})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "12345") {
		t.Errorf("error = %v, want one that names the interface", err)
	}
}

func TestWithoutCapabilitiesTheErrorNamesThem(t *testing.T) {
	l := newLab(t, lab.Config{})
	if missing := loader.MissingCapabilities(); len(missing) != 0 {
		t.Errorf("missing = %q, want none", missing)
	}
	err := l.A.Do(func() error {
		// Capabilities are the thread's, and this one is thrown away.
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		_, err := loader.Attach(l.A.Index, loader.Config{})
		return err
	})
	for _, want := range []string{"CAP_NET_ADMIN", "CAP_BPF", "CAP_NET_RAW"} {
		if err == nil || !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want EPERM that names %s", err, want)
		}
	}
}

const childEnv = "MILLRACE_TEST_ATTACH_TO"

// TestChild is not a test but the process that TestKilledProcessLeavesNothing kills.
func TestChild(t *testing.T) {
	name := os.Getenv(childEnv)
	if name == "" {
		t.Skip("only as a child of TestKilledProcessLeavesNothing")
	}
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := loader.Attach(nic.Index, loader.Config{})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("attached", p.Mode())
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

// startChild runs a test of this program in a process of its own, on a host and with one more
// variable, until it has said what is wanted of it. Its standard input stays open until the test ends.
func startChild(ctx context.Context, t *testing.T, h *lab.Host, test, variable, want string) *lab.Cmd {
	t.Helper()
	child := h.Command(ctx, os.Args[0], "-test.run=^"+test+"$")
	child.Env = append(os.Environ(), variable)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close() })
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != want {
		t.Fatalf("the child said %q, %v", line, err)
	}
	return child
}

func TestKilledProcessLeavesNothing(t *testing.T) {
	l := newLab(t, lab.Config{})
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	child := startChild(ctx, t, l.A, "TestChild", childEnv+"="+l.A.Interface, "attached native\n")
	if got := attached(t, l.A); got != nl.XDP_ATTACHED_DRV {
		t.Errorf("while it runs the kernel says %d, want native", got)
	}
	if err := child.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // says that it was killed
	testutil.Eventually(t, deadline, func() bool { return attached(t, l.A) == nl.XDP_ATTACHED_NONE },
		"the program to leave with its process")
}
