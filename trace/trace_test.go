package trace_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/reno"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/trace"
)

// list keeps entries.
type list []trace.Entry

func (l *list) Put(e *trace.Entry) { *l = append(*l, *e) }

const ms = time.Millisecond

// A recorder makes an entry of each turn, with what it was about, and a tick of the first in
// each interval; segments sent again are counted.
func TestRecorder(t *testing.T) {
	var got list
	start := mono.Time(5 * time.Second)
	r := trace.NewRecorder(&got, 3, start, 10*ms)
	f := &congestion.Flow{MSS: 1000, SRTT: 50 * ms, MinRTT: 40 * ms, Flight: 7000, Delivered: 12_000}
	f.SetCwnd(10_000)
	f.SetSsthresh(congestion.SsthreshMax)
	at := func(d time.Duration, e congestion.Event) *congestion.Record {
		return &congestion.Record{Now: start.Add(d), Event: e, Flow: f, Window: f.Cwnd(), Algorithm: reno.New()}
	}
	r.Record(at(0, congestion.EventOpen))
	ack := at(ms, congestion.EventAck)
	ack.Ack = &congestion.Ack{Rate: congestion.RateSample{OctetsPerSec: 1e6}}
	r.Record(ack)
	sent := at(2*ms, congestion.EventSent)
	sent.Sent = &congestion.Sent{Resent: true}
	r.Record(sent)
	lost := at(23*ms, congestion.EventCongestion)
	lost.Congestion = &congestion.Congestion{Cause: congestion.CauseLoss}
	lost.Recovery, lost.Window = congestion.RecoveryFast, 9000
	r.Record(lost)
	r.Record(at(29*ms, congestion.EventUndo))
	r.Record(at(30*ms, congestion.EventClosed))
	if len(got) != 5 {
		t.Fatalf("%d entries: %+v", len(got), got)
	}
	for i, want := range []struct {
		at    time.Duration
		tick  bool
		state string
		event congestion.Event
	}{
		{0, true, "slow-start", congestion.EventOpen}, {ms, false, "slow-start", congestion.EventAck},
		{23 * ms, true, "recovery", congestion.EventCongestion}, {29 * ms, false, "slow-start", congestion.EventUndo},
		{30 * ms, true, "slow-start", congestion.EventClosed},
	} {
		e := &got[i]
		if e.At != want.at || e.Tick != want.tick || e.State() != want.state || e.Event != want.event || e.Flow != 3 || e.Name != "reno" {
			t.Errorf("entry %d: got %+v, want %+v", i, e, want)
		}
	}
	if e := got[2]; e.Cwnd != 9000 || e.Retransmits != 1 || e.Delivery != 1e6 || e.Cause != congestion.CauseLoss || e.Delivered != 12_000 {
		t.Errorf("got %+v", e)
	}
}

// saw is a sawtooth of two episodes, with a tick every 10 ms for two seconds.
func saw(flow int, sink trace.Sink) {
	e := trace.Entry{Flow: flow, Name: "reno", Tick: true}
	e.SRTT, e.MinRTT, e.RTT, e.RTTVar, e.RTO = 50*ms, 40*ms, 55*ms, 2*ms, 250*ms
	cwnd := 10
	for i := range 200 {
		e.At = time.Duration(i) * 10 * ms
		e.Event, e.Recovery = congestion.EventAck, congestion.RecoveryNone
		cwnd++
		switch i {
		case 80, 160:
			e.Event, e.Cause, e.Recovery = congestion.EventCongestion, congestion.CauseLoss, congestion.RecoveryFast
			cwnd /= 2
			e.Ssthresh = cwnd * 1000
		case 81, 82, 83:
			e.Recovery = congestion.RecoveryFast
		case 161, 162:
			e.Recovery = congestion.RecoveryLoss
		}
		if i == 0 {
			e.Ssthresh = congestion.SsthreshMax
		}
		e.Cwnd, e.InFlight = cwnd*1000, cwnd*900
		e.Delivered += int64(cwnd) * 1000
		e.Delivery, e.Pacing = int64(cwnd)*100_000, int64(cwnd)*120_000
		e.Queue, e.QueueDelay = cwnd*100, time.Duration(cwnd)*ms/10
		e.Limit = congestion.LimitCwnd
		sink.Put(&e)
	}
}

func TestCSV(t *testing.T) {
	var b bytes.Buffer
	c := trace.NewCSV(&b)
	saw(0, c)
	c.Put(&trace.Entry{}) // no tick
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 201 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	want := strings.Split("0.800000,45000,45000,40500,50.000,40.000,250.000,4085000,0,4500,43200000,36000000,recovery,cwnd", ",")
	if !slices.Equal(rows[81], want) {
		t.Errorf("got %v, want %v", rows[81], want)
	}
	if got := rows[1][12]; got != "slow-start" {
		t.Errorf("state %q in the beginning", got)
	}
	if err := trace.NewCSV(broken{}).Close(); err == nil {
		t.Error("an error of the writer is lost")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

// Each text of the sequence is JSON behind a record separator and before a line feed (RFC
// 7464); names and members are those of the drafts; only changes are written.
func TestQlog(t *testing.T) {
	var b bytes.Buffer
	q := trace.NewQlog(&b, trace.QlogHead{Title: "a", Flow: "0", Virtual: true})
	saw(0, q)
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	texts := strings.Split(b.String(), "\x1e")
	if texts[0] != "" {
		t.Fatalf("begins with %q", texts[0])
	}
	members := []string{"min_rtt", "smoothed_rtt", "latest_rtt", "rtt_variance", "pto_count", "congestion_window",
		"bytes_in_flight", "ssthresh", "packets_in_flight", "pacing_rate", "trigger"}
	states := ""
	updates := 0
	for i, text := range texts[1:] {
		if !strings.HasSuffix(text, "}\n") {
			t.Fatalf("text %d does not end with a line feed", i)
		}
		var v struct {
			Version string         `json:"qlog_version"`
			Format  string         `json:"qlog_format"`
			Trace   map[string]any `json:"trace"`
			Time    *float64       `json:"time"`
			Name    string         `json:"name"`
			Data    map[string]any `json:"data"`
		}
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("text %d: %v: %s", i, err, text)
		}
		if i == 0 {
			if v.Version != "0.3" || v.Format != "JSON-SEQ" || v.Trace["vantage_point"] == nil || v.Trace["common_fields"] == nil {
				t.Errorf("head %s", text)
			}
			continue
		}
		switch v.Name {
		case "recovery:metrics_updated":
			updates++
			for k := range v.Data {
				if !slices.Contains(members, k) {
					t.Errorf("member %q of %s", k, text)
				}
			}
			if updates == 1 && (v.Data["ssthresh"] != nil || v.Data["congestion_window"] != 11000.0 || v.Data["min_rtt"] != 40.0) {
				t.Errorf("the first is %s", text)
			}
			if *v.Time == 800 && (v.Data["trigger"] != "loss" || v.Data["congestion_window"] != 45000.0 || v.Data["min_rtt"] != nil) {
				t.Errorf("at the loss: %s", text)
			}
		case "recovery:congestion_state_updated":
			states += v.Data["new"].(string) + " "
		default:
			t.Errorf("event %q", v.Name)
		}
	}
	if want := "slow-start recovery avoidance recovery loss avoidance "; states != want || updates != 200 {
		t.Errorf("states %q, want %q; %d updates", states, want, updates)
	}
}

// The log of the queue is in the order of time, though departures are told ahead.
func TestMahimahi(t *testing.T) {
	var b bytes.Buffer
	n := 0
	m := trace.NewMahimahi(&b, "sim", func() (time.Duration, bool) {
		n++
		return time.Duration(n) * 5 * ms, n <= 4
	})
	m.Came(1*ms, 1500)
	m.Leaves(5*ms, 1500, 4*ms)
	m.Came(2*ms, 1000)
	m.Leaves(10*ms, 1000, 8*ms)
	m.Dropped(6*ms, 1500)
	if err := m.Close(20 * ms); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(b.String(), "# base timestamp: 0\n")
	want := "1 + 1500\n2 + 1000\n5 # 1504\n5 - 1500 4\n6 d 1 1500\n10 # 1504\n10 - 1000 8\n15 # 1504\n20 # 1504\n"
	if body != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestCapture(t *testing.T) {
	var b bytes.Buffer
	c, err := trace.NewCapture(&b, "sender", "receiver")
	if err != nil {
		t.Fatal(err)
	}
	c.Packet(1500*time.Microsecond, 0, []byte("frame"))
	c.Packet(2*ms, 1, []byte("answer"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(&b, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		data string
		at   time.Duration
	}{{"frame", 1500 * time.Microsecond}, {"answer", 2 * ms}} {
		data, info, err := r.ReadPacketData()
		if err != nil || string(data) != want.data || info.InterfaceIndex != i || info.Timestamp.UnixNano() != int64(want.at) {
			t.Errorf("packet %d: %q, %+v, %v", i, data, info, err)
		}
	}
	if _, _, err := r.ReadPacketData(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
}

// A flent file has a value a step for each flow, and its round trips.
func TestFlent(t *testing.T) {
	var b bytes.Buffer
	f := trace.NewFlent("a test", time.Unix(0, 0), 200*ms, 2)
	saw(0, f)
	saw(1, f)
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	var v struct {
		Version  int                   `json:"version"`
		X        []float64             `json:"x_values"`
		Results  map[string][]*float64 `json:"results"`
		Metadata map[string]any        `json:"metadata"`
	}
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != 4 || len(v.X) != 9 || v.X[0] != 0.2 || len(v.Results["TCP upload::2"]) != 9 || v.Metadata["NAME"] != "tcp_nup" {
		t.Fatalf("got %+v", v)
	}
	// From 0 to 200 ms come what the windows of 12 to 31 segments say.
	if got := *v.Results["TCP upload::1"][0]; got < 17.19 || got > 17.65 {
		t.Errorf("%v Mbit/s in the first step", got)
	}
	if got := *v.Results["Ping (ms) ICMP"][3]; got != 50 {
		t.Errorf("ping %v", got)
	}
}
