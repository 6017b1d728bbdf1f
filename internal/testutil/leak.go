package testutil

import (
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// leakGrace is how long a goroutine may take to end after its test: long enough for a
// worker that closes over a slow machine, short enough for a leak to be found soon.
const leakGrace = 5 * time.Second

// NoGoroutineLeak fails the test when goroutines that did not exist at the call still run
// when the test, its subtests and the clean-ups registered after the call have ended. Call
// it first. It sees the whole process: not for tests that run in parallel with others.
func NoGoroutineLeak(t testing.TB) {
	t.Helper()
	before := goroutines()
	t.Cleanup(func() {
		t.Helper()
		start := time.Now()
		for {
			leaked := newSince(before)
			if len(leaked) == 0 {
				return
			}
			if time.Since(start) >= leakGrace {
				t.Errorf("%d goroutines still run %v after the test:\n\n%s",
					len(leaked), leakGrace, strings.Join(leaked, "\n\n"))
				return
			}
			time.Sleep(pollEvery)
		}
	})
}

// newSince returns the stacks of the goroutines that are not in before, and that the test
// is answerable for.
func newSince(before map[string]string) []string {
	var stacks []string
	now := goroutines()
	for _, id := range slices.Sorted(maps.Keys(now)) {
		if _, old := before[id]; !old && !ofRuntime(now[id]) {
			stacks = append(stacks, now[id])
		}
	}
	return stacks
}

// ofRuntime says whether a stack is of a goroutine that the standard library starts once
// in the life of a process and keeps.
func ofRuntime(stack string) bool {
	for _, frame := range []string{
		"os/signal.signal_recv", "os/signal.loop", "runtime.ensureSigM",
		"testing.(*T).Run(", "testing.tRunner.func", "testing.(*M).startAlarm",
		"testing.runFuzzing", "testing.runFuzzTests",
	} {
		if strings.Contains(stack, frame) && !strings.Contains(stack, "\ncreated by github.com/millrace-tcp/") {
			return true
		}
	}
	return false
}

// goroutines returns the stack of every goroutine, by its number.
func goroutines() map[string]string {
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	all := make(map[string]string)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		// "goroutine 7 [running]:"
		if f := strings.Fields(stack); len(f) > 1 && f[0] == "goroutine" {
			all[f[1]] = stack
		}
	}
	return all
}
