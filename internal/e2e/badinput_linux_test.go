package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

const (
	// floodHeap bounds what the floods may leave in the heap: half-open connections until
	// they are given up, at most a backlog of 4,096 of a few KiB, and TIME-WAIT records.
	floodHeap = 48 * mib
	// floodResident bounds what the process may take at its peak beside what it had.
	floodResident = 160 * mib
)

// TestBadInput is point 7: floods of noise, of spoilt segments and of hping3 against the
// port, while a transfer runs.
func TestBadInput(t *testing.T) {
	l := byHand(t)
	hping3 := testutil.Command(t, "hping3", "hping3")
	c, page := file(t, sized[int64](256, 64)*mib), file(t, 1024)
	p := listening(t, l.A, "serve", "http", "--listen", ":8080", "--root", built.files, "--metrics", metricsAddress)
	if _, err := download(t, l.B, c, "http://10.77.0.1:8080/"+c.name); err != nil {
		t.Fatal(err) // so that the pools are filled before the comparison
	}
	settle(t, l.A)
	before := measure(t, l.A, p)

	tr := begin(t, l.B, c, c.size/60)
	seed := uint64(time.Now().UnixNano())
	t.Logf("point 7: seed %d", seed)
	a := &attacker{
		rnd:     rand.New(rand.NewPCG(seed, 0)),
		spared:  uint16(tr.conn.LocalAddr().(*net.TCPAddr).Port),
		mutants: make([]int, len(mutations)),
	}
	w := openWire(t, l.B, true)
	a.samples = w.samples(8080, 400, func() { stir(t, l.B) })
	sender := openWire(t, l.B, false)
	running := func(what, figures string) {
		t.Helper()
		switch {
		case !p.alive():
			t.Fatalf("point 7: the program ended in the flood of %s: %v", what, p.err)
		case tr.ended():
			t.Fatalf("point 7: the transfer ended in the flood of %s: %v", what, tr.await(0))
		}
		t.Logf("point 7: %s: %s, resident %d MiB", what, figures, p.status("VmRSS")/mib)
	}
	for range 2 {
		running("spoilt segments", flood(sender, sized(100000, 20000), most(5*time.Second), a.mutant))
		running("noise", flood(sender, sized(50000, 10000), most(5*time.Second), a.random))
	}
	for i, n := range a.mutants {
		if n == 0 {
			t.Errorf("point 7: no frame was mutated by %q", mutations[i].name)
		}
	}
	for _, flags := range []string{"-S", "-F -P -U", "-A -d 1200", "-R", "-X -Y", "-A --rand-source"} {
		running("hping3 "+flags, hping(t, l.B, hping3, sized(20000, 2000), flags))
	}
	// Fewer than the backlog of half-open connections.
	running("hping3 -S --rand-source", hping(t, l.B, hping3, sized(3000, 1000), "-S --rand-source"))

	tr.hurry()
	if err := tr.await(most(time.Minute)); err != nil {
		t.Errorf("point 7: the transfer: %v", err)
	}
	began := time.Now()
	if err := connects(t, l.B, 50, page); err != nil {
		t.Errorf("point 7: new connections afterwards: %v", err)
	}
	took := time.Since(began)
	settle(t, l.A)
	after, peak := measure(t, l.A, p), p.status("VmHWM")
	t.Logf("point 7: the transfer's sha256 ok, 50 new connections in %.2f s; before %v, after %v, peak %d MiB", took.Seconds(), before, after, peak/mib)
	if grown := after.heap - before.heap; grown > floodHeap {
		t.Errorf("point 7: the heap grew by %d octets, more than %d", grown, floodHeap)
	}
	if grown := peak - before.resident; grown > floodResident {
		t.Errorf("point 7: the resident set grew by %d octets at its peak, more than %d", grown, floodResident)
	}
}

// hping floods the port with hping3 and returns its last words. What comes back is not
// asked for: it ends with status 1 when nothing does.
func hping(t testing.TB, h *lab.Host, hping3 string, packets int, flags string) string {
	t.Helper()
	ctx, cancel := deadline(t, most(sized(4*time.Second, time.Second)))
	defer cancel()
	args := append([]string{"-q", "-n", "-p", "8080", "-i", "u30", "-c", strconv.Itoa(packets)}, strings.Fields(flags)...)
	cmd := h.Command(ctx, hping3, append(args, "10.77.0.1")...)
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "packets transmitted") {
			return strings.TrimSpace(line)
		}
	}
	if ctx.Err() == nil {
		t.Errorf("point 7: hping3 %s: %v\n%s", flags, err, tail(string(out)))
	}
	return "as much as there was time for"
}

// stir makes connections of several shapes, over both families: requests, refused
// uploads of full segments, idle ones, and ones that are cut off. The idle ones stay open
// until the test ends: the floods aim at them.
func stir(t testing.TB, h *lab.Host) {
	t.Helper()
	for _, to := range hosts {
		for _, text := range []string{
			"GET /1024 HTTP/1.1\r\nHost: x\r\n\r\n",
			"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n" + strings.Repeat("x", 30000),
			"G",
		} {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			c, err := h.Dial(ctx, "tcp", to.host+":8080")
			cancel()
			if err != nil {
				t.Fatalf("point 7: %v", err)
			}
			t.Cleanup(func() { _ = c.Close() })
			if err := exchange(c, text); err != nil {
				t.Fatalf("point 7: %s %.10q: %v", to.family, text, err)
			}
		}
	}
}

// exchange sends a request and reads the first of the answer, if one is due.
func exchange(c net.Conn, text string) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil || len(text) == 1 {
		return err
	}
	if _, err := c.Read(make([]byte, 4096)); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// TestAttacker shows that the attacker's checksums are right, and that what it sends to the
// spared connection is not.
func TestAttacker(t *testing.T) {
	syn := []byte{
		2, 'm', 'r', 0, 0, 1, 2, 'm', 'r', 0, 0, 2, 8, 0,
		0x45, 0, 0, 44, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1,
		0x9c, 0x40, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 2, 0xfa, 0xf0, 0, 0, 0, 0, 2, 4, 5, 0xb4,
	}
	f, ok := findTCP(syn)
	if !ok || f.srcPort() != 40000 || f.dstPort() != 8080 {
		t.Fatalf("findTCP = %+v, %v", f, ok)
	}
	f.repair()
	// As Wireshark computes them.
	if got := fmt.Sprintf("%x %x", syn[24:26], syn[50:52]); got != "2630 ccc7" {
		t.Errorf("checksums = %s, want 2630 ccc7", got)
	}
	a := &attacker{rnd: rand.New(rand.NewPCG(1, 2)), samples: [][]byte{syn}, spared: 40000, mutants: make([]int, len(mutations))}
	for range 20000 {
		for _, frame := range [][]byte{a.mutant(), a.random()} {
			if f, ok := findTCP(frame); ok && f.srcPort() == 40000 && f.passes() {
				t.Fatalf("a frame to the spared connection passes: %x", frame)
			}
		}
	}
}
