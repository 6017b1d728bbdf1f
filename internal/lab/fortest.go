package lab

import (
	"fmt"
	"os"
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
	Sweep(testPrefix)
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
