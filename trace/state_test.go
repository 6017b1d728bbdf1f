package trace_test

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/trace"
)

// table returns the rows of what put writes.
func table(t *testing.T, put func(c *trace.CSV)) [][]string {
	t.Helper()
	var b bytes.Buffer
	c := trace.NewCSV(&b)
	put(c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func tick(cwnd int, values ...congestion.Value) *trace.Entry {
	return &trace.Entry{Tick: true, Row: trace.Row{Cwnd: cwnd}, Values: values}
}

// A table has a column for each value that the algorithm shows when the flow opens, also of the
// time before, and of another algorithm those of the same name.
func TestCSVValues(t *testing.T) {
	rows := table(t, func(c *trace.CSV) {
		c.Put(tick(0))
		c.Put(tick(1000, congestion.Value{Name: "bw", Number: 0.25}, congestion.Value{Name: "state", Text: `up, "fast"`}))
		c.Put(tick(2000, congestion.Value{Name: "other", Number: 7}, congestion.Value{Name: "bw", Number: 12345678}))
		c.Put(tick(3000))
	})
	var got []string
	for _, r := range rows {
		got = append(got, strings.Join(r[len(r)-2:], "|"))
	}
	if want := []string{"cc_bw|cc_state", "|", `0.25|up, "fast"`, "12345678|", "|"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A flow that never opens has a table all the same, and so has one that opens late.
func TestCSVWaits(t *testing.T) {
	if rows := table(t, func(c *trace.CSV) { c.Put(tick(0)) }); len(rows) != 2 || rows[0][0] != "t" {
		t.Errorf("got %q", rows)
	}
	const many = 40_000 // more than waits
	rows := table(t, func(c *trace.CSV) {
		for range many {
			c.Put(tick(0))
		}
		c.Put(tick(1000, congestion.Value{Name: "bw"}))
	})
	if len(rows) != many+2 {
		t.Errorf("%d rows, want %d", len(rows), many+2)
	}
}

// shy shows one value, until it panics.
type shy struct {
	congestion.Algorithm
	panics bool
}

func (s *shy) Inspect(v []congestion.Value) []congestion.Value {
	if s.panics {
		panic("not now")
	}
	return append(v, congestion.Value{Name: "mood", Number: 3})
}

// keeper keeps what the values of ticks are.
type keeper struct{ values []string }

func (k *keeper) Put(e *trace.Entry) {
	if e.Tick && len(e.Values) == 1 {
		k.values = append(k.values, e.Values[0].Name)
	}
}

// The ticks of a recorder have the values of the algorithm, and an algorithm that panics when it
// is asked harms nobody.
func TestRecorderAsks(t *testing.T) {
	k, alg := new(keeper), new(shy)
	r := trace.NewRecorder(k, 0, 0, time.Second)
	for i := range 4 {
		alg.panics = i > 1
		r.Record(&congestion.Record{
			Now: mono.Time(0).Add(time.Duration(i) * time.Second), Event: congestion.EventAck,
			Flow: new(congestion.Flow), Ack: new(congestion.Ack), Algorithm: alg,
		})
	}
	if want := []string{"mood", "mood", "mood", "mood"}; !slices.Equal(k.values, want) { // the last that is known
		t.Errorf("got %q, want %q", k.values, want)
	}
}

// The page has a plot for each value that is a number, with a line for each flow that has it.
func TestPageStates(t *testing.T) {
	p := trace.NewPage("states", time.Second)
	for flow := range 2 {
		for i := range 5 {
			e := tick(1000, congestion.Value{Name: "w_<max>", Number: float64(i)}, congestion.Value{Name: "phase", Text: "up"})
			e.Flow, e.At = flow, time.Duration(i)*100*time.Millisecond
			p.Put(e)
		}
	}
	_, text := writePage(t, p)
	if n := strings.Count(text, `aria-label="State: w_&lt;max&gt;"`); n != 1 {
		t.Errorf("%d plots of the value, want one", n)
	}
	if strings.Contains(text, "State: phase") {
		t.Error("a word is plotted")
	}
}
