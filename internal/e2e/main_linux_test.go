package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// program is what is tested, built from this tree, and the files that it serves.
type program struct {
	path  string
	files string
}

// built is filled by TestMain, and empty where nothing can run for want of root.
var built program

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // each test says what it lacks
	}
	dir, err := os.MkdirTemp("", "millrace-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	status := 1
	if built, err = build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	} else {
		status = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// programEnv names the program where it has been built already, as for a machine without Go.
const programEnv = "MILLRACE_E2E_PROGRAM"

func build(dir string) (program, error) {
	p := program{path: os.Getenv(programEnv), files: filepath.Join(dir, "files")}
	if err := os.Mkdir(p.files, 0o755); err != nil {
		return p, fmt.Errorf("make a directory: %w", err)
	}
	if p.path != "" {
		return p, nil
	}
	p.path = filepath.Join(dir, "millrace")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", p.path, "github.com/millrace-tcp/millrace/cmd/millrace")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return p, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return p, nil
}

// extraFlags are for every run of the program.
func extraFlags() []string { return strings.Fields(os.Getenv("MILLRACE_E2E_FLAGS")) }

// onKernel says whether the program is told to use the kernel's TCP.
func onKernel() bool {
	return strings.Contains(strings.ReplaceAll(os.Getenv("MILLRACE_E2E_FLAGS"), "=", " "), "--stack kernel")
}

// millrace starts the program on a host's interface. It is stopped, cleanly, when the test
// ends.
func millrace(t testing.TB, h *lab.Host, args ...string) *process {
	t.Helper()
	if !onKernel() {
		args = append(args, "--nic", h.Interface)
	}
	return start(t, h, built.path, append(args, extraFlags()...)...)
}

// listening starts a server of the program, which listens when it returns.
func listening(t testing.TB, h *lab.Host, args ...string) *process {
	t.Helper()
	p := millrace(t, h, args...)
	p.await("istening")
	return p
}

// byHand makes two namespaces and a veth pair with ip(8), with what the kernel gives a
// pair by default: offloads, queues and MTU. They have the names of a lab, so that package
// lab finds them and takes them away. Where there are NICs it is these.
func byHand(t testing.TB) *lab.Lab {
	t.Helper()
	if lab.OnNICs() {
		return made(t)
	}
	testutil.Privileged(t)
	ip := testutil.Command(t, "iproute2", "ip")
	name := fmt.Sprintf("test-%d-hand", os.Getpid())
	a, b := "millrace-"+name+"-a", "millrace-"+name+"-b"
	t.Cleanup(func() {
		if err := lab.Remove(name); err != nil {
			t.Error(err)
		}
	})
	for _, line := range []string{
		"netns add " + a,
		"netns add " + b,
		"-n " + a + " link add veth-a type veth peer name veth-b netns " + b,
		"-n " + a + " addr add 10.77.0.1/24 dev veth-a",
		"-n " + b + " addr add 10.77.0.2/24 dev veth-b",
		"-n " + a + " addr add fd77::1/64 dev veth-a nodad",
		"-n " + b + " addr add fd77::2/64 dev veth-b nodad",
		"-n " + a + " link set lo up",
		"-n " + b + " link set lo up",
		"-n " + a + " link set veth-a up",
		"-n " + b + " link set veth-b up",
	} {
		if out, err := exec.Command(ip, strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	l, err := lab.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// made makes the namespaces with package lab, as the program's own lab command does.
func made(t testing.TB) *lab.Lab {
	t.Helper()
	testutil.Privileged(t)
	return lab.ForTest(t, lab.Config{})
}

// crowd returns how many clients make a crowd: fewer where an emulated machine runs them all.
func crowd(n int) int {
	if lab.OnNICs() {
		return n / 4
	}
	return n
}

// sized returns full, or short with -short.
func sized[T any](full, short T) T {
	if testing.Short() {
		return short
	}
	return full
}
