package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// capture is what a program of Wireshark's writes of a host's interface.
type capture struct {
	p    *process
	file string
	// dropped is the packets that the kernel's capture buffer had no room for.
	dropped int
}

// startCapture writes the TCP segments that cross a host's interface to a file, from when
// it returns.
func startCapture(t testing.TB, h *lab.Host) *capture {
	t.Helper()
	c := &capture{file: filepath.Join(t.TempDir(), "capture.pcap")}
	// -B is MiB. Whole packets: the checksum is over all of it.
	c.p = start(t, h, testutil.Command(t, "tshark", "dumpcap"), "-q", "-P", "-i", h.Interface, "-f", "tcp", "-B", "128", "-w", c.file)
	c.p.await("File:")
	return c
}

// stop ends the capture when all that was sent before is in the file.
func (c *capture) stop(t testing.TB) {
	t.Helper()
	size := func() int64 {
		info, err := os.Stat(c.file)
		if err != nil {
			return -1
		}
		return info.Size()
	}
	// It writes what it has every half second: two looks a second apart that see one size.
	last, since := size(), time.Now()
	testutil.Eventually(t, patience, func() bool {
		if now := size(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > time.Second
	}, "the capture to be written")
	_ = c.p.cmd.Process.Signal(syscall.SIGINT)
	if err := c.p.wait(most(patience)); err != nil {
		t.Fatalf("dumpcap: %v: %s", err, c.p.stderr.String())
	}
	// Packets received/dropped on interface 'veth-b': 1000/0 (pcap:0/…)
	_, rest, ok := strings.Cut(c.p.stderr.String(), "received/dropped on interface")
	if f := strings.Fields(rest); ok && len(f) > 1 {
		if _, dropped, ok := strings.Cut(f[1], "/"); ok {
			n, err := strconv.Atoi(dropped)
			if err != nil {
				t.Fatalf("dumpcap said %q", rest)
			}
			c.dropped = n
			return
		}
	}
	t.Fatalf("dumpcap did not say what it dropped: %s", c.p.stderr.String())
}

// verdict is what tshark found in a capture, by the host that sent the packets.
type verdict struct {
	ours, theirs struct {
		data, resent  int // segments with payload; those of them that were sent before
		malformed     int
		badChecksum   int // of ours alone: the kernel leaves its own to the NIC
		unseen        int // acknowledge what was never captured
		outOfOrder    int
		resets, total int
	}
	faults []string // the first few
}

// fields are those that tshark prints of each packet, a column each.
var fields = []string{
	"frame.number", "eth.src", "tcp.len", "tcp.flags.reset", "_ws.malformed",
	"ip.checksum.status", "tcp.checksum.status", "tcp.analysis.ack_lost_segment",
	"tcp.analysis.retransmission", "tcp.analysis.out_of_order", "tcp.analysis.lost_segment", "tcp.checksum",
}

// otherZero is a checksum of zero as the kernel writes it when it completes one, whether TCP or
// UDP: the other of the two zeroes of one's complement, which every receiver takes for the same
// and Wireshark finds bad. One packet in 65,536 has it.
const otherZero = "0xffff"

// read lets tshark judge a capture. The host whose MAC address is given is ours.
func (c *capture) read(t testing.TB, h *lab.Host, ours string) *verdict {
	t.Helper()
	args := []string{
		"-r", c.file, "-n", "-T", "fields", "-E", "separator=;", "-E", "occurrence=f",
		"-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		// Only TCP is judged: what it carries is taken as it is.
		"-o", "tcp.desegment_tcp_streams:FALSE", "-o", "tcp.try_heuristic_first:FALSE",
		"-d", "tcp.port==1-65535,data",
	}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	v := new(verdict)
	out := output(t, most(2*time.Minute), h, testutil.Command(t, "tshark", "tshark"), args...)
	for line := range strings.Lines(out) {
		col := strings.Split(strings.TrimRight(line, "\n"), ";")
		if len(col) != len(fields) {
			t.Fatalf("tshark printed %q, want %d columns", line, len(fields))
		}
		v.add(col, ours)
	}
	return v
}

// add counts a packet.
func (v *verdict) add(col []string, ours string) {
	const statusBad = "0"
	side, own := &v.theirs, col[1] == ours
	if own {
		side = &v.ours
	}
	side.total++
	if col[2] != "" && col[2] != "0" {
		side.data++
	}
	count := func(n *int, found bool, what string) {
		if !found {
			return
		}
		*n++
		if what != "" && len(v.faults) < 10 {
			v.faults = append(v.faults, fmt.Sprintf("packet %s from %s: %s", col[0], col[1], what))
		}
	}
	count(&side.resets, col[3] == "1" || col[3] == "True", "")
	count(&side.malformed, col[4] != "", "malformed")
	if own {
		count(&side.badChecksum, col[5] == statusBad || col[6] == statusBad && col[11] != otherZero, "bad checksum "+col[11])
	}
	count(&side.unseen, col[7] != "", "acknowledges an unseen segment")
	count(&side.resent, col[8] != "", "")
	count(&side.outOfOrder, col[9] != "", "")
}

// String is the figures in a line.
func (v *verdict) String() string {
	return fmt.Sprintf("%d packets of millrace (%d data, %d resent, %d out of order, %d resets), %d of the kernel (%d data, %d resent)",
		v.ours.total, v.ours.data, v.ours.resent, v.ours.outOfOrder, v.ours.resets, v.theirs.total, v.theirs.data, v.theirs.resent)
}

// resentMax is the share of data segments that may be sent again on a link that loses
// nothing but what a full ring loses, in percent.
const resentMax = 3

// want checks a verdict. dropped is packets that the capture missed.
func (v *verdict) want(t testing.TB, what string, dropped int) {
	t.Helper()
	o, k := &v.ours, &v.theirs
	if o.total == 0 || k.total == 0 {
		t.Errorf("point 6: %s: %v: want packets of both", what, v)
	}
	if n := o.malformed + k.malformed; n > 0 {
		t.Errorf("point 6: %s: %d malformed packets: %v", what, n, v.faults)
	}
	if o.badChecksum > 0 {
		t.Errorf("point 6: %s: %d bad checksums: %v", what, o.badChecksum, v.faults)
	}
	if n := o.unseen + k.unseen; n > dropped {
		t.Errorf("point 6: %s: %d packets acknowledge what was not seen, the capture dropped %d: %v", what, n, dropped, v.faults)
	}
	if o.resent*100 > o.data*resentMax {
		t.Errorf("point 6: %s: millrace sent %d of %d data segments again, more than %d %%", what, o.resent, o.data, resentMax)
	}
}

// TestCapture is point 6: what the kernel's side sees of downloads and of iperf3, judged by
// Wireshark.
func TestCapture(t *testing.T) {
	l := byHand(t)
	iperf3 := testutil.Command(t, "iperf3", "iperf3")
	// What the kernel completes is wrong in a capture of a veth until it must be completed there.
	output(t, most(patience), l.A, testutil.Command(t, "ethtool", "ethtool"), "-K", l.A.Interface, "tx", "off")
	c := file(t, sized[int64](64, 8)*mib)
	files := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files)

	downloads := startCapture(t, l.B)
	for _, to := range hosts {
		if _, err := download(t, l.B, c, "http://"+to.host+":8080/"+c.name); err != nil {
			t.Errorf("point 6: %s: %v", to.family, err)
		}
	}
	judge(t, l, downloads, "downloads")
	files.stop() // an interface has one program

	for _, args := range [][]string{{}, {"-R"}, {"-P", "8"}}[:sized(3, 1)] {
		server := listening(t, l.A, "iperf3", "-s")
		what := strings.TrimSpace("iperf3 " + strings.Join(args, " "))
		crossing := startCapture(t, l.B)
		all := append([]string{"-c", "10.77.0.1", "-J", "-n", sized("64M", "8M")}, args...)
		r := parseReport(t, output(t, most(time.Minute), l.B, iperf3, all...))
		if r.Error != "" {
			t.Errorf("point 6: %s: %s", what, r.Error)
		}
		judge(t, l, crossing, what)
		server.stop()
	}
}

// judge ends a capture on B and checks it.
func judge(t testing.TB, l *lab.Lab, c *capture, what string) {
	t.Helper()
	c.stop(t)
	v := c.read(t, l.B, l.A.MAC.String())
	if onKernel() {
		v.ours.badChecksum = 0 // they are left to the NIC, which a veth pair has not
	}
	v.want(t, what, c.dropped)
	t.Logf("point 6: %s: %v; the capture missed %d", what, v, c.dropped)
}
