package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// devices returns the names of the network devices of the calling thread's namespace, as
// netlink has them.
func devices(t *testing.T) []string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range ifs {
		names = append(names, i.Name)
	}
	return names
}

// wantEcho sends a line from one host to the other over the kernel's TCP, at once.
func wantEcho(t *testing.T, from, to *lab.Host, address string) {
	t.Helper()
	l, err := to.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello\n" {
		t.Errorf("echo over %s: got %q, %v, want %q", address, got, err, "hello\n")
	}
}

func TestBothFamiliesBothWaysAtOnce(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	wantEcho(t, l.A, l.B, l.B.IP4.Addr().String())
	wantEcho(t, l.B, l.A, l.A.IP4.Addr().String())
	if !l.A.IP6.IsValid() {
		t.Skip("this kernel runs without IPv6: take ipv6.disable=1 from its command line")
	}
	wantEcho(t, l.A, l.B, l.B.IP6.Addr().String())
	wantEcho(t, l.B, l.A, l.A.IP6.Addr().String())
}

func TestUpReturnsWhenTheLinkIsReady(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	for _, h := range []*lab.Host{l.A, l.B} {
		err := h.Do(func() error {
			state, err := os.ReadFile("/sys/class/net/" + h.Interface + "/operstate")
			if err != nil || string(state) != "up\n" {
				t.Errorf("operstate of %s = %q, %v, want up", h.Side, state, err)
			}
			dad, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + h.Interface + "/accept_dad")
			if h.IP6.IsValid() && (err != nil || string(dad) != "0\n") {
				t.Errorf("accept_dad of %s = %q, %v, want 0: detection takes seconds", h.Side, dad, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestTheHostsAreAsAskedFor(t *testing.T) {
	testutil.Privileged(t)
	outside := devices(t)
	l := lab.ForTest(t, lab.Config{MTU: 9000, Queues: 2})
	for _, h := range []*lab.Host{l.A, l.B} {
		err := h.Do(func() error {
			if got := devices(t); !slices.Contains(got, "lo") || !slices.Contains(got, h.Interface) {
				t.Errorf("devices of %s = %v", h.Side, got)
			}
			i, err := net.InterfaceByName(h.Interface)
			if err != nil {
				return err
			}
			if i.MTU != 9000 || i.Index != h.Index || i.HardwareAddr.String() != h.MAC.String() {
				t.Errorf("interface of %s = %+v, want MTU 9000, index %d, MAC %v", h.Side, i, h.Index, h.MAC)
			}
			// /sys shows the namespace, not the machine.
			queues, err := os.ReadDir("/sys/class/net/" + h.Interface + "/queues")
			if len(queues) != 4 { // rx-0 rx-1 tx-0 tx-1
				t.Errorf("queues of %s = %v, want 2 each way", h.Side, queues)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if got := devices(t); !slices.Equal(got, outside) {
		t.Errorf("devices of the machine = %v, want %v as before", got, outside)
	}
}

func TestFindSeesWhatUpMade(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{MTU: 1400, Queues: 3})
	found, err := lab.Find(l.Name)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d %d %v %v %d %v", l.MTU, l.Queues, l.A.MAC, l.B.MAC, l.B.Index, l.B.IP6)
	got := fmt.Sprintf("%d %d %v %v %d %v", found.MTU, found.Queues, found.A.MAC, found.B.MAC, found.B.Index, found.B.IP6)
	if got != want {
		t.Errorf("found %s, want %s", got, want)
	}
	names, err := lab.List()
	if err != nil || !slices.Contains(names, l.Name) {
		t.Errorf("List = %v, %v, want %q among them", names, err, l.Name)
	}
}

func TestDownIsIdempotentAndRemovesLeftovers(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	if _, err := lab.Up(lab.Config{Name: l.Name}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "millrace lab down --name "+l.Name) {
		t.Errorf("a second Up: %v, want one that wraps ErrExist and names the remedy", err)
	}
	wantEcho(t, l.A, l.B, "10.77.0.2") // and the first is unharmed
	for range 2 {
		if err := l.Down(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lab.Find(l.Name); !errors.Is(err, lab.ErrNotFound) {
		t.Errorf("Find after Down: %v, want ErrNotFound", err)
	}
	if err := l.A.Do(func() error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Do after Down: %v, want one that wraps ErrNotExist", err)
	}

	// What a process leaves that was killed between its first and its second step.
	if err := os.WriteFile(l.B.Path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Up(lab.Config{Name: l.Name}); !errors.Is(err, lab.ErrExists) {
		t.Errorf("Up over leftovers: %v, want ErrExists", err)
	}
	if err := lab.Remove(l.Name); err != nil {
		t.Fatal(err)
	}
	for _, h := range []*lab.Host{l.A, l.B} {
		if _, err := os.Stat(h.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", h.Path, err)
		}
	}
}

func TestForTestRemovesWhatADeadTestLeft(t *testing.T) {
	testutil.Privileged(t)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test-%d-1", dead.Process.Pid)
	if _, err := lab.Up(lab.Config{Name: name}); err != nil {
		t.Fatal(err)
	}
	one := lab.ForTest(t, lab.Config{})
	if _, err := lab.Find(name); !errors.Is(err, lab.ErrNotFound) {
		t.Errorf("Find of the dead test's lab: %v, want ErrNotFound", err)
	}
	lab.ForTest(t, lab.Config{})
	if _, err := lab.Find(one.Name); err != nil {
		t.Errorf("the lab of a living test is gone: %v", err)
	}
}

func TestTwoLabsAreApart(t *testing.T) {
	testutil.Privileged(t)
	one, two := lab.ForTest(t, lab.Config{}), lab.ForTest(t, lab.Config{})
	l, err := one.B.Listen("tcp", "10.77.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := two.A.Dial(t.Context(), "tcp", l.Addr().String())
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial into the other lab: %v, %v, want ECONNREFUSED", c, err)
	}
	if err := one.Down(); err != nil {
		t.Fatal(err)
	}
	wantEcho(t, two.A, two.B, "10.77.0.2")
}

func TestCommandRunsInside(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	out, err := l.B.Command(t.Context(), "ls", "/sys/class/net").Output()
	if err != nil || !strings.Contains(string(out), "veth-b") || strings.Contains(string(out), "eth0") {
		t.Errorf("devices seen by a child = %q, %v, want lo and veth-b alone", out, err)
	}
	out, err = l.B.Command(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3").CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if string(out) != "out\nerr\n" || !ok || exit.ExitCode() != 3 {
		t.Errorf("got %q, %v, want both streams and exit status 3", out, err)
	}
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.A.Start(cmd); err == nil || !strings.Contains(err.Error(), "Pdeathsig") {
		t.Errorf("Pdeathsig: %v, want a refusal", err)
	}
}

func TestDownKillsWhatRuns(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	cmd := l.A.Command(context.Background(), "sleep", "20")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("Wait = %v, want killed", err)
	}
}

func TestDoLeavesTheCallersThreadAlone(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ns := func() string {
		link, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Error(err)
		}
		return link
	}
	before, main := ns(), ""
	var inA, inB string
	err := l.A.Do(func() error {
		inA = ns()
		main, _ = os.Readlink("/proc/self/ns/net")
		return l.B.Do(func() error { inB = ns(); return nil })
	})
	if err != nil || inA == before || inB == before || inA == inB {
		t.Errorf("namespaces outside %s, a %s, b %s, %v: want three", before, inA, inB, err)
	}
	if after := ns(); after != before || main != before {
		t.Errorf("namespace after %s, of the process %s, want %s", after, main, before)
	}
	for range 50 { // and no thread comes back from there
		got := make(chan string)
		go func() { got <- ns() }()
		if g := <-got; g != before {
			t.Fatalf("another goroutine runs in %s, want %s", g, before)
		}
	}
}

func TestGoexitInDoEndsTheCaller(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	ended, passed := make(chan struct{}), false
	go func() {
		defer close(ended)
		_ = l.A.Do(func() error { runtime.Goexit(); return nil })
		passed = true
	}()
	<-ended
	if passed {
		t.Error("Do returned after its function ended the goroutine")
	}
}

func TestSysctlIsTheHostsOwn(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	const name = "net/ipv4/tcp_congestion_control"
	outside, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.A.SetSysctl(name, "reno"); err != nil {
		t.Fatal(err)
	}
	err = l.A.Do(func() error {
		inside, err := os.ReadFile("/proc/sys/" + name)
		if string(inside) != "reno\n" {
			t.Errorf("inside = %q, want reno", inside)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if now, _ := os.ReadFile("/proc/sys/" + name); string(now) != string(outside) {
		t.Errorf("outside = %q, want %q as before", now, outside)
	}
}

func TestASmallMTUHasNoIPv6(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{MTU: 576})
	if l.A.IP6.IsValid() {
		t.Errorf("IP6 = %v at an MTU below 1280, want none", l.A.IP6)
	}
	wantEcho(t, l.A, l.B, "10.77.0.2")
}
