package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/cmd/millrace/internal/inspect"
)

type instance inspect.Instance

func (i instance) Instance() inspect.Instance { return inspect.Instance(i) }

func ssOf(t *testing.T, pid int, asJSON bool) string {
	t.Helper()
	dir := t.TempDir()
	s, err := inspect.Serve(dir, instance{
		NIC: inspect.NIC{Name: "eth0", Driver: "igb", Attached: "native", ZeroCopy: []bool{true, false}, Queues: 2, MTU: 1500,
			FrameOctets: 20 << 20, FramePages: "small pages", FrameRule: "each queue 4096 to receive"},
		Frames:    inspect.Frames{KeptNow: 3, KeptMax: 2048, Kept: 90, KeptShort: 4, Spilled: 2, Forwarded: 8, NoSocket: 1},
		Listeners: 1, TimeWaits: 7, BufferOctets: 16 << 10,
		Connections: []inspect.Connection{{
			State: "ESTABLISHED", Local: "192.0.2.1:80", Remote: "192.0.2.2:40000", RecvQueue: 3, SendQueue: 5,
			CC: "reno", Recovery: "recovery", SACK: true, MSS: 1000, Cwnd: 10_001, Ssthresh: 1<<31 - 1,
			RTT: 1.5, RTTVar: 0.25, RTO: 201.5, Retransmits: 2, Timeouts: 1, DeliveryRate: 8000,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, diag bytes.Buffer
	a := &app{stdout: &out, stderr: &diag}
	if err := a.ss(t.Context(), dir, pid, asJSON); err != nil || diag.Len() > 0 && pid == 0 {
		t.Fatalf("%v, %s", err, diag.String())
	}
	return out.String()
}

func TestSSPrintsAsTheKernels(t *testing.T) {
	out := ssOf(t, 0, false)
	for _, want := range []string{
		"on eth0 (igb): XDP native, AF_XDP zero-copy on 1 of 2 queues, 2 queues, MTU 1500; pid " + strconv.Itoa(os.Getpid()) + "\n",
		"1 connections, 0 half open, 7 in TIME-WAIT, 1 listeners, 16 KiB of buffers, 20480 KiB of frames in small pages\n",
		"frames: each queue 4096 to receive; kept by readers 3 of 2048; kept 90, copied for want of room 4, copied later 2; " +
			"forwarded between queues 8, dropped on queues not served 1\n",
		"ESTABLISHED        3       5  192.0.2.1:80  192.0.2.2:40000\n",
		"\treno sack wscale:0,0 rto:201.5 rtt:1.5/0.25 mss:1000 rcvmss:0 cwnd:11 ca_state:recovery",
		"retrans:2 bytes_retrans:0 timeouts:1 delivery_rate 8000bps",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "ssthresh") {
		t.Errorf("an ssthresh that was never set is shown:\n%s", out)
	}
}

func TestSSJSON(t *testing.T) {
	var all []map[string]any
	if err := json.Unmarshal([]byte(ssOf(t, 0, true)), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	if n := all[0]["pid"]; n != float64(os.Getpid()) {
		t.Errorf("pid %v", n)
	}
	if out := ssOf(t, os.Getpid()+1, true); out != "[]\n" {
		t.Errorf("of a process that is not there: %s", out)
	}
}
