package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// nameless is a listener whose connections do not know their peer, as those of some stacks do
// not when they have ended.
type nameless struct{ net.Listener }

type namelessConn struct{ *net.TCPConn }

func (namelessConn) RemoteAddr() net.Addr { return nil }

func (l nameless) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return namelessConn{c.(*net.TCPConn)}, nil
}

// serve runs a server on the kernel's loopback until the test ends.
func serve(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := &bench.Server{Log: slog.New(slog.DiscardHandler)}
	go func() { done <- s.Serve(ctx, nameless{l}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

func client() *bench.Client {
	var d net.Dialer
	return &bench.Client{Dial: d.DialContext}
}

const short = 50 * time.Millisecond

func TestWorkloads(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	address := serve(t)
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload, Time: short},
		{Kind: bench.Bulk, Way: bench.Download, Time: short},
		{Kind: bench.Exact, Way: bench.Upload, Octets: 5<<20 + 1},
		{Kind: bench.Exact, Way: bench.Download, Octets: 5<<20 + 1},
		{Kind: bench.RequestResponse, Size: 1, Time: short},
		{Kind: bench.RequestResponse, Size: 1024, Time: short},
		{Kind: bench.Connect, Size: 1, Time: short},
		{Kind: bench.Bulk, Way: bench.Upload, Time: short, Flows: 8},
		{Kind: bench.Bulk, Way: bench.Download, Time: short, Flows: 8},
		{Kind: bench.RequestResponse, Size: 64, Time: short, Flows: 3},
		{Kind: bench.Idle, Time: short, Flows: 100},
	} {
		r, err := client().Run(t.Context(), address, w)
		if err != nil {
			t.Errorf("%v: %v", w, err)
			continue
		}
		switch w.Kind {
		case bench.Bulk:
			// How many they are is up to the machine.
			if r.Octets < bench.BlockSize || r.Elapsed < short/2 {
				t.Errorf("%v: %d octets in %v", w, r.Octets, r.Elapsed)
			}
		case bench.Exact:
			if r.Octets != w.Octets || len(r.SHA256) != 64 {
				t.Errorf("%v: %d octets, SHA-256 %q", w, r.Octets, r.SHA256)
			}
		case bench.RequestResponse, bench.Connect:
			p50, p99 := r.Latency.Percentile(50), r.Latency.Percentile(99)
			if r.Count < 2 || r.Latency.Count() != r.Count || p50 <= 0 || p99 < p50 || r.Elapsed < short {
				t.Errorf("%v: %d messages in %v, p50 %v, p99 %v", w, r.Count, r.Elapsed, p50, p99)
			}
		case bench.Idle:
			if r.Count != 100 || r.Elapsed < short {
				t.Errorf("%v: %d connections for %v", w, r.Count, r.Elapsed)
			}
		case bench.HTTP:
		}
	}
}

// corrupting is a connection that spoils the octet at a position of what is read.
type corrupting struct {
	net.Conn
	at int
}

func (c *corrupting) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.at >= 0 && c.at < n {
		b[c.at] ^= 1
	}
	c.at -= n
	return n, err
}

func (c *corrupting) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }

// One bit that is wrong fails a workload that compares.
func TestCorruptionIsSeen(t *testing.T) {
	address := serve(t)
	c := &bench.Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		return &corrupting{conn, 20}, err
	}}
	for w, want := range map[bench.Workload]string{
		{Kind: bench.Exact, Way: bench.Download, Octets: 1 << 20}:    "were sent",
		{Kind: bench.Exact, Way: bench.Upload, Octets: 1 << 20}:      "were sent", // the tally's sum
		{Kind: bench.RequestResponse, Size: 64, Time: short}:         "came back changed",
		{Kind: bench.Connect, Size: 64, Time: short}:                 "came back changed",
		{Kind: bench.Exact, Way: bench.Download, Octets: 64<<10 + 1}: "were sent",
	} {
		if _, err := c.Run(t.Context(), address, w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", w, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for w, want := range map[bench.Workload]string{
		{}:                                    `no workload ""`,
		{Kind: bench.Bulk, Time: short}:       `way ""`,
		{Kind: bench.Bulk, Way: bench.Upload}: "time of 0s",
		{Kind: bench.Bulk, Way: bench.Upload, Time: 2 * bench.TimeMax}:    "time of 2h",
		{Kind: bench.Exact, Way: bench.Upload}:                            "0 octets",
		{Kind: bench.RequestResponse, Time: short}:                        "message of 0",
		{Kind: bench.Connect, Size: 2 * bench.SizeMax, Time: time.Second}: "message of",
		{Kind: bench.Idle, Flows: bench.ConnsMax, Time: time.Second}:      "16384 connections",
	} {
		if err := w.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", w, err, want)
		}
	}
}

// What is no request is closed without an answer, and the server goes on.
func TestGarbage(t *testing.T) {
	address := serve(t)
	for _, garbage := range []string{"", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 4096)} {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, garbage)
		_ = c.(*net.TCPConn).CloseWrite()
		if b, _ := io.ReadAll(c); len(b) > 0 {
			t.Errorf("%q is answered with %q", garbage, b)
		}
		_ = c.Close()
	}
	w := bench.Workload{Kind: bench.Exact, Way: bench.Download, Octets: 1000}
	if _, err := client().Run(t.Context(), address, w); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

// The end of a context ends a workload, whatever it waits for.
func TestContext(t *testing.T) {
	address := serve(t)
	stop := errors.New("enough")
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload, Time: time.Minute},
		{Kind: bench.Bulk, Way: bench.Download, Time: time.Minute},
		{Kind: bench.RequestResponse, Size: 1, Time: time.Minute},
		{Kind: bench.Bulk, Way: bench.Upload, Time: time.Minute, Flows: 4},
		{Kind: bench.Idle, Time: time.Minute, Flows: 4},
		{Kind: bench.Connect, Size: 1, Time: time.Minute},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(short, func() { cancel(stop) })
		start := time.Now()
		if _, err := client().Run(ctx, address, w); !errors.Is(err, stop) || time.Since(start) > 10*time.Second {
			t.Errorf("%v: %v after %v, want %v soon", w, err, time.Since(start), stop)
		}
	}
}

// A client in another process gives the same results as one here.
func TestRemote(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	address := serve(t)
	orders, toPeer := io.Pipe()
	fromPeer, answers := io.Pipe()
	done := make(chan error, 1)
	go func() {
		var d net.Dialer
		agent := bench.Agent{Hello: bench.Hello{About: "a test"}, Dial: d.DialContext}
		done <- agent.Answer(t.Context(), orders, answers)
	}()
	remote := bench.NewRemote(toPeer, fromPeer)
	if h, err := remote.Hello(t.Context()); err != nil || h.About != "a test" {
		t.Errorf("%+v, %v", h, err)
	}
	if u, err := remote.Usage(t.Context(), true); err != nil || u.Busy() <= 0 || u.Resident <= 0 || u.Live <= 0 {
		t.Errorf("%+v, %v", u, err)
	}
	r, err := remote.Run(t.Context(), address, bench.Workload{Kind: bench.RequestResponse, Size: 7, Time: short})
	if err != nil || r.Count < 1 || r.Latency.Count() != r.Count || r.Latency.Percentile(50) <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	r, err = remote.Run(t.Context(), address, bench.Workload{Kind: bench.Exact, Way: bench.Upload, Octets: 1 << 16})
	if err != nil || r.Octets != 1<<16 || !r.Latency.IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	// What fails there is an error here, and the next workload runs.
	if _, err := remote.Run(t.Context(), address, bench.Workload{Kind: "nonesuch"}); err == nil || !strings.Contains(err.Error(), "nonesuch") {
		t.Errorf("got %v, want an error that names it", err)
	}
	if err := remote.Hold(t.Context(), address, 20); err != nil {
		t.Error(err)
	}
	if err := remote.Release(t.Context()); err != nil {
		t.Error(err)
	}
	_ = toPeer.Close()
	if err := <-done; err != nil {
		t.Errorf("Answer: %v", err)
	}
	_ = answers.Close()
	if _, err := remote.Run(t.Context(), address, bench.Workload{Kind: bench.Bulk, Way: bench.Upload, Time: short}); err == nil {
		t.Error("a process that has ended answers")
	}
}

func TestLatencyJSON(t *testing.T) {
	var l, back bench.Latency
	for i := range 1000 {
		l.Record(time.Duration(i) * time.Microsecond)
	}
	l.Record(time.Hour) // beyond the range
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	for _, p := range []float64{0, 50, 99, 100} {
		if l.Percentile(p) != back.Percentile(p) {
			t.Errorf("p%v: %v, and %v after JSON", p, l.Percentile(p), back.Percentile(p))
		}
	}
	if got := l.Percentile(50); got < 490*time.Microsecond || got > 510*time.Microsecond {
		t.Errorf("p50 %v, want 500µs", got)
	}
	for _, bad := range []string{`"HISTF"`, `"x"`, `7`} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if err := json.Unmarshal([]byte("null"), &back); err != nil || !back.IsZero() {
		t.Errorf("null: %v, %d times", err, back.Count())
	}
}
