package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// A running instance is seen from outside its namespace, with its connections; one that
// was killed is not, and leaves nothing in the way.
func TestSSSeesInstances(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	cmd := l.A.Command(t.Context(), binary, "serve", "echo", "--nic", l.A.Interface, "--listen", ":7")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var c io.ReadWriteCloser
	testutil.Eventually(t, 10*time.Second, func() bool {
		var err error
		c, err = l.B.Dial(t.Context(), "tcp", "10.77.0.1:7")
		return err == nil
	}, "the echo service")
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	of := fmt.Sprintf("--pid=%d", cmd.Process.Pid)
	out, err := exec.CommandContext(t.Context(), binary, "ss", of).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ESTABLISHED        0       0  10.77.0.1:7  10.77.0.2:") {
		t.Errorf("%v:\n%s", err, out)
	}
	out, err = exec.CommandContext(t.Context(), binary, "ss", "--json", of).Output()
	var all []struct {
		NIC         struct{ Name string }
		Connections []struct {
			Received int `json:"bytes_received"`
		}
	}
	if err != nil || json.Unmarshal(out, &all) != nil || len(all) != 1 || all[0].NIC.Name != l.A.Interface ||
		len(all[0].Connections) != 1 || all[0].Connections[0].Received != 5 {
		t.Errorf("%v:\n%s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // "signal: killed"
	if out, err = exec.CommandContext(t.Context(), binary, "ss", "--json", of).Output(); err != nil || string(out) != "[]\n" {
		t.Errorf("after the end: %v:\n%s", err, out)
	}
}
