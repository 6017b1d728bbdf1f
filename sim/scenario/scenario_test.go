package scenario_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/scenario"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

const everything = `
title = "everything"
time = "2m"
seed = 7
seeds = 3

[link]
rate = "20mbit"
rtt = "50ms"
queue = "2bdp"
loss = 0.001
burst = "0.01:0.3"
aqm = "codel:5ms:100ms"
ecn = "aqm"
police = "18mbit:60kb"
change = ["30s:rate:5mbit", "10s:rtt:80ms"]
down = "60s:1s"

[[flow]]
cc = "reno?L=1"
count = 2
rtt = "20ms"

[[flow]] # a short one
cc = "reno"
start = "10s"
size = "10mb"
ecn = "classic"

[[cross]]
rate = "2mbit"
packet = 1000

[[cross]]
kind = "flows"
rate = "1mbit"
size = "20kb"
shape = 1.5
start = "5s"
stop = "60s"
`

func parse(text string) (*scenario.Scenario, error) {
	return scenario.Parse("file.toml", []byte(text), catalog.All().Creators())
}

func TestParse(t *testing.T) {
	s, err := parse(everything)
	if err != nil {
		t.Fatal(err)
	}
	if s.Title != "everything" || s.Seeds != 3 || s.Spec.Seed != 7 || s.Spec.Time != 2*time.Minute {
		t.Errorf("got %+v", s)
	}
	want := []sim.FlowSpec{
		{CC: "reno?L=1", RTT: 20 * time.Millisecond}, {CC: "reno?L=1", RTT: 20 * time.Millisecond},
		{CC: "reno", Start: 10 * time.Second, Octets: 10e6, ECN: tcp.ECNClassic},
	}
	if !reflect.DeepEqual(s.Spec.FlowSpecs, want) {
		t.Errorf("flows %+v, want %+v", s.Spec.FlowSpecs, want)
	}
	cross := []sim.CrossSpec{
		{Rate: 2e6, Packet: 1000},
		{Kind: sim.CrossFlows, Rate: 1e6, Size: 20e3, Shape: 1.5, Start: 5 * time.Second, Stop: time.Minute},
	}
	if !reflect.DeepEqual(s.Spec.Cross, cross) {
		t.Errorf("cross traffic %+v, want %+v", s.Spec.Cross, cross)
	}
	l := s.Spec.Link
	if l.Rate != 20e6 || l.Loss != 0.001 || l.CoDel == nil || !l.MarkECT || len(l.Changes) != 2 || l.Changes[0].RTT != 80*time.Millisecond ||
		len(l.Down) != 1 || l.Policer.Burst != 60_000 || l.Burst.Leave != 0.3 {
		t.Errorf("link %+v", l)
	}
	s.Spec.Time = 20 * time.Second
	if _, err := sim.Run(s.Spec); err != nil {
		t.Errorf("run: %v", err)
	}
}

// The least that a file needs is a link.
func TestParseLeast(t *testing.T) {
	s, err := parse("[link]\nrate = \"1mbit\"\nrtt = \"10ms\"\n")
	if err != nil || s.Title != "file.toml" || s.Seeds != 1 || s.Spec.Seed != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// What is wrong is said in a line, with the file's line and the key.
func TestParseRefuses(t *testing.T) {
	link := "[link]\nrate = \"20mbit\"\nrtt = \"50ms\"\n"
	for text, want := range map[string]string{
		"":                                              "file.toml: link: lacks rtt",
		"time = 5\n" + link:                             "file.toml:1: time: ",
		"time = \"soon\"\n" + link:                      `file.toml:1: time: "soon": want a time`,
		"seeds = -1\n" + link:                           "file.toml:1: seeds: -1 is not from 1 to 1000",
		link + "[[flow]]\ncc = \"nonesuch\"\n":          `file.toml:5: flow.0.cc: congestion control: no algorithm is called "nonesuch"`,
		link + "[[flow]]\n[[flow]]\nrtt=\"x\"\n":        `file.toml:6: flow.1.rtt: "x": want a time`,
		link + "[[flow]]\nsize = \"10\"\n":              `file.toml:5: flow.0.size: "10": want a number of octets`,
		link + "[[flow]]\necn = \"yes\"\n":              `file.toml:5: flow.0.ecn: "yes" is none of`,
		link + "[[flow]]\ncount = 5000\n":               "file.toml:5: flow.0.count: 5000 is not",
		link + "[[flow]]\ncolour = \"red\"\n":           "file.toml:5: flow.colour: unknown key; there are cc, count",
		link + "color = 1\n":                            "file.toml:4: link.color: \"1\": unknown key; want rate",
		link + "[[cross]]\nkind = \"noise\"\n":          `file.toml:5: cross.0.kind: "noise" is none of`,
		link + "[[cross]]\nkind = \"onoff\"\n":          "file.toml:4: cross.0.rate: missing",
		link + "[[cross]]\nrate = \"2\"\n":              `file.toml:5: cross.0.rate: "2": want`,
		"[link]\nrate = \"20\"\nrtt = \"1ms\"":          `file.toml:2: link.rate: "20": want a number with bit`,
		"[link]\nrate = \"20mbit\"\n":                   "file.toml:1: link: lacks rtt",
		"[link]\nrate = true\nrtt = \"1ms\"\n":          "file.toml:2: link.rate: want text or a number",
		link + "change = [\"10s:rate:5mbit\", \"x\"]\n": `file.toml:4: link.change: "x": want TIME:rate:RATE`,
		link + "aqm = \"red\"\necn = \"step:5\"\n":      "file.toml:5: link.ecn: ",
		link + "ecn = \"aqm\"\n":                        "file.toml:1: link: ecn=aqm needs",
		"[link\n":                                       "file.toml:1: ",
		link + link:                                     "file.toml:4: ",
		link + "[[flow]]\nstart = \"2h\"\n":             "file.toml: flow 0: starts at 2h0m0s",
	} {
		_, err := parse(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line that begins with %q", text, err, want)
		}
	}
}

// A trace is looked for beside the file.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "s.toml")
	for n, text := range map[string]string{name: "[link]\ntrace = \"t\"\nrtt = \"10ms\"\n", filepath.Join(dir, "t"): "1\n2\n5\n"} {
		if err := os.WriteFile(n, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := scenario.Load(name, catalog.All().Creators())
	if err != nil || len(s.Spec.Link.Trace) != 3 || s.Title != "s.toml" {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, missing := range []string{filepath.Join(dir, "none.toml"), dir} {
		if _, err := scenario.Load(missing, nil); err == nil {
			t.Errorf("%s: no error", missing)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte("[link]\nrate=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 || strings.Contains(string(text), "trace") {
			t.Skip() // it reads files
		}
		s, err := scenario.Parse("fuzz.toml", text, catalog.All().Creators())
		if err == nil && s.Spec.Check() != nil {
			t.Errorf("accepted what a run refuses: %v", s.Spec.Check())
		}
	})
}
