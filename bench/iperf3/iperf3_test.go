package iperf3

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/testutil"
)

// localClient is a client of a server on the loopback.
func localClient(port int) *Client {
	var d net.Dialer
	return &Client{Dial: d.DialContext, Host: "127.0.0.1", Port: port, Bytes: 1 << 20}
}

// call opens a connection to the server and sends a cookie.
func call(t *testing.T, port int, ck cookie) control {
	t.Helper()
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write(ck[:]); err != nil {
		t.Fatal(err)
	}
	return control{c}
}

func wantState(t *testing.T, c control, want state) {
	t.Helper()
	got, err := c.readState()
	if err != nil || got != want {
		t.Fatalf("got %v, %v, want %v", got, err, want)
	}
}

func TestBothEndsAgree(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	port := startServer(t, &Server{})
	for _, tt := range []struct {
		name string
		set  func(*Client)
	}{
		{"forward", func(*Client) {}},
		{"parallel", func(c *Client) { c.Parallel = StreamsMax }},
		{"reverse", func(c *Client) { c.Reverse, c.Bytes, c.Time = true, 0, time.Second }},
		{"both ways", func(c *Client) { c.Bidir = true }},
		{"odd blocks", func(c *Client) { c.Bytes, c.BlockSize = 100_000, 777 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := localClient(port)
			tt.set(c)
			r, err := c.Run(testContext(t))
			if err != nil {
				t.Fatal(err)
			}
			if c.Bytes > 0 && r.End.SumSent.Bytes != r.End.SumReceived.Bytes {
				t.Errorf("sent %d, received %d", r.End.SumSent.Bytes, r.End.SumReceived.Bytes)
			}
			if r.End.SumSent.Bytes < c.Bytes || r.End.SumReceived.Bytes == 0 {
				t.Errorf("sent %d, want at least %d", r.End.SumSent.Bytes, c.Bytes)
			}
		})
	}
}

func TestSecondClientIsDenied(t *testing.T) {
	port := startServer(t, &Server{})
	first := call(t, port, newCookie())
	wantState(t, first, stateParamExchange)
	if _, err := localClient(port).Run(testContext(t)); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if r, _ := runStock(t, port, "-t", "1"); !strings.Contains(r.Error, "busy") {
		t.Errorf("iperf3 says %q, want that the server is busy", r.Error)
	}
}

// A client that vanishes, at whatever point, leaves the server to the next one.
func TestClientThatVanishes(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	port := startServer(t, &Server{})
	ask := func(c control, streams int) {
		t.Helper()
		wantState(t, c, stateParamExchange)
		if err := c.sendJSON(params{TCP: true, Time: 60, Parallel: streams, Len: 1000}); err != nil {
			t.Fatal(err)
		}
		wantState(t, c, stateCreateStreams)
	}
	for _, tt := range []struct {
		name  string
		leave func(ck cookie, c control)
	}{
		{"before the parameters", func(cookie, control) {}},
		{"before the streams", func(_ cookie, c control) { ask(c, 1) }},
		{"with half of the streams", func(ck cookie, c control) {
			ask(c, 2)
			call(t, port, ck)
		}},
		{"in the test", func(ck cookie, c control) {
			ask(c, 1)
			_ = call(t, port, ck).Close()
			wantState(t, c, stateTestStart)
			wantState(t, c, stateTestRunning)
		}},
		{"after saying so", func(_ cookie, c control) {
			ask(c, 1)
			_ = c.sendState(stateClientTerminate)
		}},
		{"with nonsense", func(_ cookie, c control) {
			wantState(t, c, stateParamExchange)
			_, _ = c.Write([]byte("\xff\xff\xff\xff{"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ck := newCookie()
			c := call(t, port, ck)
			tt.leave(ck, c)
			_ = c.Close()
			testutil.Eventually(t, 10*time.Second, func() bool {
				_, err := localClient(port).Run(testContext(t))
				return err == nil
			}, "the next client is served")
		})
	}
}

// A client that stays and does nothing is given up after QuietMax.
func TestQuietClient(t *testing.T) {
	port := startServer(t, &Server{QuietMax: 50 * time.Millisecond})
	ck := newCookie()
	c := call(t, port, ck)
	wantState(t, c, stateParamExchange)
	if err := c.sendJSON(params{TCP: true, Time: 60, Parallel: 1, Len: 1000}); err != nil {
		t.Fatal(err)
	}
	wantState(t, c, stateCreateStreams)
	call(t, port, ck)
	wantState(t, c, stateTestStart)
	wantState(t, c, stateTestRunning)
	wantState(t, c, stateServerError)
	var b [8]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || binary.BigEndian.Uint32(b[:]) != codeNoProgress {
		t.Errorf("got % x, %v, want error %d", b, err, codeNoProgress)
	}
}

func TestOneOff(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- (&Server{OneOff: true, JSON: true, Out: &out}).Serve(t.Context(), l) }()
	if _, err := localClient(l.Addr().(*net.TCPAddr).Port).Run(testContext(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("Serve goes on after its one test")
	}
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.End.SumReceived.Bytes != 1<<20 {
		t.Errorf("report %s, %v, want 1 MiB received", &out, err)
	}
}

// cancelling calls cancel once so many octets were written.
type cancelling struct {
	net.Conn
	after  int
	cancel context.CancelFunc
}

func (c *cancelling) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if c.after -= n; c.after <= 0 {
		c.cancel()
	}
	return n, err
}

// Ctrl-C ends the test on both sides, with a report of what there is.
func TestEndingEarly(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	port := startServer(t, &Server{})
	ctx, cancel := context.WithCancel(testContext(t))
	c := localClient(port)
	c.Bytes, c.Time = 0, time.Hour
	dial := c.Dial
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &cancelling{Conn: conn, after: 1 << 20, cancel: cancel}, err
	}
	r, err := c.Run(ctx)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want context.Canceled", err)
	}
	if r.End.SumSent == nil || r.End.SumSent.Bytes == 0 {
		t.Error("no result of what there was")
	}
	if _, err := localClient(port).Run(testContext(t)); err != nil {
		t.Errorf("the next client: %v", err)
	}
}

func TestParams(t *testing.T) {
	for _, tt := range []struct {
		p    params
		code uint32
	}{
		{params{UDP: true, Parallel: 1, Len: 1}, codeNotYet},
		{params{TCP: true, Parallel: 1, Len: 1, Omit: 601}, codeOmit},
		{params{TCP: true, Parallel: 1, Len: 1, Time: -1}, codeDuration},
		{params{TCP: true, Parallel: 129, Len: 1}, codeStreams},
		{params{TCP: true, Len: 1}, codeStreams},
		{params{TCP: true, Parallel: 1}, codeBlockSize},
		{params{TCP: true, Parallel: 1, Len: 1<<20 + 1}, codeBlockSize},
		{params{TCP: true, Parallel: 1, Len: 1, Num: -1}, codeBadParams},
	} {
		var r *refusal
		if err := tt.p.check(); !errors.As(err, &r) || r.code != tt.code {
			t.Errorf("%+v: %v, want code %d", tt.p, err, tt.code)
		}
	}
	if err := (&params{TCP: true, Parallel: 1, Len: 1}).check(); err != nil {
		t.Error(err)
	}
}

// iperf3 3.12 sends -1 as 2^64-1.
func TestCount(t *testing.T) {
	for in, want := range map[string]count{
		"18446744073709551615": -1, "1.8446744073709552e+19": -1, "-1": -1, "7": 7, "1e3": 1000,
	} {
		var got count
		if err := json.Unmarshal([]byte(in), &got); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", in, got, err, want)
		}
	}
	var got count
	if err := json.Unmarshal([]byte(`"7"`), &got); err == nil {
		t.Error("a string is a count")
	}
}

func TestUnits(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{octetsText(0), "0.00 Bytes"},
		{octetsText(1020270592), " 973 MBytes"},
		{octetsText(1.9 * (1 << 30)), "1.90 GBytes"},
		{octetsText(1023 * 1024), "1023 KBytes"},
		{bitsText(8.16e9), "8.16 Gbits/sec"},
		{bitsText(16.3e9), "16.3 Gbits/sec"},
		{bitsText(999), " 999 bits/sec"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	for in, want := range map[string]int64{"128K": 128 << 10, "1.5m": 3 << 19, "7": 7, "2G": 2 << 30} {
		if got, err := ParseSize(in); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "K", "-1", "1X", "NaN", "1e30", "9E"} {
		if got, err := ParseSize(in); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", in, got)
		}
	}
	if got, err := ParseRate("10M"); err != nil || got != 10e6 {
		t.Errorf("ParseRate = %d, %v, want 10e6", got, err)
	}
}

// The text is what iperf3 3.12 prints, column by column.
func TestText(t *testing.T) {
	var out bytes.Buffer
	r := &textReport{w: &out}
	known := Info{Cwnd: 767 << 10}
	r.interval(interval{spans: []span{
		{id: 1, sender: true, end: 1, octets: 973 << 20, retr: 2, info: known, hasInfo: true},
		{id: 3, sender: true, end: 1, octets: 972 << 20, retr: 0, info: known, hasInfo: true},
	}})
	const want = `[ ID] Interval           Transfer     Bitrate         Retr  Cwnd
[  5]   0.00-1.00   sec   973 MBytes  8.16 Gbits/sec    2    767 KBytes       
[  7]   0.00-1.00   sec   972 MBytes  8.15 Gbits/sec    0    767 KBytes       
[SUM]   0.00-1.00   sec  1.90 GBytes  16.3 Gbits/sec    2             
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}
