package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// lossyShare is the part of the kernel's goodput, over the same path in the same run, that
// ours must reach.
const lossyShare = 0.9

// lossyShareShort is that part with -short: some hundred losses are too few to judge by, for
// a slow start that meets its first loss late moves a third of so small a transfer.
const lossyShareShort = 0.4

// lossy is what the path does each way: one frame of a hundred is lost, one is overtaken by
// three others or held for a millisecond, and all take half a millisecond.
var lossy = fault.Direction{
	Loss: 0.01, Reorder: 0.01, ReorderBy: 3, ReorderMax: time.Millisecond, Delay: 500 * time.Microsecond,
}

// TestLossyPath is point 3 of hostile networks: bulk both ways over a path that loses and
// reorders, content right, at the speed that the kernel has with itself over the same path.
// All use Reno, so that loss recovery is compared and not congestion control.
func TestLossyPath(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("point 3: seed %d", seed)
	p := newPath(t, seed, lossy)
	for _, h := range []*lab.Host{p.a, p.b} {
		if err := h.SetSysctl("net/ipv4/tcp_congestion_control", "reno"); err != nil {
			t.Fatal(err)
		}
	}
	rounds, size := sized(4, 1), sized[int64](64, 8)*mib // 256 MiB each way, by turns
	t.Run("from millrace", func(t *testing.T) {
		server := listening(t, p.a, "serve", "http", "--listen", ":8080", "--root", built.files, "--cc", "reno", "--metrics", metricsAddress)
		kernelFiles(t, p.a, "10.77.0.1:8090")
		p.race(t, server, rounds, file(t, size), func(c content, port string) (time.Duration, error) {
			return p.exchange(port, "GET /"+c.name+" HTTP/1.0\r\n\r\n", nil, c)
		})
	})
	t.Run("to millrace", func(t *testing.T) {
		server := listening(t, p.a, "proxy", "--listen", ":8080", "--to", startSink(t, p.a, "127.0.0.1:0"), "--cc", "reno", "--metrics", metricsAddress)
		startSink(t, p.a, "10.77.0.1:8090")
		p.race(t, server, rounds, file(t, size), func(c content, port string) (time.Duration, error) {
			f, err := os.Open(c.path)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			return p.exchange(port, fmt.Sprintf("PUT / HTTP/1.0\r\nContent-Length: %d\r\n\r\n", c.size), f, c)
		})
	})
}

// race runs a transfer with us, on port 8080, and with the kernel, on port 8090, by turns,
// and compares their goodput.
func (p *path) race(t *testing.T, server *process, rounds int, c content, run func(c content, port string) (time.Duration, error)) {
	t.Helper()
	var took [2]time.Duration
	for range rounds {
		for i, port := range []string{"8080", "8090"} {
			d, err := run(c, port)
			if err != nil {
				t.Errorf("point 3: port %s: %v", port, err)
			}
			took[i] += d
		}
	}
	octets := int64(rounds) * c.size
	ours, kernel := rate(octets, took[0]), rate(octets, took[1])
	meant, other := p.faults()
	t.Logf("point 3: %d MiB %s: %.0f Mbit/s, kernel to kernel %.0f Mbit/s, ratio %.2f, sha256 ok", octets/mib,
		t.Name()[strings.LastIndexByte(t.Name(), '/')+1:], ours*1e3, kernel*1e3, ours/kernel)
	t.Logf("point 3: so far the path passed %d frames, lost %d, reordered %d; %d faults beside", meant.Passed, meant.Lost, meant.Reordered, other)
	t.Logf("point 3: of millrace: %s", events(t, p.a, ""))
	if meant.Lost == 0 || meant.Reordered == 0 {
		t.Errorf("point 3: the path lost %d and reordered %d frames: it must do both", meant.Lost, meant.Reordered)
	}
	if share := sized(lossyShare, lossyShareShort); ours < share*kernel {
		t.Errorf("point 3: %.0f Mbit/s, want %v of the kernel's %.0f", ours*1e3, share, kernel*1e3)
	}
	server.stop() // an interface has one program
}

// exchange sends a request, with a body if there is one, over the kernel's TCP of B, checks
// the answer, which is the content or tells its sum, and returns how long that took. The
// handshake is left out: a SYN that is lost costs a second, by RFC 6298, whoever sent it.
func (p *path) exchange(port, request string, body io.Reader, c content) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := p.b.Dial(ctx, "tcp", "10.77.0.1:"+port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := io.WriteString(conn, request); err != nil {
		return 0, err
	}
	if body != nil {
		if _, err := io.Copy(conn, body); err != nil {
			return 0, err
		}
	}
	if err := skipHeader(conn); err != nil {
		return 0, err
	}
	if body != nil {
		text, err := io.ReadAll(conn)
		if err != nil {
			return 0, err
		}
		if want := answer(c.size, c.sum[:]); string(text) != want {
			return 0, fmt.Errorf("the server got %q, want %q", text, want)
		}
		return time.Since(began), nil
	}
	got := newDigest()
	if _, err := io.Copy(got, conn); err != nil {
		return 0, err
	}
	return time.Since(began), got.differs(c)
}

// kernelFiles serves the files over the kernel's TCP until the test ends.
func kernelFiles(t testing.TB, h *lab.Host, at string) {
	t.Helper()
	l, err := h.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, l, func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(built.files + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer f.Close()
		_, _ = io.Copy(w, f) // a client that goes sees for itself
	})
}
