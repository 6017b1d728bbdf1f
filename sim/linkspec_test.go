package sim

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseLink(t *testing.T) {
	for _, c := range []struct {
		text string
		want LinkSpec
	}{
		{"rate=20mbit,rtt=50ms", LinkSpec{Rate: 20e6, RTT: 50 * time.Millisecond}},
		{"rate=1.5gbit, rtt=0, queue=2bdp", LinkSpec{Rate: 1.5e9, Queue: QueueSpec{BDP: 2}}},
		{"rate=64kbit,rtt=1s,queue=100ms", LinkSpec{Rate: 64e3, RTT: time.Second, Queue: QueueSpec{Time: 100 * time.Millisecond}}},
		{"rate=9600bit,rtt=1s,queue=30kb", LinkSpec{Rate: 9600, RTT: time.Second, Queue: QueueSpec{Octets: 30000}}},
		{
			"rate=1mbit,rtt=1ms,queue=50pkt,loss=0.01,reorder=2%,dup=0.03,corrupt=0.004,jitter=3ms,ecn=ce-threshold:1ms",
			LinkSpec{
				Rate: 1e6, RTT: time.Millisecond, Queue: QueueSpec{Packets: 50}, Loss: 0.01, Reorder: 0.02,
				Duplicate: 0.03, Corrupt: 0.004, Jitter: 3 * time.Millisecond, CEThreshold: time.Millisecond,
			},
		},
		{"rate=1mbit,rtt=1ms,jitter=0", LinkSpec{Rate: 1e6, RTT: time.Millisecond, Jitter: -1}},
	} {
		got, err := ParseLink(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.text, got, c.want)
		}
	}
}

// A wrong description is refused by a message that names what is wrong.
func TestParseLinkRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "key=value",
		"rate":                               "key=value",
		"rate=20mbit":                        "lacks rtt",
		"rtt=50ms":                           "lacks rate",
		"rate=20mbit,rate=1mbit,rtt=1ms":     "given twice",
		"rate=20,rtt=1ms":                    "mbit",
		"rate=NaNmbit,rtt=1ms":               "1bit",
		"rate=-1mbit,rtt=1ms":                "1bit",
		"rate=20mbit,rtt=50":                 "50ms",
		"rate=20mbit,rtt=-1ms":               "50ms",
		"rate=20mbit,rtt=1ms,queue=7":        "bdp, ms, kb or pkt",
		"rate=20mbit,rtt=1ms,queue=0bdp":     "above 0",
		"rate=20mbit,rtt=1ms,queue=1mb":      "bdp, ms, kb or pkt",
		"rate=20mbit,rtt=1ms,loss=1.1":       "probability",
		"rate=20mbit,rtt=1ms,loss=NaN":       "probability",
		"rate=20mbit,rtt=1ms,los=0.1":        "unknown key",
		"rate=20mbit,rtt=1ms,ecn=yes":        "ce-threshold",
		"trace=/does/not/exist,rtt=1ms":      "no such file",
		"rate=1mbit,rtt=1ms,jitter=whatever": "50ms",
		"rate=1mbit,rtt=1ms,aqm=pie:0":       "above 0",
		"rate=1mbit,rtt=1ms,aqm=fq_codel:5":  "50ms",
		"rate=1mbit,rtt=1ms,aqm=cake":        "want codel",
		"rate=1mbit,rtt=1ms,ecn=aqm":         "needs aqm",
	} {
		_, err := ParseLink(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line with %q", text, err, want)
		}
	}
}

// TestTraceRate: a link that may send at the times of a file carries what it allows.
func TestTraceRate(t *testing.T) {
	name := filepath.Join(t.TempDir(), "link")
	if err := os.WriteFile(name, []byte("# 3 packets in 4 ms: 9 Mbit/s\n1\n1\n4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := mustLink(t, "trace="+name+",rtt=20ms,queue=2bdp")
	within(t, "mean rate", l.rate(), 8.9e6, 9.1e6)
	r := mustRun(t, Spec{Link: l, Time: time.Minute, Seed: 1})
	within(t, "utilization", r.Link.Utilization, 0.95, 1.001)

	for _, text := range []string{"", "x\n", "5\n4\n", "0\n0\n", "-1\n"} {
		if _, err := parseTrace(strings.NewReader(text)); err == nil {
			t.Errorf("trace %q: no error", text)
		}
	}
}

// Managers of queues have their defaults, or what is given.
func TestParseAQM(t *testing.T) {
	l := mustLink(t, "rate=1mbit,rtt=1ms,aqm=fq_codel:3ms")
	if !l.Fair || l.CoDel.Target != 3*time.Millisecond || l.CoDel.Interval != 100*time.Millisecond {
		t.Errorf("fq_codel:3ms: %+v", l.CoDel)
	}
	for text, want := range map[string]time.Duration{"pie": 15 * time.Millisecond, "pie:2ms": 2 * time.Millisecond} {
		if l := mustLink(t, "rate=1mbit,rtt=1ms,aqm="+text); l.PIE == nil || l.PIE.Target != want || l.Fair {
			t.Errorf("%s: %+v", text, l.PIE)
		}
	}
	l.PIE = &PIE{Target: 1}
	if err := l.Check(); err == nil {
		t.Error("a queue with two managers is none")
	}
}

// Over a way back of 100 kbit/s an ACK of 52 octets takes 4.2 ms: no more than 240 of them pass a second, of
// the 830 that 20 Mbit/s bring about, and so the window grows by what each of them acknowledges.
func TestWayBack(t *testing.T) {
	l := mustLink(t, "rate=20mbit,rtt=50ms,queue=1bdp,back=100kbit:20pkt")
	if _, back := l.paths(); back.Rate != 100e3 || back.QueuePackets != 20 {
		t.Errorf("the way back is %+v", back)
	}
	slow := mustRun(t, Spec{Link: l, Time: 30 * time.Second, Seed: 1})
	if slow.Link.BackDrops == 0 {
		t.Error("no ACK was dropped")
	}
	within(t, "utilization", slow.Link.Utilization, 0.7, 1.001)
	// Twenty ACKs wait for 83 ms.
	within(t, "p95 of the round trip in ms", slow.Flows[0].RTTMillis.P95, 125, 260)
	l.Back = BackSpec{}
	if r := mustRun(t, Spec{Link: l, Time: 30 * time.Second, Seed: 1}); r.Link.BackDrops != 0 || r.Flows[0].RTTMillis.P95 > 120 {
		t.Errorf("without a limit: %+v", r)
	}
	l = mustLink(t, "rate=20mbit,rtt=50ms,back=1mbit")
	if _, back := l.paths(); back.QueueOctets != 6250 {
		t.Errorf("a queue of %d octets, want one BDP, 6250", back.QueueOctets)
	}
	if _, err := ParseLink("rate=1mbit,rtt=1ms,back=1mbit:1"); err == nil {
		t.Error("a queue without a unit is taken")
	}
}

// Data that comes in bunches has ACKs come in bunches, and is carried all the same.
func TestAggregatedData(t *testing.T) {
	r := mustRun(t, Spec{Link: mustLink(t, "rate=20mbit,rtt=20ms,queue=2bdp,agg=8ms"), Time: 20 * time.Second, Seed: 1})
	within(t, "utilization", r.Link.Utilization, 0.95, 1.001)
	within(t, "least round trip in ms", r.Flows[0].RTTMillis.Min, 20, 30)
}

// Queues are given in four units, and mean the same.
func TestQueueUnits(t *testing.T) {
	for _, queue := range []string{"1bdp", "50ms", "125kb"} {
		l := mustLink(t, "rate=20mbit,rtt=50ms,queue="+queue)
		there, _ := l.paths()
		if there.QueueOctets != 125_000 {
			t.Errorf("%s: %d octets, want 125000", queue, there.QueueOctets)
		}
	}
	l := mustLink(t, "rate=20mbit,rtt=50ms,queue=83pkt")
	if there, _ := l.paths(); there.QueuePackets != 83 || there.QueueOctets != 0 {
		t.Errorf("83pkt: %+v", there)
	}
	l = mustLink(t, "rate=64kbit,rtt=10ms,queue=1bdp")
	if there, _ := l.paths(); there.QueueOctets != MTU {
		t.Errorf("80 octets: a queue of %d, want %d", there.QueueOctets, MTU)
	}
}
