package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// labsOf returns the labs of a demo's process.
func labsOf(t *testing.T, pid int) (names []string) {
	t.Helper()
	all, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	prefix := fmt.Sprintf("demo-%d", pid)
	for _, name := range all {
		if name == prefix || strings.HasPrefix(name, prefix+"-") {
			names = append(names, name)
		}
	}
	return names
}

// The demo checks, measures and cleans up, and prints the keys that scripts rely on.
func TestDemo(t *testing.T) {
	testutil.Privileged(t)
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--time", "2s", "--json")
	var diag strings.Builder
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil || diag.String() != "" {
		t.Fatalf("%v: %s", err, &diag)
	}
	var got struct {
		XDP, CC  string
		AFXDP    string `json:"af_xdp"`
		KernelCC string `json:"kernel_cc"`
		MTU      int
		Checks   []struct {
			Way, SHA256 string
			Bytes       int64
			OK          bool
		}
		Rows []struct {
			Name, Unit, Better      string
			Millrace, Kernel, Ratio float64
			KernelXDP               float64 `json:"kernel_xdp"`
		}
		Counters struct {
			XDP   map[string]uint64
			Port  map[string]uint64
			Stack map[string]uint64
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	if got.XDP != "generic" || got.AFXDP != "copy" || got.CC == "" || got.KernelCC == "" || got.MTU != 1500 {
		t.Errorf("got %s", out)
	}
	if len(got.Checks) != 2 || len(got.Rows) != 7 {
		t.Fatalf("%d checks and %d rows, want 2 and 7", len(got.Checks), len(got.Rows))
	}
	for _, c := range got.Checks {
		if !c.OK || c.Bytes != 256<<20 || len(c.SHA256) != 64 {
			t.Errorf("check %+v", c)
		}
	}
	for _, r := range got.Rows {
		if r.Name == "" || r.Unit == "" || r.Better == "" || r.Millrace <= 0 || r.Kernel <= 0 || r.KernelXDP <= 0 || r.Ratio <= 0 {
			t.Errorf("row %+v", r)
		}
	}
	c := got.Counters
	// 256 MiB each way: in segments of at most 1448 octets what we send, and what comes in
	// packets of up to 64 KiB, for the peer's kernel on this machine does not cut them.
	const sent, came = 256 << 20 / 1448, 256 << 20 / (64 << 10)
	if c.XDP["redirected"] < came || c.Port["rx_frames"] < came || c.Port["tx_frames"] < sent || c.XDP["passed_unclaimed"] == 0 {
		t.Errorf("counters %+v", c)
	}
	if left := labsOf(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("labs %v are left", left)
	}
}

// A signal stops the demo at once: status 0, nothing printed, nothing left.
func TestDemoStops(t *testing.T) {
	testutil.Privileged(t)
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--time", "10m")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 20*time.Second, func() bool { return len(labsOf(t, cmd.Process.Pid)) == 2 }, "the labs")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || out.String() != "" {
		t.Errorf("%v, %q, want status 0 and nothing", err, out.String())
	}
	if left := labsOf(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("labs %v are left", left)
	}
}

// What a killed demo left behind, the next one takes away.
func TestDemoSweeps(t *testing.T) {
	testutil.Privileged(t)
	cmd := exec.CommandContext(t.Context(), binary, "demo", "--time", "10m")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 20*time.Second, func() bool { return len(labsOf(t, cmd.Process.Pid)) == 2 }, "the labs")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if left := labsOf(t, cmd.Process.Pid); len(left) != 2 {
		t.Fatalf("labs %v are left, want 2", left)
	}
	if _, stderr, status := run(t, "demo", "--time", "1s"); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if left := labsOf(t, cmd.Process.Pid); len(left) > 0 {
		t.Errorf("labs %v are left", left)
	}
}

// Without root there is one line that says what to do, and status 1.
func TestDemoWithoutRoot(t *testing.T) {
	testutil.Privileged(t) // to become somebody else
	// The directory of the program is its owner's alone: open it here, run what is open.
	program, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/fd/3", "demo")
	cmd.ExtraFiles = []*os.File{program}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var out, diag strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &diag
	_ = cmd.Run() // the status tells
	if status := cmd.ProcessState.ExitCode(); status != 1 || out.String() != "" ||
		strings.Count(diag.String(), "\n") != 1 || !strings.Contains(diag.String(), "takes root") {
		t.Errorf("status %d, %q, %q", status, out.String(), diag.String())
	}
}
