// Package scenario reads simulations from files in TOML: a link, the flows over it, what else
// uses it. What is wrong with a file is said with its line and key.
package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// Scenario is a simulation as a file describes it.
type Scenario struct {
	Title string
	Seeds int // how many, from the Spec's seed on
	Spec  sim.Spec
}

// Limits of a file.
const (
	sizeMax  = 1 << 20
	SeedsMax = 1000
)

// file is the form of the file. What is text here is read by package sim.
type file struct {
	Title string         `toml:"title"`
	Time  string         `toml:"time"`
	Seed  uint64         `toml:"seed"`
	Seeds int            `toml:"seeds"`
	Link  map[string]any `toml:"link"`
	Flow  []flow         `toml:"flow"`
	Cross []cross        `toml:"cross"`
}

type flow struct {
	CC    string `toml:"cc"`
	Count int    `toml:"count"`
	Start string `toml:"start"`
	RTT   string `toml:"rtt"`
	Size  string `toml:"size"`
	ECN   string `toml:"ecn"`
}

type cross struct {
	Kind   string  `toml:"kind"`
	Rate   string  `toml:"rate"`
	Packet int     `toml:"packet"`
	Start  string  `toml:"start"`
	Stop   string  `toml:"stop"`
	On     string  `toml:"on"`
	Off    string  `toml:"off"`
	Size   string  `toml:"size"`
	Shape  float64 `toml:"shape"`
	CC     string  `toml:"cc"`
}

// Load reads a file. Traces that it names are looked for beside it. Algorithms is what flows
// may name.
func Load(name string, algorithms sim.Algorithms) (*Scenario, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && (info.IsDir() || info.Size() > sizeMax) {
		return nil, fmt.Errorf("scenario: read %s: %w", name, fs.ErrInvalid)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return Parse(name, text, algorithms)
}

// Parse reads the text of a file of that name.
func Parse(name string, text []byte, algorithms sim.Algorithms) (*Scenario, error) {
	r := reader{name: name}
	var raw file
	if err := r.decode(text, &raw); err != nil {
		return nil, err
	}
	s := &Scenario{Title: raw.Title, Seeds: max(1, raw.Seeds), Spec: sim.Spec{Seed: raw.Seed, Algorithms: algorithms}}
	if s.Title == "" {
		s.Title = filepath.Base(name)
	}
	if s.Spec.Seed == 0 {
		s.Spec.Seed = 1
	}
	if raw.Seeds < 0 || raw.Seeds > SeedsMax {
		r.fail("seeds", "%d is not from 1 to %d", raw.Seeds, SeedsMax)
	}
	s.Spec.Time = r.duration("time", raw.Time)
	r.link(&s.Spec.Link, raw.Link)
	for i := range raw.Flow {
		s.Spec.FlowSpecs = append(s.Spec.FlowSpecs, r.flow(i, &raw.Flow[i], algorithms)...)
	}
	for i := range raw.Cross {
		s.Spec.Cross = append(s.Spec.Cross, r.cross(i, &raw.Cross[i]))
	}
	if r.err == nil && len(s.Spec.FlowSpecs) > sim.FlowsMax {
		r.fail("flow", "%d flows are more than %d", len(s.Spec.FlowSpecs), sim.FlowsMax)
	}
	if r.err == nil {
		if err := s.Spec.Check(); err != nil {
			r.err = fmt.Errorf("%s: %w", name, err)
		}
	}
	return s, r.err
}

// decode reads TOML and remembers where each key stands.
func (r *reader) decode(text []byte, raw *file) error {
	d := toml.NewDecoder(newBytes(text)).DisallowUnknownFields()
	err := d.Decode(raw)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		wrong = &unknown.Errors[0]
		line, _ := wrong.Position()
		return fmt.Errorf("%s:%d: %s: unknown key%s", r.name, line, dotted(wrong.Key()), suggestions(wrong.Key()))
	case errors.As(err, &wrong):
		line, _ := wrong.Position()
		key := ""
		if k := wrong.Key(); len(k) > 0 {
			key = dotted(k) + ": "
		}
		return fmt.Errorf("%s:%d: %s%s", r.name, line, key, plain(wrong.Error()))
	case err != nil:
		return fmt.Errorf("%s: %w", r.name, err)
	}
	r.lines = linesOf(text)
	return nil
}

// link reads the keys of the link: those of --link, where change and down may be lists.
func (r *reader) link(l *sim.LinkSpec, table map[string]any) {
	keys := make([]string, 0, len(table))
	for k := range table {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		for _, v := range listOf(table[k]) {
			text, ok := textOf(v)
			if !ok {
				r.fail("link."+k, "want text or a number")
				return
			}
			if k == "trace" && !filepath.IsAbs(text) {
				text = filepath.Join(filepath.Dir(r.name), text)
			}
			if err := l.Set(k, text); err != nil {
				r.fail("link."+k, "%q: %w", text, err)
				return
			}
		}
	}
	if table["rtt"] == nil {
		r.fail("link", "lacks rtt, such as rtt = \"50ms\"")
	}
	if err := l.Check(); err != nil {
		r.fail("link", "%w", err)
	}
}

// ecnModes are the words for what a flow asks of ECN.
var ecnModes = map[string]tcp.ECNMode{
	"": tcp.ECNPassive, "off": tcp.ECNOff, "classic": tcp.ECNClassic, "accurate": tcp.ECNAccurate,
}

func (r *reader) flow(i int, f *flow, algorithms sim.Algorithms) []sim.FlowSpec {
	at := fmt.Sprintf("flow.%d.", i)
	spec := sim.FlowSpec{
		CC: f.CC, Start: r.duration(at+"start", f.Start), RTT: r.duration(at+"rtt", f.RTT), Octets: r.octets(at+"size", f.Size),
	}
	if f.CC != "" {
		if err := algorithms.Check(f.CC); err != nil {
			r.fail(at+"cc", "%w", err)
		}
	}
	mode, ok := ecnModes[f.ECN]
	if spec.ECN = mode; !ok {
		r.fail(at+"ecn", "%q is none of off, classic and accurate", f.ECN)
	}
	if f.Count < 0 || f.Count > sim.FlowsMax {
		r.fail(at+"count", "%d is not from 1 to %d", f.Count, sim.FlowsMax)
		return nil
	}
	return slices.Repeat([]sim.FlowSpec{spec}, max(1, f.Count))
}

// crossKinds are the words for the kinds of cross traffic.
var crossKinds = map[string]sim.CrossKind{
	"": sim.CrossConstant, "constant": sim.CrossConstant, "onoff": sim.CrossOnOff, "flows": sim.CrossFlows,
}

func (r *reader) cross(i int, c *cross) sim.CrossSpec {
	at := fmt.Sprintf("cross.%d.", i)
	kind, ok := crossKinds[c.Kind]
	if !ok {
		r.fail(at+"kind", "%q is none of constant, onoff and flows", c.Kind)
	}
	spec := sim.CrossSpec{
		Kind: kind, Packet: c.Packet, Shape: c.Shape, CC: c.CC,
		Start: r.duration(at+"start", c.Start), Stop: r.duration(at+"stop", c.Stop),
		On: r.duration(at+"on", c.On), Off: r.duration(at+"off", c.Off), Size: r.octets(at+"size", c.Size),
	}
	if c.Rate == "" {
		r.fail(at+"rate", "missing, such as rate = \"2mbit\"")
		return spec
	}
	rate, err := sim.ParseRate(c.Rate)
	if spec.Rate = rate; err != nil {
		r.fail(at+"rate", "%q: %w", c.Rate, err)
	}
	return spec
}

// duration reads a time; "" is 0.
func (r *reader) duration(key, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > sim.TimeMax {
		r.fail(key, "%q: want a time such as 50ms or 2m, at most %v", text, sim.TimeMax)
	}
	return d
}

// octets reads a size; "" is 0.
func (r *reader) octets(key, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := sim.ParseOctets(text)
	if err != nil {
		r.fail(key, "%q: %w", text, err)
	}
	return int64(n)
}
