package e2e

import (
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
