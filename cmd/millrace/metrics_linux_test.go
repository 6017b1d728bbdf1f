package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// Metrics are served over the kernel's network on the interface whose flows they count.
func TestMetricsOnANIC(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	cmd := l.A.Command(t.Context(), binary, "serve", "echo", "--nic", l.A.Interface, "--listen", ":7", "--metrics", "10.77.0.1:9100")
	diag, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, diag) }()
	var c net.Conn
	testutil.Eventually(t, 10*time.Second, func() bool {
		c, err = l.B.Dial(t.Context(), "tcp", "10.77.0.1:7")
		return err == nil
	}, "the echo service")
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return l.B.Dial(ctx, network, address)
		},
		DisableKeepAlives: true,
	}}
	res, err := client.Get("http://10.77.0.1:9100/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for sample, least := range map[string]float64{
		`millrace_xdp_packets_total{reason="redirected"}`:                3, // SYN, ACK, data
		`millrace_xdp_packets_total{reason="passed_unclaimed"}`:          2, // this request
		`millrace_receive_frames_total{queue="0"}`:                       3,
		`millrace_port_transmit_frames_total{queue="0"}`:                 2, // SYN-ACK, data
		`millrace_tcp_events_total{event="PassiveOpens",queue="0"}`:      1,
		`millrace_connections{queue="0"}`:                                1,
		`millrace_listeners{queue="0"}`:                                  1,
		`millrace_port_drops_total{queue="0",reason="transmit_refused"}`: 0,
	} {
		m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + ` (\S+)$`).FindSubmatch(page)
		if m == nil {
			t.Errorf("no %s", sample)
			continue
		}
		if got, err := strconv.ParseFloat(string(m[1]), 64); err != nil || got < least {
			t.Errorf("%s is %s, want at least %v", sample, m[1], least)
		}
	}
}
