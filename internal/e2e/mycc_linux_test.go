package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// TestOwnCongestionControl does with examples/mycc what its author would, far from this tree:
// its test, a race in virtual time, and the same algorithm on the wire, over AF_XDP.
func TestOwnCongestionControl(t *testing.T) {
	l := made(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "mycc"))); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out)))
		}
		return string(out)
	}
	run("go", "mod", "edit", "-replace", "github.com/millrace-tcp/millrace="+root)
	run("go", "test", "-mod=mod", "-count=1", ".")
	run("go", "build", "-mod=mod", "-buildvcs=false", "-o", "mycc", ".")
	program := filepath.Join(dir, "mycc")
	if out := run(program, "sim", "--cc", "mycc,cubic", "--html", "race.html"); !strings.Contains(out, "mycc") {
		t.Errorf("the race printed %q", out)
	}
	page, err := os.ReadFile(filepath.Join(dir, "race.html"))
	if err != nil || !strings.Contains(string(page), "<svg") {
		t.Errorf("the page has %d octets and no plot, %v", len(page), err)
	}
	p := start(t, l.A, program, "serve", "chargen", "--nic", l.A.Interface, "--listen", ":19", "--cc", "mycc?beta=0.8", "--json")
	testutil.Eventually(t, patience, func() bool { return strings.Contains(p.stderr.String(), "listening") }, "it listens")
	got := output(t, most(patience), l.B, "bash", "-c", "head -c 1048576 < /dev/tcp/10.77.0.1/19 | wc -c")
	if strings.TrimSpace(got) != "1048576" {
		t.Errorf("got %q, want a megabyte", got)
	}
	testutil.Eventually(t, patience, func() bool { return strings.Contains(p.stdout.String(), `"cc":"mycc"`) }, "it was sent by mycc")
}
