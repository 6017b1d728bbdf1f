package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// span is what iperf3 -J says of a stream, or of a sum.
type span struct {
	Bytes         int64   `json:"bytes"`
	Seconds       float64 `json:"seconds"`
	BitsPerSecond float64 `json:"bits_per_second"`
	Retransmits   int64   `json:"retransmits"`
}

// report is what iperf3 -J says of a test.
type report struct {
	Error string `json:"error"`
	End   struct {
		Streams []struct {
			Sender   span `json:"sender"`
			Receiver span `json:"receiver"`
		} `json:"streams"`
		SumSent     span `json:"sum_sent"`
		SumReceived span `json:"sum_received"`
	} `json:"end"`
}

// underwayOurs is our part of what a stream has sent and its receiver has not read when the
// time ends: our buffers of 1 MiB and 2 MiB, and a block of 128 KiB at each end.
const underwayOurs = 4 * mib

// underwayMax bounds all of it: the kernel's buffers grow to what tcp_rmem and tcp_wmem say.
func underwayMax() (octets int64) {
	for _, name := range []string{"tcp_rmem", "tcp_wmem"} {
		text, err := os.ReadFile("/proc/sys/net/ipv4/" + name)
		if f := strings.Fields(string(text)); err == nil && len(f) == 3 {
			largest, _ := strconv.ParseInt(f[2], 10, 64) // 0 makes the bound tighter
			octets += largest
		}
	}
	return octets + underwayOurs
}

func parseReport(t testing.TB, text string) *report {
	t.Helper()
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("iperf3 -J: %v\n%s", err, tail(text))
	}
	return &r
}

// fault returns what is wrong with a report.
func (r *report) fault(streams int) error {
	if r.Error != "" {
		return fmt.Errorf("it says %q", r.Error)
	}
	if len(r.End.Streams) != streams {
		return fmt.Errorf("%d streams, want %d", len(r.End.Streams), streams)
	}
	var sent, received int64
	for i, s := range r.End.Streams {
		if s.Sender.Bytes == 0 || s.Receiver.Bytes == 0 {
			return fmt.Errorf("stream %d sent %d octets and received %d", i, s.Sender.Bytes, s.Receiver.Bytes)
		}
		sent += s.Sender.Bytes
		received += s.Receiver.Bytes
	}
	end := &r.End
	if sent != end.SumSent.Bytes || received != end.SumReceived.Bytes {
		return fmt.Errorf("the streams add up to %d and %d octets, the sums are %d and %d",
			sent, received, end.SumSent.Bytes, end.SumReceived.Bytes)
	}
	if lost := sent - received; lost < 0 || lost > int64(streams)*underwayMax() {
		return fmt.Errorf("sent %d octets, received %d: more was under way than %d streams hold", sent, received, streams)
	}
	return nil
}

// figures is the rate at the receiver.
func (r *report) figures() string {
	return fmt.Sprintf("%.2f Gbit/s, %d MiB, %d retransmissions",
		r.End.SumReceived.BitsPerSecond/1e9, r.End.SumReceived.Bytes/mib, r.End.SumSent.Retransmits)
}

// iperf3Run is a way in which both ends are tried.
type iperf3Run struct {
	name    string
	args    []string
	streams int
}

func iperf3Runs() []iperf3Run {
	runs := []iperf3Run{
		{"", nil, 1},
		{"-R", []string{"-R"}, 1},
		{"-P 8", []string{"-P", "8"}, 8},
		{"-P 8 -R", []string{"-P", "8", "-R"}, 8},
		{"over IPv6", nil, 1},
	}
	return runs[:sized(len(runs), 3)]
}

// seconds is how long a test takes: long enough on an emulated NIC for every stream to begin.
func seconds(full, short string) string {
	if lab.OnNICs() {
		return "4"
	}
	return sized(full, short)
}

// TestIperf3Server is point 3: a stock client against our server.
func TestIperf3Server(t *testing.T) {
	l := byHand(t)
	iperf3 := testutil.Command(t, "iperf3", "iperf3")
	listening(t, l.A, "iperf3", "-s")
	for _, run := range iperf3Runs() {
		host := "10.77.0.1"
		if run.name == "over IPv6" {
			host = "fd77::1"
		}
		args := append([]string{"-c", host, "-J", "-t", seconds("3", "1")}, run.args...)
		r := parseReport(t, output(t, most(time.Minute), l.B, iperf3, args...))
		if err := r.fault(run.streams); err != nil {
			t.Errorf("point 3: stock iperf3 -c %s: %v", run.name, err)
			continue
		}
		t.Logf("point 3: stock iperf3 -c %s against millrace: %s", run.name, r.figures())
	}
}

// TestIperf3Client is point 3 the other way: our client against a stock server, which
// reports too, and must agree.
func TestIperf3Client(t *testing.T) {
	l := made(t)
	iperf3 := testutil.Command(t, "iperf3", "iperf3")
	for _, run := range iperf3Runs() {
		host := "10.77.0.2"
		if run.name == "over IPv6" {
			host = "fd77::2"
		}
		server := start(t, l.B, iperf3, "-s", "-1", "-J", "-i", "0")
		testutil.Eventually(t, patience, func() bool { return listens(t, l.B, 5201) }, "iperf3 -s to listen")
		client := millrace(t, l.A, append([]string{"iperf3", "-c", host, "-J", "-t", seconds("2", "1")}, run.args...)...)
		if err := client.wait(most(time.Minute)); err != nil {
			t.Errorf("point 3: millrace iperf3 -c %s: %v", run.name, err)
			server.kill()
			continue
		}
		if err := server.wait(most(patience)); err != nil {
			t.Errorf("point 3: stock iperf3 -s: %v", err)
		}
		ours, theirs := parseReport(t, client.stdout.String()), parseReport(t, server.stdout.String())
		if err := ours.fault(run.streams); err != nil {
			t.Errorf("point 3: millrace iperf3 -c %s: %v", run.name, err)
			continue
		}
		if theirs.Error != "" {
			t.Errorf("point 3: stock iperf3 -s %s: it says %q", run.name, theirs.Error)
		}
		wantAgreement(t, run.name, ours, theirs)
		t.Logf("point 3: millrace iperf3 -c %s against a stock server: %s", run.name, ours.figures())
	}
}

// wantAgreement checks that what the two ends say of one test is the same: each knows what
// it did itself, and has been told what the other did.
func wantAgreement(t testing.TB, name string, ours, theirs *report) {
	t.Helper()
	for _, sum := range []struct {
		what         string
		ours, theirs int64
	}{
		{"sent", ours.End.SumSent.Bytes, theirs.End.SumSent.Bytes},
		{"received", ours.End.SumReceived.Bytes, theirs.End.SumReceived.Bytes},
	} {
		// A server of 3.12 leaves the other end's sum at 0.
		if sum.theirs != 0 && sum.ours != sum.theirs {
			t.Errorf("point 3: %s: millrace says %d octets %s, iperf3 says %d", name, sum.ours, sum.what, sum.theirs)
		}
	}
	if theirs.End.SumSent.Bytes == 0 && theirs.End.SumReceived.Bytes == 0 {
		t.Errorf("point 3: %s: iperf3 says that nothing was sent or received", name)
	}
}
