package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// What happens to the window of a live connection is recorded, and can be replayed.
func TestTraceOnANIC(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	dir := filepath.Join(t.TempDir(), "trace")
	cmd := l.A.Command(t.Context(), binary, "serve", "chargen", "--nic", l.A.Interface, "--listen", ":19", "--cc", "cubic", "--trace", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var c io.ReadCloser
	testutil.Eventually(t, 10*time.Second, func() bool {
		conn, err := l.B.Dial(t.Context(), "tcp", "10.77.0.1:19")
		c = conn
		return err == nil
	}, "the service")
	if _, err := io.CopyN(io.Discard, c, 8<<20); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("not a clean end: %v", err)
	}
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.ExitStatus() != 0 {
		t.Errorf("exit status %d", status.ExitStatus())
	}
	for name, want := range map[string]string{
		"flow-0.csv": "t,cwnd,ssthresh", "flow-0.sqlog": `"trigger":"ack"`, "index.html": "10.77.0.1:19 to 10.77.0.2:",
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, or it has no %q", name, err, want)
		}
	}
	out, diag, status := run(t, "sim", "replay", filepath.Join(dir, "flow-0.events.gz"), "--cc", "reno", "--json")
	var r struct {
		Recorded, Replayed string
		Events             int
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || r.Recorded != "cubic" || r.Replayed != "reno" || r.Events < 50 {
		t.Errorf("replay: status %d, %v: %s%s", status, err, out, diag)
	}
}
