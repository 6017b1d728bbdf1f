// Package testutil asks for what a test needs of the machine, and waits for what a test
// expects of it. What is missing skips the test with the remedy; where EnvRequireRoot is
// set, as it is in CI, it fails the test instead, so that nothing goes untested unseen.
package testutil

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// EnvRequireRoot is the environment variable that, set to 1, turns every skip of this
// package into a failure.
const EnvRequireRoot = "MILLRACE_REQUIRE_ROOT"

// pollEvery is how often a condition is asked again: far below what a person notices, and
// rare enough to leave a core to what is waited for.
const pollEvery = 2 * time.Millisecond

// The capabilities that namespaces, links and XDP programs take, by their bit in CapEff
// (capabilities(7)).
var privileges = []struct {
	name string
	bit  uint
}{
	{"CAP_NET_ADMIN", 12},
	{"CAP_NET_RAW", 13},
	{"CAP_SYS_ADMIN", 21},
}

// Privileged skips the test unless it may make network namespaces and load XDP programs:
// root on Linux, or the capabilities that take its place. The test is responsible for
// staying in namespaces of its own.
func Privileged(t testing.TB) {
	t.Helper()
	if runtime.GOOS != "linux" {
		missing(t, "this test needs Linux: run it there as root")
		return
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		missing(t, "this test needs to know its capabilities: "+err.Error())
		return
	}
	if lack := lacking(string(status)); len(lack) > 0 {
		missing(t, "this test needs "+strings.Join(lack, ", ")+
			": run it as root (sudo -E env \"PATH=$PATH\" make test); in a container, start that with --privileged")
	}
}

// Command returns the path of a program that a test runs as a peer, and skips the test
// when it is not installed. pkg is the Debian package that has it.
func Command(t testing.TB, pkg, binary string) string {
	t.Helper()
	if path, err := exec.LookPath(binary); err == nil {
		return path
	}
	// Debian leaves the sbin directories out of an ordinary user's PATH.
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, binary)); err == nil {
			return path
		}
	}
	missing(t, "this test needs "+binary+": apt-get install "+pkg)
	return ""
}

// Eventually asks cond every few milliseconds until it holds, and fails the test when it
// does not within the deadline. what names the condition, as in "the port to be free".
func Eventually(t testing.TB, deadline time.Duration, cond func() bool, what string) {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) >= deadline {
			t.Fatalf("waited %v for %s", deadline, what)
			return
		}
		time.Sleep(pollEvery)
	}
}

// lacking returns the privileges whose bits are not in the effective set of a
// /proc/PID/status.
func lacking(status string) []string {
	var effective uint64
	for line := range strings.Lines(status) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			effective, _ = strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		}
	}
	var names []string
	for _, p := range privileges {
		if effective&(1<<p.bit) == 0 {
			names = append(names, p.name)
		}
	}
	return names
}

// missing ends the test: as skipped, or as failed where nothing may be skipped.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(EnvRequireRoot) == "1" {
		t.Fatalf("%s (%s=1 forbids to skip)", why, EnvRequireRoot)
	}
	t.Skip(why)
}
