package study_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/sim"
	"github.com/millrace-tcp/millrace/sim/study"
)

func spec(t *testing.T, link string) sim.Spec {
	t.Helper()
	l, err := sim.ParseLink(link)
	if err != nil {
		t.Fatal(err)
	}
	return sim.Spec{Link: l, Algorithms: catalog.All().Creators(), Time: 10 * time.Second, Seed: 1}
}

// Results come in the order of what was asked for, whatever goroutine made them, and are the
// same each time.
func TestRunKeepsOrder(t *testing.T) {
	specs := study.Seeds(spec(t, sim.LinkDefault), 6)
	last := 0
	many := study.Runner{Workers: 4, Progress: func(done, total int) {
		if last++; done != last || total != 6 {
			t.Errorf("progress %d of %d, want %d of 6", done, total, last)
		}
	}}
	got, err := many.Run(t.Context(), specs)
	if err != nil {
		t.Fatal(err)
	}
	want, err := study.Runner{Workers: 1}.Run(t.Context(), specs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Seed != uint64(i+1) || got[i].Digest != want[i].Digest {
			t.Errorf("run %d: seed %d, digest %s, want %s", i, got[i].Seed, got[i].Digest, want[i].Digest)
		}
	}
	if slices.ContainsFunc(got[1:], func(r *sim.Result) bool { return r.Digest == got[0].Digest }) {
		t.Error("two seeds, one digest")
	}
}

// The context ends the runs with its cause, and so does a mistake.
func TestRunStops(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := (study.Runner{}).Run(ctx, study.Seeds(spec(t, sim.LinkDefault), 3)); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
	bad := spec(t, sim.LinkDefault)
	bad.CC = []string{"nonesuch"}
	if _, err := (study.Runner{}).Run(t.Context(), []sim.Spec{bad}); err == nil {
		t.Error("no error for an algorithm that is not there")
	}
}

// Each algorithm runs alone over the link, with each seed.
func TestCompare(t *testing.T) {
	s := spec(t, "rate=10mbit,rtt=40ms,queue=2bdp")
	s.Time = 30 * time.Second
	s.Flows = 2
	c, err := study.Runner{}.Compare(t.Context(), s, []string{"reno", "reno?L=1"}, 3)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Algorithms) != 2 || c.Seeds != 3 || c.TimeS != 30 {
		t.Fatalf("got %+v", c)
	}
	for i, cc := range []string{"reno", "reno?L=1"} {
		a := c.Algorithms[i]
		if a.CC != cc || len(a.Seeds) != 3 || a.Utilization.Mean < 0.9 || a.Delay.Mean < 20 || a.Delay.Mean > 90 || len(a.Flows) != 2 {
			t.Errorf("%s: got %+v", cc, a)
		}
	}
	if _, err := (study.Runner{}).Compare(t.Context(), s, []string{"nonesuch"}, 1); err == nil {
		t.Error("no error for an algorithm that is not there")
	}
}

// Reno passes its own card, and every row was measured.
func TestCard(t *testing.T) {
	if testing.Short() {
		t.Skip("runs some twenty simulations")
	}
	card, err := study.Runner{}.Card(t.Context(), "reno", catalog.All().Creators(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range card.Rows {
		t.Logf("%-6s %-38s %-42s %8.2f (reference %8.2f) %-30s %s, pass %v", r.Section, r.Name, r.Situation,
			r.Value.Mean, r.Reference.Mean, r.Measure, r.Wanted, r.Pass)
		if !r.Pass || r.Value.Mean <= 0 || r.Value != r.Reference {
			t.Errorf("section %s, %s: %+v", r.Section, r.Situation, r)
		}
	}
	if card.Passed != len(card.Rows) || card.Failed != 0 || len(card.NotJudged) == 0 {
		t.Errorf("%d passed, %d failed of %d", card.Passed, card.Failed, len(card.Rows))
	}
}
