package pcap_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/pcap"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
)

func wrap(t testing.TB, p dataplane.Port, w io.Writer, cfg pcap.Config) *pcap.Port {
	t.Helper()
	c, err := pcap.New(p, w, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPort(t *testing.T) {
	dataplanetest.TestPort(t, func(t *testing.T) (dataplane.Port, dataplane.Port) {
		a, b := pipe.New(pipe.Config{Pieces: 8})
		return wrap(t, a, io.Discard, pcap.Config{}), wrap(t, b, io.Discard, pcap.Config{SnapLen: 64})
	})
}

// ticks is a clock that advances by a prime number of nanoseconds a look.
func ticks() func() time.Time {
	now := time.Unix(1_700_000_000, 123_456_789)
	return func() time.Time {
		now = now.Add(1009)
		return now
	}
}

// send sends one frame of size octets that begins with its number.
func send(t testing.TB, p dataplane.Port, n, size int) {
	t.Helper()
	var one [1]dataplane.Frame
	if p.Alloc(one[:]) != 1 {
		t.Fatal("no transmit frame")
	}
	one[0].Data = one[0].Data[:size]
	for i := range one[0].Data {
		one[0].Data[i] = byte(n)
	}
	binary.BigEndian.PutUint32(one[0].Data, uint32(n))
	p.Send(one[:])
	p.Flush()
}

func take(p dataplane.Port) int {
	var batch [dataplane.BatchMax]dataplane.Frame
	n := p.Recv(batch[:])
	p.Free(batch[:n])
	return n
}

// Both ways come back from the capture as they crossed, with their times and directions.
func TestCapture(t *testing.T) {
	var file bytes.Buffer
	a, b := pipe.New(pipe.Config{})
	c := wrap(t, a, &file, pcap.Config{SnapLen: 100, Now: ticks()})
	const frames = 500
	size := func(n int) int { return 60 + n%200 }
	for n := range frames {
		if n%2 == 0 {
			send(t, c, n, size(n))
			take(b)
		} else {
			send(t, b, n, size(n))
			take(c)
		}
	}
	if err := errors.Join(c.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	now := ticks()
	for n := range frames {
		data, ci, opts, err := r.ReadPacketDataWithOptions()
		if err != nil {
			t.Fatalf("packet %d: %v", n, err)
		}
		if got := int(binary.BigEndian.Uint32(data)); got != n {
			t.Fatalf("packet %d: got number %d", n, got)
		}
		if ci.Length != size(n) || len(data) != min(100, size(n)) {
			t.Fatalf("packet %d: length %d, captured %d, want %d, %d", n, ci.Length, len(data), size(n), min(100, size(n)))
		}
		if last := data[len(data)-1]; last != byte(n) {
			t.Fatalf("packet %d: ends in %d", n, last)
		}
		if want := now(); !ci.Timestamp.Equal(want) {
			t.Fatalf("packet %d: time %v, want %v", n, ci.Timestamp, want)
		}
		want := pcapgo.NgEpbFlagDirectionOutbound
		if n%2 == 1 {
			want = pcapgo.NgEpbFlagDirectionInbound
		}
		if opts.Flags == nil || opts.Flags.Direction != want {
			t.Fatalf("packet %d: flags %+v, want direction %d", n, opts.Flags, want)
		}
	}
	if _, _, err := r.ReadPacketData(); err != io.EOF {
		t.Errorf("after the last packet: %v, want EOF", err)
	}
	if intf, err := r.Interface(0); err != nil || intf.Name != "pipe a" || intf.Statistics.PacketsReceived != frames {
		t.Errorf("interface %+v, %v, want pipe a with %d packets", intf, err, frames)
	}
}

// gated is a writer that waits until it is let go.
type gated struct {
	bytes.Buffer
	open  <-chan struct{}
	wrote bool
}

func (g *gated) Write(b []byte) (int, error) {
	if g.wrote { // The head of the file goes through.
		<-g.open
	}
	g.wrote = true
	return g.Buffer.Write(b)
}

// A writer that hangs costs frames of the capture, each of them counted, and none of the
// link; and the capture says how many, and where.
func TestSlowWriterNeverBlocks(t *testing.T) {
	open := make(chan struct{})
	file := &gated{open: open}
	a, b := pipe.New(pipe.Config{})
	c := wrap(t, a, file, pcap.Config{Queue: 128 << 10})
	const frames = 2000
	for n := range frames {
		send(t, c, n, 1514)
		if take(b) != 1 {
			t.Fatalf("frame %d was lost on the link", n)
		}
	}
	queued, missed := c.Captured()
	if queued+missed != frames || missed == 0 || queued < 40 {
		t.Fatalf("%d queued and %d missed, want %d together, some of both", queued, missed, frames)
	}
	close(open)
	// Room comes back, and the next frame says how many are missing before it.
	for n := frames; ; n++ {
		before, _ := c.Captured()
		send(t, c, n, 1514)
		take(b)
		if after, _ := c.Captured(); after > before {
			break
		}
	}
	queued, missed = c.Captured()
	if err := errors.Join(c.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&file.Buffer, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var read, told uint64
	for {
		_, _, opts, err := r.ReadPacketDataWithOptions()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read++
		if opts.DropCount != nil {
			told += *opts.DropCount
		}
	}
	if read != queued || told != missed {
		t.Errorf("the capture has %d packets and tells of %d missing, want %d and %d", read, told, queued, missed)
	}
	if intf, err := r.Interface(0); err != nil || intf.Statistics.PacketsDropped != missed {
		t.Errorf("statistics %+v, %v, want %d dropped", intf.Statistics, err, missed)
	}
}

var errDisk = errors.New("disk full")

type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errDisk
	}
	return len(p), nil
}

func TestWriteErrorIsReported(t *testing.T) {
	a, b := pipe.New(pipe.Config{})
	c := wrap(t, a, &broken{left: 4096}, pcap.Config{})
	for n := range 500 {
		send(t, c, n, 1514)
		if take(b) != 1 {
			t.Fatalf("frame %d was lost on the link", n)
		}
	}
	if err := c.Close(); !errors.Is(err, errDisk) {
		t.Errorf("Close = %v, want the writer's error", err)
	}
	if _, err := pcap.New(b, &broken{}, pcap.Config{}); !errors.Is(err, errDisk) {
		t.Errorf("New = %v, want the writer's error", err)
	}
}

func TestBadConfig(t *testing.T) {
	a, _ := pipe.New(pipe.Config{})
	for _, cfg := range []pcap.Config{{Queue: 1000}, {SnapLen: -1}, {SnapLen: 1 << 20}} {
		if _, err := pcap.New(a, io.Discard, cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

// A reader that others wrote finds nothing to complain of.
func TestTsharkReadsIt(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	name := filepath.Join(t.TempDir(), "capture.pcapng")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	a, b := pipe.New(pipe.Config{})
	c := wrap(t, a, file, pcap.Config{})
	for n := range 5 {
		send(t, c, n, 61+n)
		send(t, b, n, 60)
		take(c)
	}
	take(b)
	if err := errors.Join(c.Close(), b.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tshark, "-r", name, "-T", "fields", "-e", "frame.len", "-e", "frame.packet_flags_direction").CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	for n, want := range []string{"61\t2", "60\t1", "62\t2", "60\t1", "63\t2"} {
		if lines := strings.Split(string(out), "\n"); !contains(lines, want) {
			t.Errorf("packet %d: no line %q in\n%s", n, want, out)
		}
	}
}

func contains(lines []string, want string) bool {
	for _, l := range lines {
		fields := strings.Fields(l)
		if len(fields) != 2 {
			continue
		}
		// Versions print the direction as 1, 0x1 or 0x00000001.
		dir := fields[1][len(fields[1])-1:]
		if fields[0]+"\t"+dir == want {
			return true
		}
	}
	return false
}

func BenchmarkCapture(b *testing.B) {
	p, q := pipe.New(pipe.Config{})
	c := wrap(b, p, io.Discard, pcap.Config{})
	var batch [dataplane.BatchMax]dataplane.Frame
	b.SetBytes(1514)
	b.ReportAllocs()
	for n := 0; n < b.N; {
		k := c.Alloc(batch[:min(32, b.N-n)])
		for i := range k {
			batch[i].Data = batch[i].Data[:1514]
		}
		c.Send(batch[:k])
		q.Free(batch[:q.Recv(batch[:])])
		n += k
	}
	_, missed := c.Captured()
	b.ReportMetric(float64(missed)/float64(b.N), "missed/frame")
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
}
