package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// TestQueues is points 1 to 3 on a pair with several queues, where the segments of one
// connection can come in on another queue than those of its handshake.
func TestQueues(t *testing.T) {
	testutil.Privileged(t)
	wrk := testutil.Command(t, "wrk", "wrk")
	iperf3 := testutil.Command(t, "iperf3", "iperf3")
	l := lab.ForTest(t, lab.Config{Queues: 2})
	c, page := file(t, sized[int64](16, 2)*mib), file(t, 1024)
	server := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)
	if !onKernel() {
		server.await("2 of 2 queues")
	}
	downloadCrowd(t, l, crowd(16), c)
	got := output(t, most(time.Minute), l.B, wrk, "-t2", "-c64", "-d"+sized("3s", "1s"), "--latency", "http://10.77.0.1:8080/"+page.name)
	if err := wrkFaults(got); err != nil {
		t.Errorf("point 2: two queues: wrk: %v\n%s", err, got)
	}
	t.Logf("point 2: two queues: wrk -t2 -c64: %s", wrkFigures(got))
	if err := connects(t, l.B, sized(1000, 300), page); err != nil {
		t.Errorf("point 2: two queues: %v", err)
	}
	server.stop()
	listening(t, l.A, "iperf3", "-s")
	for _, run := range iperf3Runs() {
		if run.streams == 1 {
			continue
		}
		args := append([]string{"-c", "10.77.0.1", "-J", "-t", seconds("2", "1")}, run.args...)
		r := parseReport(t, output(t, most(time.Minute), l.B, iperf3, args...))
		if err := r.fault(run.streams); err != nil {
			t.Errorf("point 3: two queues: stock iperf3 -c %s: %v", run.name, err)
			continue
		}
		t.Logf("point 3: two queues: stock iperf3 -c %s against millrace: %s", run.name, r.figures())
	}
}

// indirection is the indirection table of a host's NIC, as ethtool prints it; "" if it tells of none.
func indirection(t testing.TB, h *lab.Host, ethtool string) string {
	t.Helper()
	out, err := h.Command(t.Context(), ethtool, "-x", h.Interface).Output()
	if err != nil {
		return ""
	}
	table, _, _ := strings.Cut(string(out), "RSS hash key")
	if !strings.Contains(table, "\n    0:") { // its first row
		return ""
	}
	return table
}

// TestFewerQueues: a NIC of which one queue of several is served spreads to that one meanwhile, so
// that no connection is lost, and as before afterwards.
func TestFewerQueues(t *testing.T) {
	onNICs(t)
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	l := lab.ForTest(t, lab.Config{})
	c := file(t, mib)
	before := indirection(t, l.A, ethtool)
	if before == "" {
		t.Skip("the NIC tells of no indirection table")
	}
	server := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files, "--queues", "1")
	during := indirection(t, l.A, ethtool)
	if during == before {
		t.Errorf("the table is as before:\n%s%s", during, server.stderr.String())
	}
	for range 8 {
		if _, err := download(t, l.B, c, "http://10.77.0.1:8080/"+c.name); err != nil {
			t.Error(err)
		}
	}
	server.stop()
	if after := indirection(t, l.A, ethtool); after != before {
		t.Errorf("the table is\n%swant\n%s", after, before)
	}
	t.Logf("before:\n%sduring:\n%s", before, during)
}
