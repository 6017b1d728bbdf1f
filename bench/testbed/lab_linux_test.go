package testbed_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// binary is the program that is the ends.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-bench-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "millrace")
		if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/millrace").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

func newBed(t *testing.T) *testbed.Bed {
	t.Helper()
	bed := testbed.New(context.Background(), testbed.Config{
		End: []string{binary, "bench", "end"}, Client: []string{binary, "peer"},
	})
	t.Cleanup(func() {
		if err := bed.Close(); err != nil {
			t.Error(err)
		}
	})
	return bed
}

// Every stack of every link that this module has runs every workload that it can, and says
// what it used.
func TestStacks(t *testing.T) {
	testutil.Privileged(t)
	bed := newBed(t)
	const short = 100 * time.Millisecond
	bulk := []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload, Time: short, Flows: 2}, {Kind: bench.Bulk, Way: bench.Download, Time: short},
	}
	rr := bench.Workload{Kind: bench.RequestResponse, Size: 64, Time: short}
	all := append(bulk, rr,
		bench.Workload{Kind: bench.Connect, Size: 1, Time: short},
		bench.Workload{Kind: bench.Idle, Flows: 50, Time: short},
		bench.Workload{Kind: bench.HTTP, Flows: 4, Time: short})
	onLab, onPipe := testbed.Link{Kind: testbed.Lab, MTU: 1500, Queues: 1}, testbed.Link{Kind: testbed.Pipe, MTU: 1500}
	modes := map[string]string{
		testbed.MillraceNative: "XDP native", testbed.MillraceGeneric: "XDP generic", testbed.RawNative: "XDP native",
		testbed.KernelXDP: "XDP native", testbed.KernelGeneric: "XDP generic",
	}
	for _, tt := range []struct {
		link  testbed.Link
		stack string
		runs  []bench.Workload
	}{
		{onLab, testbed.Millrace, all}, {onLab, testbed.MillraceBoth, all}, {onLab, testbed.Kernel, all},
		{onLab, testbed.MillraceHandler, all[:5]}, {onLab, testbed.MillraceInPlace, bulk},
		{onLab, testbed.MillraceNative, bulk}, {onLab, testbed.MillraceGeneric, bulk}, {onLab, testbed.MillraceBothHandler, all[2:4]},
		{onLab, testbed.KernelXDP, all}, {onLab, testbed.KernelGeneric, bulk},
		{onLab, testbed.Raw, append(bulk[1:2:2], rr)}, {onLab, testbed.RawNative, bulk[1:]},
		{onLab, testbed.RawSpin, all[2:3]}, {onLab, testbed.RawReflect, all[2:3]},
		{onPipe, testbed.Millrace, append(bulk, rr)}, {onPipe, testbed.MillraceHandler, append(bulk, rr)},
		{onPipe, testbed.MillraceInPlace, bulk}, {onPipe, testbed.MemoryCopy, bulk[:1]},
	} {
		t.Run(tt.link.Kind+" "+tt.stack, func(t *testing.T) {
			target, err := bed.Target(tt.link, tt.stack)
			if err != nil {
				t.Fatal(err)
			}
			about := bed.About()[tt.link.String()+" "+tt.stack]
			t.Log(about)
			if mode := modes[tt.stack]; !strings.Contains(about, mode) {
				t.Errorf("it is %q, want %s", about, mode)
			}
			for _, w := range tt.runs {
				r, err := target.Run(t.Context(), w)
				if err != nil {
					t.Errorf("%v: %v", w, err)
					continue
				}
				t.Logf("%v: %.0f bit/s %.0f/s p50 %v cpu %+v mem %+v", w, r.BitsPerSecond(), r.PerSecond(), r.Latency.Percentile(50), r.CPU, r.Memory)
				if r.Elapsed < short/2 || r.Octets+r.Count == 0 || r.CPU.Client.Busy() <= 0 && w.Kind != bench.Idle && w.Kind != bench.HTTP {
					t.Errorf("%v: %+v", w, r)
				}
			}
		})
	}
}
