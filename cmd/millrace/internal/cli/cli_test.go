package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/network"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// syncBuffer is a stream that one goroutine writes and another looks at.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// command is a command line that runs in the background, on the kernel's TCP in place of
// a NIC.
type command struct {
	out, diag syncBuffer
	cancel    context.CancelCauseFunc
	status    chan int
	closed    bool // the network was
}

// closing notes that the network was closed.
type closing struct {
	network.Network
	c *command
}

func (n closing) Close() error {
	n.c.closed = true
	return n.Network.Close()
}

func startCommand(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{status: make(chan int, 1)}
	ctx, cancel := context.WithCancelCause(t.Context())
	c.cancel = cancel
	a := &app{stdin: strings.NewReader(""), stdout: &c.out, stderr: &c.diag}
	a.open = func(cfg network.Config) (network.Network, error) {
		if cfg.NIC != "lo" || cfg.Spin != network.Forever || cfg.Queues != 2 || cfg.Mode != "copy" || cfg.Congestion != "reno" || !cfg.KeepAlive.Enable {
			return nil, errors.New("wrong flags")
		}
		return closing{network.Kernel(network.Config{}), c}, nil
	}
	args = append(args, "--nic", "lo", "--spin", "inf", "--queues", "2", "--mode", "copy", "--cc", "reno")
	go func() { c.status <- a.run(ctx, args) }()
	t.Cleanup(func() { c.stop(t) })
	return c
}

// stop stops the command as a signal does.
func (c *command) stop(t *testing.T) {
	t.Helper()
	c.cancel(errStopped)
	select {
	case status := <-c.status:
		c.status <- status
		if status != 0 || !c.closed {
			t.Errorf("status %d, network closed %v, want 0, true: %s", status, c.closed, c.diag.String())
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the command does not stop")
	}
}

// find waits until the log has what re matches, and returns its first group.
func (c *command) find(t *testing.T, re string) string {
	t.Helper()
	var m []string
	testutil.Eventually(t, 10*time.Second, func() bool {
		m = regexp.MustCompile(re).FindStringSubmatch(c.diag.String())
		return m != nil
	}, re)
	return m[1]
}

const listening = `msg=listening address=(\S+)`

// A closed connection is one object with the keys that scripts rely on.
func TestServeJSON(t *testing.T) {
	c := startCommand(t, "serve", "discard", "--listen", "127.0.0.1:0", "--json")
	conn, err := net.Dial("tcp", c.find(t, listening))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 12345)); err != nil {
		t.Fatal(err)
	}
	local := conn.LocalAddr().String()
	_ = conn.Close()
	testutil.Eventually(t, 10*time.Second, func() bool { return strings.HasSuffix(c.out.String(), "\n") }, "a line")
	var got map[string]any
	if err := json.Unmarshal([]byte(c.out.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got["remote"] != local || got["bytes"] != 12345.0 {
		t.Errorf("got %v, want remote %s, bytes 12345", got, local)
	}
	for _, key := range []string{"seconds", "bits_per_second", "retransmits", "cc"} {
		if _, ok := got[key]; !ok {
			t.Errorf("got %v, want %s", got, key)
		}
	}
}

func TestMetrics(t *testing.T) {
	c := startCommand(t, "serve", "echo", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0")
	base := "http://" + c.find(t, `msg=metrics address=(\S+)`)
	for path, want := range map[string]string{"/metrics": "go_goroutines", "/debug/pprof/": "heap"} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v, no %q", path, err, want)
		}
	}
}

func TestCCList(t *testing.T) {
	var out, diag syncBuffer
	a := &app{stdout: &out, stderr: &diag}
	if status := a.run(t.Context(), []string{"cc", "list", "--json"}); status != 0 {
		t.Fatalf("status %d: %s", status, diag.String())
	}
	var got []algorithm
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || len(got) == 0 {
		t.Fatalf("%v, %s", err, out.String())
	}
	defaults := 0
	for _, alg := range got {
		if alg.Default {
			defaults++
		}
		if err := a.checkCC(alg.Name); err != nil {
			t.Errorf("--cc does not take what cc list lists: %v", err)
		}
	}
	if defaults != 1 {
		t.Errorf("%d defaults, want 1", defaults)
	}
}

// The command measures with itself: the client's JSON is iperf3's, and both agree.
func TestIperf3(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	server := startCommand(t, "iperf3", "-s", "-1", "-p", port)
	testutil.Eventually(t, 10*time.Second, func() bool {
		return strings.Contains(server.out.String(), "Server listening on "+port)
	}, "the server to listen")
	client := startCommand(t, "iperf3", "-c", "127.0.0.1", "-p", port, "-n", "1M", "-P", "2", "-J")
	for _, c := range []*command{client, server} {
		select {
		case status := <-c.status:
			c.status <- status
			if status != 0 {
				t.Fatalf("status %d: %s", status, c.diag.String())
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it does not end")
		}
	}
	var got struct {
		End struct {
			Sent struct {
				Bytes int64 `json:"bytes"`
			} `json:"sum_sent"`
			Received struct {
				Bytes int64 `json:"bytes"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal([]byte(client.out.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, client.out.String())
	}
	if got.End.Sent.Bytes != 1<<20 || got.End.Received.Bytes != 1<<20 {
		t.Errorf("sent %d, received %d, want 1 MiB each", got.End.Sent.Bytes, got.End.Received.Bytes)
	}
}
