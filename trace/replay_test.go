package trace_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/trace"
)

// drive has Reno live through rounds of ACKs, losses and a time-out, and records it.
func drive(r congestion.Recorder) {
	f := &congestion.Flow{MSS: 1000, IW: 10_000, MinRTT: 40 * ms, SRTT: 50 * ms}
	f.SetCwnd(f.IW)
	f.SetSsthresh(congestion.SsthreshMax)
	alg := reno.New()
	rec := congestion.Record{Flow: f, Algorithm: alg, Now: mono.Time(time.Second)}
	tell := func(e congestion.Event) {
		rec.Event, rec.Window = e, f.Cwnd()
		r.Record(&rec)
		rec.Ack, rec.Congestion, rec.Sent = nil, nil, nil
	}
	alg.Init(f, rec.Now)
	tell(congestion.EventOpen)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range 4000 {
		rec.Now = rec.Now.Add(ms)
		f.Flight, f.Delivered = f.Cwnd(), f.Delivered+2000
		switch {
		case i%700 == 699:
			rec.Congestion = &congestion.Congestion{Now: rec.Now, Cause: congestion.CauseLoss, Flight: f.Flight}
			alg.OnCongestion(f, rec.Congestion)
			tell(congestion.EventCongestion)
		case i == 2000:
			rec.Congestion = &congestion.Congestion{Now: rec.Now, Cause: congestion.CauseRTO, Flight: f.Flight}
			alg.OnCongestion(f, rec.Congestion)
			f.SetCwnd(f.MSS)
			tell(congestion.EventCongestion)
		default:
			rec.Ack = &congestion.Ack{
				Now: rec.Now, Acked: 2000, CumAcked: 1000 + rng.IntN(2000), CwndLimited: true,
				Rate: congestion.RateSample{OctetsPerSec: 1e6},
			}
			alg.OnAck(f, rec.Ack)
			tell(congestion.EventAck)
		}
		rec.Sent = &congestion.Sent{Now: rec.Now, Octets: 1000, Resent: i%100 == 0}
		tell(congestion.EventSent)
	}
	tell(congestion.EventClosed)
}

func recorded(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	v := trace.NewEvents(&b)
	drive(v)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// An algorithm that hears its own events sets its own windows again; another sets others.
func TestReplay(t *testing.T) {
	file := recorded(t)
	var entries list
	r, err := trace.Replay(bytes.NewReader(file), reno.New(), &entries, 10*ms)
	if err != nil {
		t.Fatal(err)
	}
	if r.Recorded != "reno" || r.Name != "reno" || r.Events != 8002 || r.Took != 4*time.Second || r.Apart != 0 || r.MeanRecorded != r.MeanReplayed {
		t.Errorf("got %+v", r)
	}
	ticks := 0
	for i := 0; i < len(entries); i += 2 {
		if own, other := &entries[i], &entries[i+1]; own.Cwnd != other.Cwnd || own.Flow != 0 || other.Flow != 1 || own.At != other.At {
			t.Fatalf("entry %d: %+v and %+v", i, own, other)
		}
		if entries[i].Tick {
			ticks++
		}
	}
	if ticks != 401 {
		t.Errorf("%d ticks, want 401", ticks)
	}
	r, err = trace.Replay(bytes.NewReader(file), reno.Config{Limit: 1}.New(), nil, time.Second)
	if err != nil || r.Apart == 0 {
		t.Errorf("with L=1: %+v, %v", r, err)
	}
}

// wild is an algorithm that fails.
type wild struct {
	congestion.Algorithm
	sets int
}

func (w *wild) OnAck(f *congestion.Flow, _ *congestion.Ack) {
	if w.sets == 0 {
		panic("oh")
	}
	f.SetCwnd(w.sets)
}

// An algorithm that fails is an error, and not a crash.
func TestReplayFails(t *testing.T) {
	file := recorded(t)
	for want, w := range map[string]*wild{"panics at": {}, "below zero": {sets: -5}} {
		w.Algorithm = reno.New()
		if _, err := trace.Replay(bytes.NewReader(file), w, nil, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func zipped(text string) *bytes.Reader {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return bytes.NewReader(b.Bytes())
}

// What no connection can have recorded is refused with its line.
func TestReadEventsRefuses(t *testing.T) {
	flow := `"Flow":{"MSS":1000}`
	for text, want := range map[string]string{
		"":                                      "there are none",
		"x\n":                                   "line 1",
		`{"Now":5,` + flow + "}\n{\"Now\":4}\n": "line 2: 4 ns is before",
		`{"Event":99,` + flow + "}\n":           "no event 99",
		`{"Event":1,` + flow + "}\n":            `"ack" lacks`,
		`{"Event":2,` + flow + "}\n":            `"congestion" lacks`,
		`{"Flow":{"MSS":0}}` + "\n":             "out of bounds",
		`{"Cwnd":-1,` + flow + "}\n":            "out of bounds",
		`{"Flow":{"MSS":9,"SRTT":-1}}` + "\n":   "negative",
		strings.Repeat("a", 20<<10):             "line 1",
	} {
		err := trace.ReadEvents(zipped(text), func(*trace.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
	if err := trace.ReadEvents(strings.NewReader("no gzip"), nil); err == nil {
		t.Error("no error for what is not compressed")
	}
	whole := recorded(t)
	if err := trace.ReadEvents(bytes.NewReader(whole[:len(whole)/2]), func(*trace.Event) error { return nil }); err == nil {
		t.Error("no error for half a file")
	}
}

func FuzzReadEvents(f *testing.F) {
	f.Add([]byte(`{"Event":1,"Flow":{"MSS":1000},"Ack":{"Acked":5}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = trace.Replay(zipped(string(text)), reno.New(), nil, 0)
	})
}

// A live trace has the files of each connection, and a page at the end; what is recorded by
// one goroutine is written by another.
func TestLive(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trace")
	l, err := trace.NewLive(dir)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort("192.0.2.1:80")
	for i := range 2 {
		drive(paced{l.Recorder(addr, netip.AddrPortFrom(addr.Addr(), uint16(1000+i))), l})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		f, err := os.Open(filepath.Join(dir, fmt.Sprintf("flow-%d.csv", i)))
		if err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		f.Close()
		if err != nil || len(rows) != 402 && len(rows) != 403 {
			t.Errorf("flow %d: %d rows, %v", i, len(rows), err)
		}
		events, err := os.Open(filepath.Join(dir, fmt.Sprintf("flow-%d.events.gz", i)))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := trace.Replay(events, reno.New(), nil, 0); err != nil || r.Apart != 0 || r.Events != 8002 {
			t.Errorf("flow %d replayed: %+v, %v", i, r, err)
		}
		events.Close()
	}
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil || !strings.Contains(string(page), "192.0.2.1:80 to 192.0.2.1:1001") {
		t.Errorf("page: %v", err)
	}
	if missed, over := l.Missed(); missed != 0 || over != 0 {
		t.Errorf("missed %d events and %d connections", missed, over)
	}
	l.Recorder(addr, addr).Record(&congestion.Record{Flow: new(congestion.Flow)}) // too late, and harmless
}

// paced waits for the writer before its queue is full.
type paced struct {
	congestion.Recorder
	live *trace.Live
}

func (p paced) Record(r *congestion.Record) {
	p.live.WaitRoom()
	p.Recorder.Record(r)
}

// What is too much is counted, and blocks nobody.
func TestLiveIsBounded(t *testing.T) {
	l, err := trace.NewLive(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var addr netip.AddrPort
	first := l.Recorder(addr, addr)
	for range trace.LiveConnsMax - 1 {
		if l.Recorder(addr, addr) == nil {
			t.Fatal("refused too early")
		}
	}
	if l.Recorder(addr, addr) != nil {
		t.Error("one too many is recorded")
	}
	for range 20 {
		drive(first) // faster than anybody writes
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	written, episodes := 0, 0
	f, err := os.Open(filepath.Join(l.Dir(), "flow-0.events.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(z); ; written++ {
		var v trace.Event
		if d.Decode(&v) != nil {
			break
		}
		if v.Event == congestion.EventCongestion {
			episodes++
		}
	}
	missed, over := l.Missed()
	// A connection that has had its last record is not recorded any more. What there is little
	// of is not missing.
	if over != 1 || written == 0 || written+int(missed) > 20*8002 || episodes != 6 {
		t.Errorf("%d written, %d episodes of 6, %d missed of %d, %d connections too many", written, episodes, missed, 20*8002, over)
	}
}
