package millrace_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/pin"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

var allowedList = regexp.MustCompile(`(?m)^Cpus_allowed_list:\s*(\S+)$`)

// threads returns on which processors each thread of this process may run, as the kernel lists
// them.
func threads(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	all := make(map[string]string)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		if m := allowedList.FindSubmatch(b); m != nil {
			all[f] = string(m[1])
		}
	}
	return all
}

// wantKept checks that of the threads which were not kept on a processor before one is on each of
// two by now.
func wantKept(t *testing.T, before map[string]string) {
	t.Helper()
	kept := make(map[string]int)
	for thread, on := range threads(t) {
		if before[thread] != on {
			kept[on]++
		}
	}
	if kept["0"] != 1 || kept["1"] != 1 {
		t.Errorf("threads by processors: %v, want one on 0 and one on 1", kept)
	}
}

// twoProcessors skips where there are fewer.
func twoProcessors(t *testing.T) {
	t.Helper()
	if all, err := pin.Allowed(); err != nil || !slices.Contains(all, 0) || !slices.Contains(all, 1) {
		t.Skipf("processors 0 and 1 are needed, there are %v (%v)", all, err)
	}
}

// Each worker has a thread that stays on its processor, and connections work. All other threads
// go where they like.
func TestPin(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	twoProcessors(t)
	l := lab.ForTest(t, lab.Config{Queues: 2})
	before := threads(t)
	nic := open(t, l.A, millrace.Config{Mode: millrace.ModeCopy, Pin: "1,0"})
	if got := nic.Info().Processors; !slices.Equal(got, []int{1, 0}) {
		t.Errorf("the workers are said to be on %v", got)
	}
	wantKept(t, before)
	echo(t, listen(t, l.A, nic, ":7"))
	for range 8 {
		c, err := l.B.Dial(t.Context(), "tcp", l.A.IP4.Addr().String()+":7")
		if err != nil {
			t.Fatal(err)
		}
		wantEcho(t, c, 1<<20)
	}
	wantKept(t, before)
}

// What the process may not use is refused, and auto does not choose it.
func TestPinAllowed(t *testing.T) {
	testutil.Privileged(t)
	testutil.NoGoroutineLeak(t)
	twoProcessors(t)
	l := lab.ForTest(t, lab.Config{Queues: 2})
	for want, cpus := range map[string][]int{"auto": {1, 1}, "1": {1, 1}, "0": nil, "0-1": nil} {
		err := l.A.Do(func() error {
			var all unix.CPUSet
			if err := unix.SchedGetaffinity(0, &all); err != nil {
				return err
			}
			if err := pin.Thread(1); err != nil {
				return err
			}
			defer func() { _ = unix.SchedSetaffinity(0, &all) }()
			nic, err := millrace.Open(l.A.Interface, millrace.Config{Pin: want})
			if err != nil {
				return err
			}
			if got := nic.Info().Processors; !slices.Equal(got, cpus) {
				t.Errorf("%s: the workers are on %v, want %v", want, got, cpus)
			}
			return nic.Close()
		})
		if (err == nil) != (cpus != nil) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}
