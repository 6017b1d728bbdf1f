package iperf3

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// stock returns the path of the iperf3 of the system.
func stock(t *testing.T) string {
	t.Helper()
	return testutil.Command(t, "iperf3", "iperf3")
}

// testContext ends with the test, or when the test takes far too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// startServer serves on a port of the kernel's loopback until the test ends.
func startServer(t *testing.T, s *Server) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("Serve does not return")
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

// stockServer runs iperf3 -s for one test and returns its port.
func stockServer(t *testing.T) (port int) {
	t.Helper()
	path := stock(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	cmd := exec.CommandContext(t.Context(), path, "-s", "-1", "--forceflush", "-p", strconv.Itoa(port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make(chan struct{})
	go func() {
		buf := make([]byte, 4096)
		var seen []byte
		told := false
		for {
			n, err := out.Read(buf)
			seen = append(seen, buf[:n]...)
			if !told && bytes.Contains(seen, []byte("listening")) {
				told = true
				close(ready)
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("iperf3 -s does not listen")
	}
	return port
}

// runStock runs iperf3 -c and returns what -J printed.
func runStock(t *testing.T, port int, args ...string) (*Report, string) {
	t.Helper()
	args = append([]string{"-c", "127.0.0.1", "-p", strconv.Itoa(port), "-J"}, args...)
	out, err := exec.CommandContext(testContext(t), stock(t), args...).Output()
	var r Report
	if jerr := json.Unmarshal(out, &r); jerr != nil {
		t.Fatalf("iperf3 %v: %v, %v\n%s", args, err, jerr, out)
	}
	return &r, string(out)
}

// wantSums checks that both ends agree about what went over, up to what was in the
// buffers when the time ended, and that the streams add up to the sums.
func wantSums(t *testing.T, r *Report, streams int) {
	t.Helper()
	if r.Error != "" {
		t.Fatalf("error %q", r.Error)
	}
	if len(r.End.Streams) != streams {
		t.Fatalf("%d streams, want %d", len(r.End.Streams), streams)
	}
	var sent, got int64
	for _, s := range r.End.Streams {
		if s.Sender.Bytes == 0 || s.Receiver.Bytes == 0 {
			t.Errorf("stream %d: sent %d, received %d, want both > 0", s.Sender.Socket, s.Sender.Bytes, s.Receiver.Bytes)
		}
		// What is between the ends when the time is over is at most two socket buffers, for
		// which kernels allow up to 32 MiB; where a part is omitted it counts both ways.
		gap := s.Sender.Bytes - s.Receiver.Bytes
		if gap < 0 && r.Start.TestStart.Omit == 0 || max(gap, -gap) > 64<<20 {
			t.Errorf("stream %d: sent %d, received %d", s.Sender.Socket, s.Sender.Bytes, s.Receiver.Bytes)
		}
		sent += s.Sender.Bytes
		got += s.Receiver.Bytes
	}
	sums := []*EndSide{r.End.SumSent, r.End.SumReceived, r.End.SumSentReverse, r.End.SumReceivedReverse}
	var sumSent, sumGot int64
	for i, s := range sums {
		if s == nil {
			continue
		}
		if i%2 == 0 {
			sumSent += s.Bytes
		} else {
			sumGot += s.Bytes
		}
	}
	if sumSent != sent || sumGot != got {
		t.Errorf("sums %d, %d, streams %d, %d", sumSent, sumGot, sent, got)
	}
}

var shapes = []struct {
	name    string
	args    []string
	client  Client
	streams int
}{
	{"forward", nil, Client{}, 1},
	{"reverse", []string{"-R"}, Client{Reverse: true}, 1},
	{"parallel", []string{"-P", "8"}, Client{Parallel: 8}, 8},
	{"parallel reverse", []string{"-P", "8", "-R"}, Client{Parallel: 8, Reverse: true}, 8},
	{"both ways", []string{"--bidir", "-P", "2"}, Client{Bidir: true, Parallel: 2}, 4},
}

func TestStockClientAgainstServer(t *testing.T) {
	var log bytes.Buffer
	port := startServer(t, &Server{Interval: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, tt := range shapes {
		t.Run(tt.name, func(t *testing.T) {
			r, out := runStock(t, port, append([]string{"-t", "1"}, tt.args...)...)
			wantSums(t, r, tt.streams)
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
	if log.Len() != 0 {
		t.Errorf("the server complains: %s", log.String())
	}
}

func TestClientAgainstStockServer(t *testing.T) {
	for _, tt := range shapes {
		t.Run(tt.name, func(t *testing.T) {
			var d net.Dialer
			c := tt.client
			c.Dial, c.Host, c.Port = d.DialContext, "127.0.0.1", stockServer(t)
			c.Time, c.Interval = time.Second, time.Second
			r, err := c.Run(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			wantSums(t, r, tt.streams)
			if len(r.Intervals) == 0 {
				t.Error("no interval")
			}
		})
	}
}

// A test of a given number of octets ends with just as many on both ends.
func TestBoundedAgainstStock(t *testing.T) {
	const octets = 10 << 20
	port := startServer(t, &Server{})
	for _, args := range [][]string{{"-n", "10M"}, {"-k", "80"}, {"-n", "10M", "-P", "4"}} {
		r, _ := runStock(t, port, args...)
		wantSums(t, r, len(r.End.Streams))
		if r.End.SumSent.Bytes != r.End.SumReceived.Bytes || r.End.SumSent.Bytes < octets {
			t.Errorf("%v: sent %d, received %d, want the same and >= %d", args,
				r.End.SumSent.Bytes, r.End.SumReceived.Bytes, octets)
		}
	}
	var d net.Dialer
	c := &Client{Dial: d.DialContext, Host: "127.0.0.1", Port: stockServer(t), Bytes: octets, Parallel: 2}
	r, err := c.Run(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if r.End.SumSent.Bytes != octets {
		t.Errorf("sent %d, want %d", r.End.SumSent.Bytes, octets)
	}
}

func TestOmitAgainstStock(t *testing.T) {
	port := startServer(t, &Server{Interval: time.Second})
	r, _ := runStock(t, port, "-t", "1", "-O", "1")
	wantSums(t, r, 1)
	if s := r.End.SumReceived.Seconds; s < 0.9 || s > 1.5 {
		t.Errorf("the server measured %.2f s, want 1: the omitted second does not count", s)
	}
	var d net.Dialer
	c := &Client{Dial: d.DialContext, Host: "127.0.0.1", Port: stockServer(t),
		Time: time.Second, Omit: time.Second, Interval: time.Second}
	r, err := c.Run(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	wantSums(t, r, 1)
	if len(r.Intervals) < 2 || !r.Intervals[0].Sum.Omitted || r.Intervals[len(r.Intervals)-1].Sum.Omitted {
		t.Errorf("intervals %+v, want an omitted one first, and one that counts last", r.Intervals)
	}
}

// A server that is stopped tells its client so, and the test ends on both sides.
func TestStoppedServerTellsStockClient(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := &Server{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	// Stopped at the first look at a stream that moves data.
	s.Interval = 50 * time.Millisecond
	s.Info = func(net.Conn) (Info, bool) {
		cancel()
		return Info{Congestion: "test"}, true
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	r, _ := runStock(t, l.Addr().(*net.TCPAddr).Port, "-t", "20", "-R")
	if !strings.Contains(r.Error, "server has terminated") {
		t.Errorf("iperf3 says %q, want that the server has terminated", r.Error)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What iperf3 does with UDP is not here, and a stock client must be told.
func TestStockClientIsToldWhatThereIsNot(t *testing.T) {
	port := startServer(t, &Server{})
	r, _ := runStock(t, port, "-u", "-t", "1")
	if !strings.Contains(r.Error, "not") {
		t.Errorf("error %q, want one about what is not implemented", r.Error)
	}
}
