package study

import (
	"context"
	"fmt"

	"github.com/millrace-tcp/millrace/sim"
)

// Card is a report on one algorithm: what RFC 9743 (BCP 133) asks of a proposal, as far as
// simulation can answer. https://www.rfc-editor.org/rfc/rfc9743.html#section-5
// The RFC gives no figures. The limits here are this package's, and mostly relative to what
// Reno does in the same situation; a failed row is a question to answer, not a verdict of the IETF.
type Card struct {
	CC        string   `json:"cc"`
	Reference string   `json:"reference"`
	Seeds     int      `json:"seeds"`
	Rows      []Row    `json:"criteria"`
	Passed    int      `json:"passed"`
	Failed    int      `json:"failed"`
	NotJudged []string `json:"not_judged"` // what no simulation of ours answers
}

// Row is one criterion.
type Row struct {
	Section   string   `json:"section"` // of the RFC
	Name      string   `json:"name"`
	Situation string   `json:"situation"`
	Measure   string   `json:"measure"` // what was measured, with its unit
	Value     sim.Mean `json:"value"`
	Reference sim.Mean `json:"reference"` // what Reno did
	Wanted    string   `json:"wanted"`
	Pass      bool     `json:"pass"`
}

// notJudged is the rest of the RFC's list.
var notJudged = []string{
	"5.3.1 differences with congestion control principles: for a reader of its document",
	"5.3.2 incremental deployment: for a reader of its document",
	"6.2 tunnel behavior: the network has no tunnels",
	"7.2 circuit breakers: the network has none",
	"7.4 constrained nodes: costs are measured by benchmarks",
	"7.6 misbehaving nodes: the receiver is this stack's own",
	"7.10 multipath transport: there is one path",
}

// Card runs all criteria for an algorithm, and for Reno beside it.
func (r Runner) Card(ctx context.Context, cc string, algorithms sim.Algorithms, seed uint64, seeds int) (*Card, error) {
	const reference = "reno"
	var specs []sim.Spec
	for i := range criteria {
		for _, name := range []string{cc, reference} {
			s, err := criteria[i].spec(name)
			if err != nil {
				return nil, fmt.Errorf("study: card: section %s: %w", criteria[i].section, err)
			}
			s.Algorithms, s.Seed = algorithms, seed
			if err := s.Check(); err != nil {
				return nil, fmt.Errorf("study: card: %w", err)
			}
			specs = append(specs, Seeds(s, seeds)...)
		}
	}
	results, err := r.Run(ctx, specs)
	if err != nil {
		return nil, err
	}
	card := &Card{CC: cc, Reference: reference, Seeds: seeds, NotJudged: notJudged}
	for i := range criteria {
		of := results[2*i*seeds:]
		row := criteria[i].judge(of[:seeds], of[seeds:2*seeds])
		if row.Pass {
			card.Passed++
		} else {
			card.Failed++
		}
		card.Rows = append(card.Rows, row)
	}
	return card, nil
}

// judge holds what an algorithm did against what is wanted.
func (c *criterion) judge(own, reference []*sim.Result) Row {
	mean := func(results []*sim.Result) sim.Mean {
		var x []float64
		for _, r := range results {
			x = append(x, c.value(r))
		}
		return sim.MeanOf(x)
	}
	row := Row{
		Section: c.section, Name: c.name, Situation: c.situation, Measure: c.measure,
		Value: mean(own), Reference: mean(reference),
	}
	limit, how := c.limit, "at least"
	if c.most {
		how = "at most"
	}
	if c.relative {
		row.Wanted = fmt.Sprintf("%s %g of the reference", how, c.limit)
		limit *= row.Reference.Mean
		if c.floor > 0 {
			// What is small is good enough, however small the reference's is.
			limit = max(limit, c.floor)
			row.Wanted += fmt.Sprintf(", or %g", c.floor)
		}
	} else {
		row.Wanted = fmt.Sprintf("%s %g", how, c.limit)
	}
	if row.Pass = row.Value.Mean >= limit; c.most {
		row.Pass = row.Value.Mean <= limit
	}
	return row
}
