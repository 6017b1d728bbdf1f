package sim

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack/tcp"
)

var updateFlag = flag.Bool("update", false, "rewrite the golden files in testdata")

// recoveryStyle is a loss detector with a recovery governor.
type recoveryStyle struct {
	name string
	tcp  tcp.Config
}

// recoveryStyles is what the golden matrix compares.
var recoveryStyles = []recoveryStyle{
	{"RACK+PRR", tcp.Config{}},
	{"SACK+pipe", tcp.Config{Detector: tcp.DetectSACK, Governor: tcp.GovernPipe}},
	{"NewReno", tcp.Config{NoSACK: true}},
}

// Each cell of the matrix is the sum of so many seeds, each a flow of so many octets, in full
// segments, over 20 Mbit/s.
const (
	goldenSeeds  = 3
	goldenOctets = 1448 * 1500
	goldenRate   = 20e6
)

// goldenCell is what became of the flows of a cell.
type goldenCell struct {
	loss  float64
	rtt   time.Duration
	queue float64 // in BDPs
	style recoveryStyle

	mbps     float64 // octets of all flows over the time of all
	resent   float64 // segments, as timeouts and needless
	timeouts float64
	needless float64 // sent again though nothing was lost
}

func goldenCells() []goldenCell {
	var cells []goldenCell
	for _, loss := range []float64{0, 0.001, 0.01, 0.03} {
		for _, rtt := range []time.Duration{10, 50, 200} {
			for _, queue := range []float64{0.25, 1, 4} {
				for _, s := range recoveryStyles {
					cells = append(cells, goldenCell{loss: loss, rtt: rtt * time.Millisecond, queue: queue, style: s})
				}
			}
		}
	}
	return cells
}

// bulk is what came of one flow in one direction.
type bulk struct {
	took     time.Duration // from the start until the last octet was read
	stats    tcp.Stats     // the sender's
	resent   int64         // segments, the SYN among them
	needless int64         // of those, sent again though none was lost
	s        *scenario
}

// runBulk carries octets from a to b, until both ends are closed and nothing happens.
func runBulk(cfg scenarioConfig, octets int64) (bulk, error) {
	cfg.flows = []flowConfig{{client: behaviour{write: octets}, server: behaviour{ending: endAfterPeer}}}
	s := newScenario(cfg)
	s.run(hour)
	if err := s.finish(); err != nil {
		return bulk{}, fmt.Errorf("seed %d: %w", cfg.seed, err)
	}
	b := bulk{took: time.Duration(s.flows[0].server.readAt), stats: s.a.eng.Stats().TCP, s: s}
	b.resent = int64(b.stats.RetransSegs + b.stats.TCPSynRetrans)
	b.needless = b.resent - int64(s.paths[0].stats.LostData)
	return b, nil
}

// run plays the cell.
func (c *goldenCell) run() error {
	var took time.Duration
	for seed := range uint64(goldenSeeds) {
		spec := LinkSpec{Rate: goldenRate, RTT: c.rtt, Loss: c.loss, Queue: QueueSpec{BDP: c.queue}}
		cfg := scenarioConfig{seed: seed + 1}
		cfg.there, cfg.back = spec.paths()
		o := hostOptions{tcp: c.style.tcp, recvBuffer: 8 << 20, sendBuffer: 4 << 20, noDelay: true}
		cfg.a, cfg.b = o, o
		b, err := runBulk(cfg, goldenOctets)
		if err != nil {
			return err
		}
		took += b.took
		c.resent += float64(b.resent)
		c.timeouts += float64(b.stats.TCPTimeouts)
		c.needless += float64(b.needless)
		undone := b.stats.TCPFullUndo + b.stats.TCPDSACKUndo + b.stats.TCPSpuriousRTOs
		if int64(undone) > b.needless {
			return fmt.Errorf("seed %d: %d episodes undone, and only %d segments sent again in vain", seed+1, undone, b.needless)
		}
	}
	c.mbps = goldenSeeds * goldenOctets * 8 / took.Seconds() / 1e6
	return nil
}

// runGolden plays all cells, on all processors.
func runGolden(t *testing.T) []goldenCell {
	t.Helper()
	cells := goldenCells()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(cells); i = int(next.Add(1)) - 1 {
				if err := cells[i].run(); err != nil {
					t.Errorf("%s: %v", cells[i].key(), err)
				}
			}
		})
	}
	wg.Wait()
	return cells
}

// key is the cell's row and column group.
func (c *goldenCell) key() string {
	return fmt.Sprintf("%5.1f %4d %5.2f  %-9s", 100*c.loss, c.rtt.Milliseconds(), c.queue, c.style.name)
}

const goldenFile = "recovery.golden"

const goldenHead = `# What loss recovery achieves over 20 Mbit/s, Reno, ACK on every second segment.
# Each line is %d flows of %d octets, of seeds 1 and up: their goodput, and in all of them
# the segments sent again, the time-outs, and the segments sent again in vain: those beyond
# one for each segment that was lost. loss is random, on top of what the full queue drops.
# Written by: go test ./sim -run Golden -args -update
#
# loss   RTT queue                goodput   segments   time-  segments
#    %%    ms   BDP  recovery       Mbit/s sent again    outs   in vain
`

func formatGolden(cells []goldenCell) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, goldenHead, goldenSeeds, goldenOctets)
	for i := range cells {
		c := &cells[i]
		if i > 0 && i%len(recoveryStyles) == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "  %s  %9.3f %10.0f %7.0f %9.0f\n", c.key(), c.mbps, c.resent, c.timeouts, c.needless)
	}
	return b.Bytes()
}

func parseGolden(t *testing.T, name string) map[string]goldenCell {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatalf("%v\nwrite it: go test ./sim -run Golden -args -update", err)
	}
	defer f.Close()
	cells := make(map[string]goldenCell)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		var c goldenCell
		var ms int64
		if _, err := fmt.Sscan(line, &c.loss, &ms, &c.queue, &c.style.name, &c.mbps, &c.resent, &c.timeouts, &c.needless); err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		c.loss /= 100
		c.rtt = time.Duration(ms) * time.Millisecond
		cells[c.key()] = c
	}
	return cells
}

// TestGoldenMatrix compares what recovery achieves with what it achieved before. A change of
// behaviour on purpose rewrites the file, and its diff shows what it brought. The tolerances
// are what a change of nothing but the order of random draws moves: goodput by 12 %, or a
// third where there are fewer than 60 losses to average over; segments by a quarter and 6,
// time-outs by a third and 3.
func TestGoldenMatrix(t *testing.T) {
	cells := runGolden(t)
	name := filepath.Join("testdata", goldenFile)
	if *updateFlag {
		if err := os.WriteFile(name, formatGolden(cells), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := parseGolden(t, name)
	if len(want) != len(cells) {
		t.Errorf("%s has %d cells, want %d", name, len(want), len(cells))
	}
	for i := range cells {
		c := &cells[i]
		w, ok := want[c.key()]
		if !ok {
			t.Errorf("%s: not in %s", c.key(), name)
			continue
		}
		c.compare(t, &w)
	}
}

// compare holds a cell against what it was.
func (c *goldenCell) compare(t *testing.T, w *goldenCell) {
	t.Helper()
	near := func(what string, got, want, off float64) {
		if math.Abs(got-want) > off {
			t.Errorf("%s: %s = %.4g, was %.4g (off by more than %.4g)", c.key(), what, got, want, off)
		}
	}
	share := 0.12
	if c.loss > 0 && w.resent < 60 {
		share = 0.33
	}
	near("goodput", c.mbps, w.mbps, share*w.mbps)
	near("sent again", c.resent, w.resent, 0.25*w.resent+6)
	near("time-outs", c.timeouts, w.timeouts, w.timeouts/3+3)
	near("in vain", c.needless, w.needless, 0.25*w.needless+6)
}
