package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	// metricsAddress is the program's page on the kernel's loopback of its namespace.
	metricsAddress = "127.0.0.1:9100"
	// timeWaitOctets bounds what a closed connection leaves in the heap for 2·MSL: the
	// record, its entry in the table and in the queue by age.
	timeWaitOctets = 512
	// heapSlack is what a heap may differ by for other reasons: pools that were filled.
	heapSlack = 4 * mib
	// residentSlack is what the resident set may grow by beside that: the garbage
	// collector lets the heap double before it collects, and gives pages back slowly.
	residentSlack = 48 * mib
)

// memory is what a process holds at a moment.
type memory struct {
	heap       int64 // octets reachable, after a collection
	goroutines int64
	resident   int64
}

func (m memory) String() string {
	return fmt.Sprintf("heap %.1f MiB, resident %.1f MiB, %d goroutines", float64(m.heap)/mib, float64(m.resident)/mib, m.goroutines)
}

var (
	heapLine      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutineLine = regexp.MustCompile(`^goroutine profile: total (\d+)`)
)

// measure asks a process that serves metricsAddress what it holds, after a collection.
func measure(t testing.TB, h *lab.Host, p *process) memory {
	t.Helper()
	return memory{
		heap:       profile(t, h, "heap?gc=1&debug=1", heapLine),
		goroutines: profile(t, h, "goroutine?debug=1", goroutineLine),
		resident:   p.status("VmRSS"),
	}
}

// profile returns the number that a pattern finds on a page of pprof.
func profile(t testing.TB, h *lab.Host, page string, number *regexp.Regexp) int64 {
	t.Helper()
	r, err := client(h).Get("http://" + metricsAddress + "/debug/pprof/" + page)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("pprof %s: %s, %v", page, r.Status, err)
	}
	found := number.FindSubmatch(text)
	if found == nil {
		t.Fatalf("pprof %s: there is no %v", page, number)
	}
	n, err := strconv.ParseInt(string(found[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestManyConnections is point 2: hundreds of connections at once and thousands one after
// another, none of which fails, and which leave nothing behind but their TIME-WAIT.
func TestManyConnections(t *testing.T) {
	l := byHand(t)
	wrk := testutil.Command(t, "wrk", "wrk")
	page := file(t, 1024)
	p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files, "--metrics", metricsAddress)
	url := "http://10.77.0.1:8080/" + page.name

	for _, connections := range []string{"256", "8"} {
		duration := sized("10s", "1s")
		if connections == "8" {
			duration = sized("2s", "1s")
		}
		got := output(t, most(time.Minute), l.B, wrk, "-t2", "-c"+connections, "-d"+duration, "--latency", url)
		if err := wrkFaults(got); err != nil {
			t.Errorf("point 2: wrk -t2 -c%s: %v\n%s", connections, err, got)
		}
		t.Logf("point 2: wrk -t2 -c%s -d%s: %s", connections, duration, wrkFigures(got))
	}

	// The workload before the measured one fills pools and tables.
	const warmUp = 500
	if failed := connects(t, l.B, warmUp, page); failed != nil {
		t.Fatalf("point 2: %v", failed)
	}
	settle(t, l.A)
	before := measure(t, l.A, p)
	n := sized(10000, 1500)
	began := time.Now()
	if failed := connects(t, l.B, n, page); failed != nil {
		t.Fatalf("point 2: %v", failed)
	}
	took := time.Since(began)
	settle(t, l.A)
	after := measure(t, l.A, p)
	t.Logf("point 2: %d connects in %.1f s, %.0f/s, none failed; before %v, after %v", n, took.Seconds(), float64(n)/took.Seconds(), before, after)
	if grown, bound := after.heap-before.heap, int64(n)*timeWaitOctets+heapSlack; grown > bound {
		t.Errorf("point 2: the heap grew by %d octets, more than %d", grown, bound)
	}
	if grown, bound := after.resident-before.resident, int64(n)*timeWaitOctets+residentSlack; grown > bound {
		t.Errorf("point 2: the resident set grew by %d octets, more than %d", grown, bound)
	}
}

// settle waits until the process has no more goroutines than an idle server: those of
// connections have ended.
func settle(t testing.TB, h *lab.Host) {
	t.Helper()
	const idle = 40 // the workers, netlink, signals, the metrics page: some twenty
	testutil.Eventually(t, patience, func() bool {
		return profile(t, h, "goroutine?debug=1", goroutineLine) <= idle
	}, fmt.Sprintf("the server to have at most %d goroutines", idle))
}

// connects fetches a page n times from a host, each over a connection of its own that the
// server closes, and returns what failed first.
func connects(t testing.TB, h *lab.Host, n int, page content) error {
	t.Helper()
	return h.Do(func() error {
		// On this thread, which is in the namespace: entering it 10,000 times would be most
		// of the time. An address that is not a name is dialled by the caller's goroutine.
		dialer := net.Dialer{Timeout: patience}
		for i := range n {
			if err := fetch(&dialer, page); err != nil {
				return fmt.Errorf("connection %d of %d: %w", i+1, n, err)
			}
		}
		return nil
	})
}

func fetch(dialer *net.Dialer, page content) error {
	c, err := dialer.Dial("tcp", "10.77.0.1:8080")
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET /"+page.name+" HTTP/1.0\r\n\r\n"); err != nil {
		return err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	defer r.Body.Close()
	d := newDigest()
	if _, err := io.Copy(d, r.Body); err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", r.Status)
	}
	return d.differs(page)
}

// wrkFaults returns what wrk says went wrong.
func wrkFaults(output string) error {
	for line := range strings.Lines(output) {
		for _, fault := range []string{"Socket errors:", "Non-2xx"} {
			if strings.Contains(line, fault) {
				return fmt.Errorf("it says %q", strings.TrimSpace(line))
			}
		}
	}
	if f := wrkLine(output, "Requests/sec:"); f == "" || f == "0.00" {
		return fmt.Errorf("it made no request")
	}
	return nil
}

// wrkFigures is the rate and the latencies of wrk's output.
func wrkFigures(output string) string {
	return fmt.Sprintf("%s requests/s, latency p50 %s, p99 %s, no socket error",
		wrkLine(output, "Requests/sec:"), wrkLine(output, "50%"), wrkLine(output, "99%"))
}

// wrkLine returns what stands behind a label that begins a line.
func wrkLine(output, label string) string {
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), label); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// TestWrkFaults shows that what wrk prints of a fault is seen.
func TestWrkFaults(t *testing.T) {
	const good = "  2 threads and 8 connections\n     50%   79.00us\nRequests/sec:  41000.18\n"
	for _, tt := range []struct {
		output string
		fault  bool
	}{
		{good, false},
		{good + "  Socket errors: connect 0, read 3, write 0, timeout 1\n", true},
		{good + "  Non-2xx or 3xx responses: 12\n", true},
		{"Requests/sec:      0.00\n", true},
		{"", true},
	} {
		if err := wrkFaults(tt.output); (err != nil) != tt.fault {
			t.Errorf("wrkFaults(%q) = %v, want a fault: %v", tt.output, err, tt.fault)
		}
	}
}
