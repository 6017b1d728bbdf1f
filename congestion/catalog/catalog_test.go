package catalog_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/congestion/congestiontest"
)

// grown returns how many segments one large ACK adds in slow start.
func grown(m catalog.Maker) int {
	f := &congestion.Flow{MSS: 1000, IW: 10_000}
	f.SetCwnd(10_000)
	f.SetSsthresh(congestion.SsthreshMax)
	a := m()
	a.Init(f, 0)
	a.OnAck(f, &congestion.Ack{Acked: 9000, CumAcked: 9000, CwndLimited: true})
	return (f.Cwnd() - 10_000) / 1000
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		spec, name string
		adds       int
	}{
		{"", catalog.Default, 8},
		{"reno", "reno", 2},
		{"reno?", "reno", 2},
		{"reno?L=1", "reno", 1},
		{"reno?L=8", "reno", 8},
		{"cubic", "cubic", 8},
		{"cubic?hystart=off&beta=0.5", "cubic", 2},
	} {
		name, m, err := catalog.All().Parse(tt.spec)
		if err != nil || name != tt.name {
			t.Errorf("%q: got %q, %v, want %q", tt.spec, name, err, tt.name)
			continue
		}
		if got := grown(m); got != tt.adds {
			t.Errorf("%q: one ACK adds %d segments, want %d", tt.spec, got, tt.adds)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	names := strings.Join(catalog.All().Names(), ", ")
	for spec, want := range map[string]string{
		"bic":          `there is no "bic", there is ` + names,
		"?L=1":         `there is no "", there is ` + names,
		"reno?x=1":     `reno: there is no option "x", there is L`,
		"reno?L":       `reno: "L" is not an option such as key=value`,
		"reno?L=":      `reno: "L=" is not an option such as key=value`,
		"reno?L=1&":    `reno: "" is not an option such as key=value`,
		"reno?L=1&L=2": `reno: option "L" is given twice`,
		"reno?L=0":     `reno: L=0 is not a whole number from 1 to 64`,
		"reno?L=two":   `reno: L=two is not a whole number from 1 to 64`,

		"cubic?beta=1":               `cubic: beta=1 is not a number from 0.1 to 0.95`,
		"cubic?hystart=yes&c=much":   `cubic: c=much is not a number from 0.001 to 100`,
		"cubic?fastconvergence=true": `cubic: fastconvergence=true is neither on nor off`,
	} {
		if _, m, err := catalog.All().Parse(spec); err == nil || err.Error() != want || m != nil {
			t.Errorf("%q: got %v, want %s", spec, err, want)
		}
	}
}

// Who has an algorithm of their own puts it into a table beside ours.
func TestTablesAreValues(t *testing.T) {
	mine := append(catalog.All(), catalog.Entry{
		Name: "mine", New: func(catalog.Values) (catalog.Maker, error) { return catalog.All()[0].New(nil) },
	})
	if _, m, err := mine.Parse("mine"); err != nil || m() == nil {
		t.Errorf("got %v", err)
	}
	if _, _, err := mine.Parse("mine?k=v"); err == nil || !strings.Contains(err.Error(), "it takes none") {
		t.Errorf("got %v, want an error that says there are no options", err)
	}
	if _, _, err := catalog.All().Parse("mine"); err == nil {
		t.Error("one's table is another's")
	}
}

// Each algorithm says what it is, can be made without options, and makes a new one each time.
func TestAll(t *testing.T) {
	all := catalog.All()
	if all[0].Name != catalog.Default {
		t.Errorf("the first is %q, want the default, %q", all[0].Name, catalog.Default)
	}
	creators := all.Creators()
	for _, e := range all {
		_, m, err := all.Parse(e.Name)
		if err != nil || e.About == "" {
			t.Errorf("%s: %v, about %q", e.Name, err, e.About)
			continue
		}
		if m() == m() {
			t.Errorf("%s: two connections share one", e.Name)
		}
		if a, err := creators[e.Name](""); err != nil || a == nil {
			t.Errorf("%s: creator: %v", e.Name, err)
		}
		if _, err := creators[e.Name]("nonesuch=1"); err == nil {
			t.Errorf("%s: the creator takes an unknown option", e.Name)
		}
		for _, o := range e.Options {
			if _, _, err := all.Parse(e.Name + "?" + o.Name + "=" + o.Default); err != nil {
				t.Errorf("%s does not take its own default: %v", e.Name, err)
			}
		}
	}
}

// What has a name passes what every algorithm must.
func TestConformance(t *testing.T) {
	for _, e := range catalog.All() {
		m, err := e.New(nil)
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		t.Run(e.Name, func(t *testing.T) { congestiontest.Run(t, m) })
	}
}

func TestValues(t *testing.T) {
	v := catalog.Values{"f": "0.5", "nan": "NaN", "on": "on", "off": "off", "d": "5ms", "w": "b"}
	if x, err := v.Float("f", 1, 0, 1); x != 0.5 || err != nil {
		t.Errorf("Float: %v, %v", x, err)
	}
	if x, err := v.Float("none", 0.25, 0, 1); x != 0.25 || err != nil {
		t.Errorf("Float by default: %v, %v", x, err)
	}
	if _, err := v.Float("nan", 0, math.Inf(-1), math.Inf(1)); err == nil {
		t.Error("Float takes NaN")
	}
	for key, want := range map[string]bool{"on": true, "off": false, "none": true} {
		if b, err := v.Bool(key, true); b != want || err != nil {
			t.Errorf("Bool %s: %v, %v", key, b, err)
		}
	}
	if _, err := v.Bool("f", true); err == nil {
		t.Error("Bool takes 0.5")
	}
	if d, err := v.Duration("d", 0, 0, time.Second); d != 5*time.Millisecond || err != nil {
		t.Errorf("Duration: %v, %v", d, err)
	}
	if _, err := v.Duration("d", 0, 0, time.Millisecond); err == nil {
		t.Error("Duration takes more than the most")
	}
	if w, err := v.Word("w", "a", "b"); w != "b" || err != nil {
		t.Errorf("Word: %v, %v", w, err)
	}
	if w, err := v.Word("none", "a", "b"); w != "a" || err != nil {
		t.Errorf("Word by default: %v, %v", w, err)
	}
	if _, err := v.Word("on", "a", "b"); err == nil {
		t.Error("Word takes any")
	}
}
