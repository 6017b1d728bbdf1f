package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// The lab as a user makes it: up, seen, used, down.
func TestLab(t *testing.T) {
	testutil.Privileged(t)
	name := fmt.Sprintf("cli-%d", os.Getpid())
	must := func(args ...string) string {
		t.Helper()
		stdout, stderr, status := run(t, args...)
		if status != 0 {
			t.Fatalf("millrace %v: status %d: %s", args, status, stderr)
		}
		return stdout
	}
	must("lab", "up", "--name", name, "--mtu", "9000", "--queues", "2")
	t.Cleanup(func() { must("lab", "down", "--name", name) })

	var labs []struct {
		Name        string
		MTU, Queues int
		Hosts       []struct{ IP4, IP6 string }
	}
	if err := json.Unmarshal([]byte(must("lab", "status", "--name", name, "--json")), &labs); err != nil {
		t.Fatal(err)
	}
	if len(labs) != 1 || labs[0].MTU != 9000 || labs[0].Queues != 2 || labs[0].Hosts[1].IP6 != "fd77::2/64" {
		t.Errorf("status %+v", labs)
	}
	if out := must("lab", "exec", "--name", name, "b", "--", "cat", "/proc/net/if_inet6"); !strings.Contains(out, "fd770000000000000000000000000002") {
		t.Errorf("b has not fd77::2:\n%s", out)
	}
	if _, _, status := run(t, "lab", "exec", "--name", name, "a", "--", "sh", "-c", "exit 7"); status != 7 {
		t.Errorf("status %d, want the program's 7", status)
	}
	if _, stderr, status := run(t, "lab", "up", "--name", name); status != 1 || !strings.Contains(stderr, "exists") {
		t.Errorf("a second up: status %d, %q", status, stderr)
	}
}
