package e2e

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// onNICs skips a test that has nothing to say of a veth pair.
func onNICs(t testing.TB) {
	t.Helper()
	if !lab.OnNICs() {
		t.Skipf("needs two NICs with zero-copy drivers, joined by a cable, in %s=%q", lab.EnvNICs, "eth0 eth1")
	}
}

// diagnosis is what doctor --json prints.
type diagnosis struct {
	Usable bool
	Checks []struct{ Name, Status, Found string }
}

// TestZeroCopyIsRefused: where zero-copy is asked for and cannot be had, nothing else is given,
// one line says so, and the interface is left as it was.
func TestZeroCopyIsRefused(t *testing.T) {
	if onKernel() {
		t.Skip("the kernel's TCP has no modes: take --stack kernel from MILLRACE_E2E_FLAGS")
	}
	l := made(t)
	p := start(t, l.A, built.path, "serve", "echo", "--listen", ":7000", "--nic", l.A.Interface, "--mode", "zerocopy")
	err := p.wait(most(patience))
	exit, ok := errors.AsType[*exec.ExitError](err)
	said := p.failure()
	if !ok || exit.ExitCode() != 1 {
		t.Errorf("%v, want status 1", err)
	}
	for _, want := range []string{l.A.Interface, "zero-copy", "auto"} {
		if !strings.Contains(said, want) || strings.Contains(said, "\n") {
			t.Errorf("it says %q, want one line with %q", said, want)
		}
	}
	if x := attached(t, l.A); x != "" {
		t.Errorf("%s is left on the interface", x)
	}
	// Who leaves the choice to millrace gets what there is.
	p = start(t, l.A, built.path, "serve", "echo", "--listen", ":7000", "--nic", l.A.Interface, "--mode", "auto")
	p.await("istening")
	p.await("AF_XDP copy")
	_ = openEcho(t, l.B).Close()
	var report diagnosis
	// It ends with status 1, for the program of the run above is on the interface.
	out, _ := l.A.Command(t.Context(), built.path, "doctor", "--nic", l.A.Interface, "--json").Output()
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("doctor: %v: %s", err, out)
	}
	for _, c := range report.Checks {
		if c.Name == "mode" && (c.Status != "note" || !strings.HasPrefix(c.Found, "copy")) {
			t.Errorf("doctor says of the mode %+v, want copy", c)
		}
	}
	t.Logf("refused with %q, and auto takes copy mode", said)
}

// TestZeroCopyIsGranted: a NIC that has it is found good, and every queue of it is zero-copy.
func TestZeroCopyIsGranted(t *testing.T) {
	onNICs(t)
	l := made(t)
	var report diagnosis
	out := output(t, most(patience), l.A, built.path, "doctor", "--nic", l.A.Interface, "--json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Usable {
		t.Errorf("doctor: %v: %s", err, out)
	}
	for _, c := range report.Checks {
		t.Logf("doctor: %s: %s, %s", c.Name, c.Status, c.Found)
		if c.Name == "mode" && (c.Status != "ok" || !strings.Contains(c.Found, "zero-copy")) {
			t.Errorf("doctor says of the mode %+v", c)
		}
	}
	p := listening(t, l.A, "serve", "echo", "--listen", ":7000")
	p.await("XDP native, AF_XDP zero-copy")
	_ = openEcho(t, l.B).Close()
	var instances []struct {
		NIC struct{ ZeroCopy []bool }
	}
	out = output(t, most(patience), l.A, built.path, "ss", "--json")
	if err := json.Unmarshal([]byte(out), &instances); err != nil || len(instances) != 1 {
		t.Fatalf("ss: %v: %s", err, out)
	}
	granted := instances[0].NIC.ZeroCopy
	for q, yes := range granted {
		if !yes {
			t.Errorf("queue %d is not zero-copy", q)
		}
	}
	if len(granted) == 0 {
		t.Errorf("no queue: %s", out)
	}
}

// TestModesOfNIC: the modes of a NIC are measured against a server at its other end. What the driver
// refuses is said to be, and is not chosen.
func TestModesOfNIC(t *testing.T) {
	onNICs(t)
	l := made(t)
	server := start(t, l.B, built.path, "bench", "serve", "--stack", "kernel", "--listen", ":5001")
	server.await("istening")
	refuses := !slices.Contains(extraFlags(), "zerocopy") // where it can be had it is demanded
	var found struct {
		Modes struct {
			Best  string
			Modes []struct{ Mode, Refused string }
		}
	}
	out := output(t, most(time.Minute), l.A, built.path, "bench", "modes", "--link", "nic", "--nic", l.A.Interface,
		"--to", l.B.IP4.Addr().String()+":5001", "--rounds", "1", "--time", "200ms", "--warm", "0s", "--json")
	if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Modes.Modes) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, m := range found.Modes.Modes {
		if (m.Refused != "") != (refuses && m.Mode == "zerocopy") {
			t.Errorf("%s: refused: %q", m.Mode, m.Refused)
		}
	}
	if found.Modes.Best == "" || refuses && found.Modes.Best == "zerocopy" {
		t.Errorf("the best is %q", found.Modes.Best)
	}
	t.Logf("%+v", found.Modes)
}

// TestReopen: whichever way the program ends, it finds its queues free when it starts anew.
func TestReopen(t *testing.T) {
	l := made(t)
	c := file(t, mib)
	for i := range 4 {
		p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
		if _, err := download(t, l.B, c, "http://10.77.0.1:8080/"+c.name); err != nil {
			t.Errorf("run %d: %v", i+1, err)
		}
		if i%2 == 0 {
			p.kill()
		} else {
			p.stop()
		}
	}
}

// setLink sets a host's interface down or up.
func setLink(t testing.TB, h *lab.Host, up bool) {
	t.Helper()
	if err := h.Do(func() error {
		link, err := netlink.LinkByName(h.Interface)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	}); err != nil {
		t.Fatal(err)
	}
}

// TestLinkFlap: an interface that is set down and up again under a transfer, which outlives it.
func TestLinkFlap(t *testing.T) {
	if onKernel() {
		t.Skip("the kernel takes it otherwise: take --stack kernel from MILLRACE_E2E_FLAGS")
	}
	l := made(t)
	c := file(t, sized[int64](64, 16)*mib)
	p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	tr := begin(t, l.B, c, c.size/8)
	for range 2 {
		setLink(t, l.A, false)
		// Segments are lost on a link that is down: that needs no more than a moment.
		<-time.After(300 * time.Millisecond)
		setLink(t, l.A, true)
		<-time.After(300 * time.Millisecond)
	}
	if !p.alive() {
		t.Fatalf("the program ended: %v", p.err)
	}
	if tr.ended() {
		t.Error("the transfer ended before the link came back: it must run meanwhile")
	}
	tr.hurry()
	if err := tr.await(most(time.Minute)); err != nil {
		t.Errorf("the transfer: %v", err)
	}
	if _, err := download(t, l.B, c, "http://10.77.0.1:8080/"+c.name); err != nil {
		t.Errorf("a transfer after it: %v", err)
	}
}

// TestInterfaceRemoved: a server whose interface is taken away ends and says why, so that who watches
// it starts it anew, and does not wait for connections that cannot come.
func TestInterfaceRemoved(t *testing.T) {
	if onKernel() || lab.OnNICs() {
		t.Skip("needs this stack on a veth")
	}
	for _, service := range [][]string{
		{"serve", "echo", "--listen", ":7000"}, {"serve", "echo", "--handler", "--listen", ":7000"},
		{"serve", "http", "--listen", ":7000", "--root", built.files}, {"iperf3", "-s", "-p", "7000"},
	} {
		t.Run(strings.Join(service[:2], " "), func(t *testing.T) {
			l := made(t)
			p := listening(t, l.A, service...)
			if err := l.A.Do(func() error {
				link, err := netlink.LinkByName(l.A.Interface)
				if err != nil {
					return err
				}
				return netlink.LinkDel(link)
			}); err != nil {
				t.Fatal(err)
			}
			err := p.wait(most(patience))
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != 1 {
				t.Errorf("%v, want status 1", err)
			}
			if said := p.failure(); !strings.Contains(said, "is gone") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

// TestMTUChange: an interface whose MTU sinks under a transfer, as far as IPv6 lets it. The
// kernel of the other end is told too, or it would drop what is longer.
func TestMTUChange(t *testing.T) {
	if onKernel() {
		t.Skip("the kernel takes it otherwise: take --stack kernel from MILLRACE_E2E_FLAGS")
	}
	l := made(t)
	c := file(t, sized[int64](64, 16)*mib)
	listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	tr := begin(t, l.B, c, c.size/8)
	for _, h := range []*lab.Host{l.A, l.B} {
		if err := h.Do(func() error {
			link, err := netlink.LinkByName(h.Interface)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(link, 1280)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if tr.ended() {
		t.Error("the transfer ended before the MTU changed: it must run meanwhile")
	}
	tr.hurry()
	if err := tr.await(most(time.Minute)); err != nil {
		t.Errorf("the transfer: %v", err)
	}
	if _, err := download(t, l.B, c, both(2, ":8080/"+c.name)...); err != nil {
		t.Errorf("transfers after it: %v", err)
	}
}

// TestNICMTUs: at a large MTU a NIC either carries both ways what fits a frame, or is not
// opened, and one line says why. None opens and then loses what is long.
func TestNICMTUs(t *testing.T) {
	onNICs(t)
	for _, mtu := range []int{1500, 3000, 3498, 9000} {
		t.Run(strconv.Itoa(mtu), func(t *testing.T) {
			l := lab.ForTest(t, lab.Config{MTU: mtu})
			c := file(t, 4*mib)
			p := millrace(t, l.A, "proxy", "--listen", ":8082", "--to", startSink(t, l.A, "127.0.0.1:0"))
			testutil.Eventually(t, patience, func() bool {
				return !p.alive() || strings.Contains(p.stdout.String()+p.stderr.String(), "istening")
			}, "the proxy to listen")
			if said := p.failure(); !p.alive() {
				if mtu == lab.DefaultMTU || !strings.Contains(said, "MTU") || strings.Contains(said, "\n") {
					t.Errorf("%v: %q, want it to work or one line about the MTU", p.err, said)
				}
				t.Logf("refused: %s", said)
				return
			}
			took, err := upload(t, l.B, c, both(2, ":8082/")...)
			if err != nil {
				t.Errorf("upload: %v", err)
			}
			p.stop()
			listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
			back, err := download(t, l.B, c, both(2, ":8080/"+c.name)...)
			if err != nil {
				t.Errorf("download: %v", err)
			}
			t.Logf("%d MiB twice: received in %.1f s, sent in %.1f s, sha256 ok", c.size/mib, took.Seconds(), back.Seconds())
		})
	}
}
