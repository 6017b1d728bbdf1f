package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// TestRedis is point 4: a real server on the kernel's loopback, behind the proxy, and its
// own clients on the kernel's TCP. One request in flight a connection, then sixteen.
func TestRedis(t *testing.T) {
	l := made(t)
	server := testutil.Command(t, "redis-server", "redis-server")
	cli := testutil.Command(t, "redis-tools", "redis-cli")
	benchmark := testutil.Command(t, "redis-tools", "redis-benchmark")
	start(t, l.A, server, "--port", "16379", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", t.TempDir(), "--daemonize", "no", "--logfile", "").await("Ready to accept connections")
	listening(t, l.A, "proxy", "--listen", ":6379", "--to", "127.0.0.1:16379")

	if got := strings.TrimSpace(output(t, most(patience), l.B, cli, "-h", "10.77.0.1", "ping")); got != "PONG" {
		t.Fatalf("point 4: redis-cli ping: got %q, want PONG", got)
	}
	n := sized("100000", "10000")
	for _, args := range [][]string{
		{"-c", "50"},
		{"-c", "50", "-P", "16"},
		{"-c", "50", "-d", "16384"}, // values of many segments
	} {
		requests := n
		if args[len(args)-1] == "16384" {
			requests = sized("20000", "5000")
		}
		all := append([]string{"-h", "10.77.0.1", "-t", "set,get", "-n", requests, "-q"}, args...)
		got := output(t, most(time.Minute), l.B, benchmark, all...)
		if err := strings.Contains(strings.ToLower(got), "error"); err || !strings.Contains(got, "SET:") || !strings.Contains(got, "GET:") {
			t.Errorf("point 4: redis-benchmark %v printed %q, want SET and GET and no error", all, got)
			continue
		}
		t.Logf("point 4: redis-benchmark -n %s %s through the proxy: %s", requests, strings.Join(args, " "), benchmarkFigures(got))
	}
	if got := strings.TrimSpace(output(t, most(patience), l.B, cli, "-h", "10.77.0.1", "ping")); got != "PONG" {
		t.Errorf("point 4: redis-cli ping afterwards: got %q, want PONG", got)
	}
}

// benchmarkFigures joins the last word of redis-benchmark on each test; before it there are
// reports on the way, which end with a carriage return.
func benchmarkFigures(output string) string {
	var figures []string
	for line := range strings.Lines(output) {
		parts := strings.FieldsFunc(line, func(r rune) bool { return r == '\r' || r == '\n' })
		if len(parts) > 0 {
			if last := strings.TrimSpace(parts[len(parts)-1]); last != "" {
				figures = append(figures, last)
			}
		}
	}
	return strings.Join(figures, "; ")
}
