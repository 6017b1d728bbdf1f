package e2e

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// markEvery is how many ECN-capable packets of millrace's connections cross for each that the
// path marks as having met congestion, each way.
const markEvery = 200

// The two bits of ECN in an IP header, and those of TCP's flags (RFC 3168, sections 5 and 6).
const (
	notECT, ect0, markedCE = 0, 2, 3
	flagECE, flagCWR       = 0x40, 0x80
)

// seenECN is what one way of the path carried of the connections to port 8080.
type seenECN struct {
	syn          atomic.Uint32 // flags of the last SYN, and the bit before them
	data, ect    atomic.Int64  // segments with payload; those of them with ECT(0)
	bareECT      atomic.Int64  // segments without payload that are ECN-capable
	marked       atomic.Int64
	echoed, told atomic.Int64 // segments with ECE, with CWR, but SYNs
}

// look counts a frame, and marks it if it is its turn.
func (s *seenECN) look(frame []byte) {
	f, ok := findTCP(frame)
	if !ok || f.v6 || f.srcPort() != 8080 && f.dstPort() != 8080 {
		return
	}
	h := f.frame[f.tcp:f.end]
	if h[13]&2 != 0 {
		s.syn.Store(uint32(binary.BigEndian.Uint16(h[12:]) & 0x1ff))
		return
	}
	codepoint, payload := f.frame[f.ip+1]&3, len(h) > int(h[12]>>4*4)
	if h[13]&flagECE != 0 {
		s.echoed.Add(1)
	}
	if h[13]&flagCWR != 0 {
		s.told.Add(1)
	}
	switch {
	case !payload && codepoint != notECT:
		s.bareECT.Add(1)
	case payload:
		s.data.Add(1)
		if codepoint != ect0 {
			return
		}
		if s.ect.Add(1)%markEvery == 0 {
			f.frame[f.ip+1] |= markedCE
			f.repair()
			s.marked.Add(1)
		}
	}
}

// TestECN is explicit congestion notification (RFC 3168) with a peer on the kernel's TCP that
// asks for it. The path marks packets and loses none.
func TestECN(t *testing.T) {
	// [0] is from A, which is millrace's, [1] from B.
	var seen [2]seenECN
	p := newPath(t, 1, fault.Direction{}, seen[0].look, seen[1].look)
	for _, h := range []*lab.Host{p.a, p.b} {
		if err := h.SetSysctl("net/ipv4/tcp_congestion_control", "reno"); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.b.SetSysctl("net/ipv4/tcp_ecn", "1"); err != nil {
		t.Fatal(err)
	}
	c := file(t, sized[int64](32, 8)*mib)
	server := listening(t, p.a, "serve", "http", "--listen", ":8080", "--root", built.files, "--cc", "reno", "--metrics", metricsAddress)
	if _, err := download(t, p.b, c, "http://10.77.0.1:8080/"+c.name); err != nil {
		t.Errorf("download: %v", err)
	}
	const synAndACK = 0x12
	if got := seen[1].syn.Load() &^ synAndACK; got != flagECE|flagCWR {
		t.Errorf("the kernel's SYN has the flags %#x, want %#x: it does not ask", got, flagECE|flagCWR)
	}
	if got := seen[0].syn.Load() &^ synAndACK; got != flagECE {
		t.Errorf("our SYN and ACK has the flags %#x, want %#x", got, flagECE)
	}
	seen[0].report(t, &seen[1], "millrace to kernel")
	if n := eventCounts(t, p.a)["TCPDeliveredCE"]; n == 0 {
		t.Errorf("TCPDeliveredCE is %d: of the marks, no ACK told us", n)
	}
	server.stop()

	listening(t, p.a, "proxy", "--listen", ":8080", "--to", startSink(t, p.a, "127.0.0.1:0"), "--cc", "reno")
	echoed, told := seen[0].echoed.Load(), seen[1].told.Load()
	if _, err := upload(t, p.b, c, "http://10.77.0.1:8080/"); err != nil {
		t.Errorf("upload: %v", err)
	}
	seen[1].report(t, &seen[0], "kernel to millrace")
	if seen[0].echoed.Load() == echoed || seen[1].told.Load() == told {
		t.Errorf("of the kernel's marked packets: %d answers of ours with ECE, %d of its segments with CWR, want some of both",
			seen[0].echoed.Load()-echoed, seen[1].told.Load()-told)
	}
}

// TestECNAsked is ECN that we ask the kernel's TCP for, which grants RFC 3168: because we are told
// to, or because the congestion control goes by marks.
func TestECNAsked(t *testing.T) {
	var seen [2]seenECN
	p := newPath(t, 1, fault.Direction{}, seen[0].look, seen[1].look)
	c := file(t, 8*mib)
	kernelFiles(t, p.b, "10.77.0.2:8080")
	const (
		syn, synAndACK = 0x02, 0x12
		flagAE         = 0x100
	)
	for _, tt := range []struct {
		flag, value string
		asks        uint32
		grants      uint32
	}{
		{"--cc", "cubic", 0, 0},
		{"--ecn", "classic", flagECE | flagCWR, flagECE},
		{"--cc", "dctcp", flagAE | flagECE | flagCWR, flagECE},
	} {
		got := filepath.Join(t.TempDir(), "got")
		output(t, most(time.Minute), p.a, built.path, "get", "http://10.77.0.2:8080/"+c.name, "-o", got, "--nic", p.a.Interface, tt.flag, tt.value)
		if asks, grants := seen[0].syn.Load(), seen[1].syn.Load(); asks != syn|tt.asks || grants != synAndACK|tt.grants {
			t.Errorf("%s %s: SYN %#x, SYN and ACK %#x; want %#x and %#x", tt.flag, tt.value, asks, grants, syn|tt.asks, synAndACK|tt.grants)
		}
		if b, err := os.ReadFile(got); err != nil || sha256.Sum256(b) != c.sum {
			t.Errorf("%s %s: %d octets came, not those that were sent, %v", tt.flag, tt.value, len(b), err)
		}
	}
	if seen[1].marked.Load() == 0 || seen[0].echoed.Load() == 0 {
		t.Errorf("%d packets marked, %d ACKs of ours with ECE, want some of both", seen[1].marked.Load(), seen[0].echoed.Load())
	}
}

// report checks what the way of the data and the way back carried.
func (s *seenECN) report(t testing.TB, back *seenECN, name string) {
	t.Helper()
	t.Logf("%s: %d data segments, %d of them ECT(0), %d marked CE, %d without data ECN-capable; %d with CWR, %d answers with ECE; sha256 ok unless said",
		name, s.data.Load(), s.ect.Load(), s.marked.Load(), s.bareECT.Load(), s.told.Load(), back.echoed.Load())
	if s.marked.Load() == 0 {
		t.Errorf("%s: no packet was marked", name)
	}
	// What is sent again is not ECN-capable (RFC 3168, section 6.1.5).
	if s.ect.Load() < s.data.Load()*9/10 {
		t.Errorf("%s: %d of %d data segments are ECT(0), want nearly all", name, s.ect.Load(), s.data.Load())
	}
	if s.told.Load() == 0 || back.echoed.Load() == 0 {
		t.Errorf("%s: %d segments with CWR, %d answers with ECE, want some of both", name, s.told.Load(), back.echoed.Load())
	}
}
