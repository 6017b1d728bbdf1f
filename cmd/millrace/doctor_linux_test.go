package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// An interface that millrace can open is found usable; while it is open, the program on it
// stands in the way of a second.
func TestDoctor(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	examine := func() (report struct {
		Usable bool
		Checks []struct{ Name, Status, Found, Remedy string }
	}, err error,
	) {
		out, err := l.A.Command(t.Context(), binary, "doctor", "--nic", l.A.Interface, "--json").Output()
		if jerr := json.Unmarshal(out, &report); jerr != nil {
			t.Fatalf("%v: %s", jerr, out)
		}
		return report, err
	}
	if r, err := examine(); err != nil || !r.Usable {
		t.Errorf("before: %v, %+v", err, r)
	}
	cmd := l.A.Command(t.Context(), binary, "serve", "echo", "--nic", l.A.Interface, "--listen", ":7", "--settings", "steer")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, 10*time.Second, func() bool {
		c, err := l.B.Dial(t.Context(), "tcp", "10.77.0.1:7")
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, "the echo service")
	r, err := examine()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || r.Usable {
		t.Errorf("while it is open: %v, %+v, want status 1", err, r)
	}
	for _, c := range r.Checks {
		if (c.Status == "fail") != (c.Name == "XDP") {
			t.Errorf("while it is open: %+v", c)
		}
		if c.Name == "settings" && runtime.NumCPU() > 1 && !strings.Contains(c.Found, "rps_cpus") {
			t.Errorf("settings: %+v, want that packets are steered", c)
		}
		if c.Name == "XDP" && !strings.Contains(c.Remedy, l.A.Interface) {
			t.Errorf("remedy: %+v", c)
		}
	}
}
