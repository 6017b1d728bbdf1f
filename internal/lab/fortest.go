package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// TB is what ForTest needs of a testing.TB, so that a program that makes labs does not
// carry package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// testPrefix begins the names of labs for tests; the process and a number follow.
const testPrefix = "test-"

// testLabs numbers the labs of this process.
var testLabs atomic.Uint32

// ForTest makes a lab that ends with the test, under a name of its own unless cfg has one.
// The test has asked for testutil.Privileged before. Labs of test processes that were
// killed are taken away on the way.
func ForTest(t TB, cfg Config) *Lab {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = fmt.Sprintf("%s%d-%d", testPrefix, os.Getpid(), testLabs.Add(1))
	}
	sweep()
	l, err := Up(cfg)
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := l.Down(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return l
}

// sweep removes the labs of test processes that are no more. One that cannot be removed is
// left for the next test.
func sweep() {
	names, err := List()
	if err != nil {
		return
	}
	for _, name := range names {
		if pid, ours := testProcess(name); ours && !alive(pid) {
			_ = Remove(name)
		}
	}
}

// testProcess returns the process that made a lab for a test, from the lab's name.
func testProcess(name string) (pid int, ours bool) {
	rest, ours := strings.CutPrefix(name, testPrefix)
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return pid, ours && err == nil && pid > 0
}

func alive(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}
