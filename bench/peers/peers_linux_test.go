package main

import (
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

// The programs that are the ends.
var peers, millrace string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "millrace-peers-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		peers, millrace = filepath.Join(dir, "peers"), filepath.Join(dir, "millrace")
		for _, args := range []string{"-o " + peers + " .", "-C ../.. -o " + millrace + " ./cmd/millrace"} {
			cmd := exec.Command("go", append([]string{"build"}, strings.Fields(args)...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", cmd, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// Each of the stacks runs every workload, and says which it is.
func TestStacks(t *testing.T) {
	testutil.Privileged(t)
	bed := testbed.New(t.Context(), testbed.Config{Client: []string{millrace, "peer"}, Peers: []string{peers}})
	t.Cleanup(func() {
		if err := bed.Close(); err != nil {
			t.Error(err)
		}
	})
	const short = 100 * time.Millisecond
	onLab := testbed.Link{Kind: testbed.Lab, MTU: 1500, Queues: 1}
	onPipe := testbed.Link{Kind: testbed.Pipe, MTU: 1500}
	for stack, link := range map[string]testbed.Link{
		testbed.GVisorXDP: onLab, testbed.GVisorNative: onLab, testbed.GVisorPacket: onLab, testbed.GVisor: onPipe,
	} {
		target, err := bed.Target(link, stack)
		if err != nil {
			t.Error(err)
			continue
		}
		if about := bed.About()[link.String()+" "+stack]; !strings.Contains(about, "gVisor v0.") {
			t.Errorf("%s is %q, want gVisor and its version", stack, about)
		}
		for _, w := range []bench.Workload{
			{Kind: bench.Exact, Way: bench.Upload, Octets: 1 << 20}, {Kind: bench.Exact, Way: bench.Download, Octets: 1 << 20},
			{Kind: bench.Bulk, Way: bench.Upload, Time: short, Flows: 4}, {Kind: bench.RequestResponse, Size: 1, Time: short},
			{Kind: bench.Connect, Size: 1, Time: short}, {Kind: bench.HTTP, Flows: 4, Time: short},
		} {
			if w.Kind == bench.HTTP && link == onPipe {
				continue
			}
			if r, err := target.Run(t.Context(), w); err != nil || r.Octets+r.Count == 0 {
				t.Errorf("%s: %v: %+v, %v", stack, w, r, err)
			}
		}
	}
}
