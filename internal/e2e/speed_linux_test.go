package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	// floor is what bulk must move each way at MTU 1500, in Gbit/s.
	floor = 1.5
	// floorShare is the part of the kernel's own rate that will do in its place on a
	// machine that is too slow or too loaded to judge.
	floorShare = 0.5
	// idleMax is the share of a core that an idle process may use.
	idleMax = 0.02
)

// TestFloor is point 8: bulk both ways. The kernel's own transfers over the same pair, with
// the XDP program on it, take turns with ours, so that both meet the same machine.
func TestFloor(t *testing.T) {
	l := byHand(t)
	iperf3 := testutil.Command(t, "iperf3", "iperf3")
	listening(t, l.A, "iperf3", "-s")
	start(t, l.A, iperf3, "-s", "-p", "5202")
	testutil.Eventually(t, patience, func() bool { return listens(t, l.A, 5202) }, "iperf3 -s to listen")
	for _, way := range []struct{ name, flag string }{{"to millrace", ""}, {"from millrace", "-R"}} {
		var ours, kernel float64
		for range sized(3, 1) {
			ours = max(ours, bulk(t, l.B, iperf3, "5201", way.flag))
			kernel = max(kernel, bulk(t, l.B, iperf3, "5202", way.flag))
		}
		t.Logf("point 8: bulk %s, MTU %d: %.2f Gbit/s; kernel to kernel %.2f Gbit/s, ratio %.2f", way.name, l.MTU, ours, kernel, ours/kernel)
		if ours < floor && ours < floorShare*kernel {
			t.Errorf("point 8: bulk %s: %.2f Gbit/s, want %v, or %v of the kernel's %.2f", way.name, ours, floor, floorShare, kernel)
		}
	}
}

// bulk returns the rate of one stream in Gbit/s, as its receiver sees it.
func bulk(t testing.TB, from *lab.Host, iperf3, port, flag string) float64 {
	t.Helper()
	args := append([]string{"-c", "10.77.0.1", "-p", port, "-J", "-t", sized("3", "1")}, strings.Fields(flag)...)
	r := parseReport(t, output(t, most(time.Minute), from, iperf3, args...))
	if err := r.fault(1); err != nil {
		t.Errorf("point 8: iperf3 %v: %v", args, err)
	}
	return r.End.SumReceived.BitsPerSecond / 1e9
}

// TestIdle is point 8: a process that has nothing to do, without connections and with idle
// ones, leaves the cores to others.
func TestIdle(t *testing.T) {
	l := byHand(t)
	p := listening(t, l.A, "serve", "echo", "--listen", ":7000")
	const idle = 100
	for _, connections := range []int{0, idle} {
		for range connections {
			openEcho(t, l.B)
		}
		// Time itself is what is measured against: there is no condition to wait for.
		window := sized(5*time.Second, time.Second)
		before, began := p.cpu(), time.Now()
		<-time.After(window)
		used, took := p.cpu()-before, time.Since(began)
		share := float64(used) / float64(took)
		t.Logf("point 8: idle with %d connections: %.2f %% of a core over %.1f s", connections, share*100, took.Seconds())
		if share >= idleMax {
			t.Errorf("point 8: idle with %d connections: %.2f %% of a core, want less than %.0f %%", connections, share*100, idleMax*100)
		}
	}
}

// openEcho opens a connection to the echo service that works, and leaves it open until the
// test ends.
func openEcho(t testing.TB, h *lab.Host) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", "10.77.0.1:7000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := echo(c, "idle"); err != nil {
		t.Fatal(err)
	}
	return c
}

// echo sends a word and wants it back.
func echo(c net.Conn, word string) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return err
	}
	got := make([]byte, len(word))
	for n := 0; n < len(got); {
		m, err := c.Read(got[n:])
		if err != nil {
			return fmt.Errorf("echo %q, %w", got[:n], err)
		}
		n += m
	}
	if string(got) != word {
		return fmt.Errorf("echo %q, want %q", got, word)
	}
	return nil
}
