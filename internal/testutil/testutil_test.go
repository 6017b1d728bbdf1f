package testutil

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// recorder is a testing.TB that notes how a helper ended the test. It embeds the interface
// for the one method that cannot be written outside package testing.
type recorder struct {
	testing.TB
	skipped, failed string
	cleanups        []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Skip(args ...any) {
	r.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

// run calls f as a test of its own, which Skip and Fatalf end.
func (r *recorder) run(f func(testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
}

func TestWhatIsMissingSkipsOrFails(t *testing.T) {
	absent := func(t testing.TB) { Command(t, "no-package", "no-such-program-millrace") }

	t.Setenv(EnvRequireRoot, "")
	var lax recorder
	lax.run(absent)
	if !strings.Contains(lax.skipped, "apt-get install no-package") || lax.failed != "" {
		t.Errorf("skipped %q, failed %q, want skipped with the remedy", lax.skipped, lax.failed)
	}

	t.Setenv(EnvRequireRoot, "1")
	var strict recorder
	strict.run(absent)
	if !strings.Contains(strict.failed, "apt-get install no-package") || strict.skipped != "" {
		t.Errorf("skipped %q, failed %q, want failed with the remedy", strict.skipped, strict.failed)
	}
}

func TestCommandFindsAProgram(t *testing.T) {
	if path := Command(t, "golang-go", "go"); !strings.HasSuffix(path, "/go") {
		t.Errorf("path = %q, want one that ends in /go", path)
	}
}

func TestLacking(t *testing.T) {
	for _, tt := range []struct{ name, status, want string }{
		{"root", "Name:\tx\nCapEff:\t000001ffffffffff\n", ""},
		{"an ordinary user", "CapEff:\t0000000000000000\n", "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN"},
		{"root in a container", "CapEff:\t00000000a80425fb\n", "CAP_NET_ADMIN CAP_SYS_ADMIN"},
		{"no such line", "Name:\tx\n", "CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN"},
	} {
		if got := strings.Join(lacking(tt.status), " "); got != tt.want {
			t.Errorf("%s: lacking = %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestEventually(t *testing.T) {
	asked := 0
	Eventually(t, 5*time.Second, func() bool { asked++; return asked == 3 }, "the third question")
	if asked != 3 {
		t.Errorf("asked %d times, want 3", asked)
	}

	var r recorder
	r.run(func(t testing.TB) {
		Eventually(t, 10*time.Millisecond, func() bool { return false }, "the impossible")
	})
	if !strings.Contains(r.failed, "the impossible") {
		t.Errorf("failed = %q, want it to name what was waited for", r.failed)
	}
}

func TestNoGoroutineLeak(t *testing.T) {
	stop, ended := make(chan struct{}), make(chan struct{})
	before := goroutines()
	go func() {
		defer close(ended)
		<-stop
	}()
	Eventually(t, 5*time.Second, func() bool {
		leaked := newSince(before)
		return len(leaked) == 1 && strings.Contains(leaked[0], "TestNoGoroutineLeak")
	}, "the goroutine to be seen as leaked")
	close(stop)
	<-ended

	var r recorder
	r.run(func(t testing.TB) { NoGoroutineLeak(t) })
	r.cleanups[0]()
	if r.failed != "" {
		t.Errorf("a test that leaks nothing failed: %s", r.failed)
	}
}
