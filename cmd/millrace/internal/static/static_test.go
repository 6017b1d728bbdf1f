package static_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/static"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// site serves a directory with a bit of everything until the test ends.
func site(t *testing.T) (base, dir string, stop func() error) {
	t.Helper()
	testutil.NoGoroutineLeak(t)
	outside := t.TempDir()
	dir = filepath.Join(outside, "www")
	for name, content := range map[string]string{
		"secret": "secret", "www/file": "0123456789", "www/sub/inner": "inner",
		"www/indexed/index.html": "<p>index", "www/large": strings.Repeat("x", 8<<20),
	} {
		path := filepath.Join(outside, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"escape": "../secret", "absolute": outside + "/secret", "within": "sub/inner"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- static.Serve(ctx, l, static.Handler(root), slog.New(slog.NewTextHandler(io.Discard, nil)))
	}()
	stop = func() error {
		cancel()
		select {
		case err := <-done:
			done <- err
			return err
		case <-time.After(20 * time.Second):
			return context.DeadlineExceeded
		}
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := stop(); err != nil {
			t.Error(err)
		}
		_ = root.Close()
	})
	return "http://" + l.Addr().String(), dir, stop
}

func TestHandler(t *testing.T) {
	base, _, _ := site(t)
	for _, tt := range []struct {
		method, path, ranges string
		status               int
		body                 string // part of it
		length               int64  // -1: whatever
	}{
		{"GET", "/file", "", 200, "0123456789", 10},
		{"HEAD", "/file", "", 200, "", 10},
		{"GET", "/file", "bytes=2-4", 206, "234", 3},
		{"GET", "/file", "bytes=20-", 416, "", -1},
		{"GET", "/", "", 200, `href="sub/"`, -1},
		{"GET", "/indexed/", "", 200, "<p>index", 8},
		{"GET", "/within", "", 200, "inner", 5},
		{"GET", "/none", "", 404, "", -1},
		{"GET", "/escape", "", 403, "", -1},
		{"GET", "/absolute", "", 403, "", -1},
		{"GET", "/fifo", "", 403, "", -1},
		{"GET", "/..%2fsecret", "", 404, "", -1},
		{"POST", "/file", "", 405, "", -1},
	} {
		req, err := http.NewRequest(tt.method, base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.ranges != "" {
			req.Header.Set("Range", tt.ranges)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", tt.method, tt.path, err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != tt.status || !strings.Contains(string(body), tt.body) ||
			tt.length >= 0 && res.ContentLength != tt.length || bytes.Contains(body, []byte("secret")) && tt.path != "/" {
			t.Errorf("%s %s: %v, %d, length %d, %q, want %d, %d, %q", tt.method, tt.path, err,
				res.StatusCode, res.ContentLength, body, tt.status, tt.length, tt.body)
		}
		if res.Proto != "HTTP/1.1" {
			t.Errorf("%s %s: %s, want HTTP/1.1", tt.method, tt.path, res.Proto)
		}
	}
}

// Two requests take one connection.
func TestKeepAlive(t *testing.T) {
	base, _, _ := site(t)
	dials := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	for range 2 {
		res, err := (&http.Client{Transport: transport}).Get(base + "/file")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	if dials != 1 {
		t.Errorf("%d connections, want 1", dials)
	}
}

// A transfer that is under way when the server is told to stop is finished.
func TestShutdownLetsTransfersEnd(t *testing.T) {
	base, _, stop := site(t)
	res, err := http.Get(base + "/large")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != 8<<20 {
		t.Errorf("%d octets, %v, want %d", n, err, 8<<20)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
