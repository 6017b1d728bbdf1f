package lab

import (
	"fmt"
	"os"
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

// EnvNICs is the environment variable that names two interfaces, "eth0 eth1", which a cable
// joins and which nobody else uses: ForTest makes its labs of them, on hardware or in a
// virtual machine, one lab at a time.
const EnvNICs = "MILLRACE_TEST_NICS"

// OnNICs says whether ForTest makes labs of interfaces that are there.
func OnNICs() bool { return os.Getenv(EnvNICs) != "" }

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
	if OnNICs() {
		names := strings.Fields(os.Getenv(EnvNICs))
		if len(names) != len(cfg.NICs) {
			t.Fatalf("%s=%q does not name two interfaces", EnvNICs, os.Getenv(EnvNICs))
		}
		copy(cfg.NICs[:], names)
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
