package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/millrace-tcp/millrace/internal/lab"
)

// The two addresses of the host that millrace runs on, as they stand in a URL.
var hosts = []struct{ family, host string }{{"IPv4", "10.77.0.1"}, {"IPv6", "[fd77::1]"}}

// TestDownloads is point 1: a stock client on the kernel's TCP gets what was served, alone
// and in a crowd, over both families.
func TestDownloads(t *testing.T) {
	l := byHand(t)
	big := file(t, sized[int64](1024, 64)*mib)
	small := file(t, sized[int64](16, 2)*mib)
	listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	for _, to := range hosts {
		took, err := download(t, l.B, big, "http://"+to.host+":8080/"+big.name)
		if err != nil {
			t.Errorf("point 1: %s: %v", to.family, err)
			continue
		}
		t.Logf("point 1: %d MiB over %s in %.1f s, %.2f Gbit/s, sha256 ok", big.size/mib, to.family, took.Seconds(), rate(big.size, took))
	}
	downloadCrowd(t, l, crowd(64), small)
}

// downloadCrowd fetches a file n times at once, half of them over IPv6.
func downloadCrowd(t testing.TB, l *lab.Lab, n int, c content) {
	t.Helper()
	took, err := download(t, l.B, c, both(n, ":8080/"+c.name)...)
	if err != nil {
		t.Errorf("point 1: %d at once: %v", n, err)
		return
	}
	t.Logf("point 1: %d at once, %d MiB each, in %.1f s, %.2f Gbit/s, every sha256 ok",
		n, c.size/mib, took.Seconds(), rate(int64(n)*c.size, took))
}

// TestUploads is point 1 the other way: what a stock client sends through the proxy is
// what a server behind it, on the kernel's loopback, gets.
func TestUploads(t *testing.T) {
	l := made(t)
	big := file(t, sized[int64](256, 32)*mib)
	small := file(t, sized[int64](16, 2)*mib)
	listening(t, l.A, "proxy", "--listen", ":8082", "--to", startSink(t, l.A, "127.0.0.1:0"))
	for _, to := range hosts {
		took, err := upload(t, l.B, big, "http://"+to.host+":8082/")
		if err != nil {
			t.Errorf("point 1: upload over %s: %v", to.family, err)
			continue
		}
		t.Logf("point 1: upload of %d MiB through the proxy over %s in %.1f s, %.2f Gbit/s, sha256 ok",
			big.size/mib, to.family, took.Seconds(), rate(big.size, took))
	}
	n := crowd(16)
	took, err := upload(t, l.B, small, both(n, ":8082/")...)
	if err != nil {
		t.Errorf("point 1: %d uploads at once: %v", n, err)
		return
	}
	t.Logf("point 1: %d uploads at once, %d MiB each, in %.1f s, %.2f Gbit/s, every sha256 ok",
		n, small.size/mib, took.Seconds(), rate(int64(n)*small.size, took))
}

// startSink runs an HTTP server on the kernel's TCP of a host until the test ends. It
// answers an upload with its size and sum. The address is where it listens.
func startSink(t testing.TB, h *lab.Host, at string) (address string) {
	t.Helper()
	l, err := h.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, l, func(w http.ResponseWriter, r *http.Request) {
		d := newDigest()
		if _, err := io.Copy(d, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, answer(d.size, d.Sum(nil)))
	})
	return l.Addr().String()
}

// serveHTTP serves on a listener until the test ends.
func serveHTTP(t testing.TB, l net.Listener, h http.HandlerFunc) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: patience}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// client returns an HTTP client on the kernel's TCP of a host.
func client(h *lab.Host) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return h.Dial(ctx, network, address)
		},
	}}
}
