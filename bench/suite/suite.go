// Package suite says what is measured, and measures it: the single commands of "millrace
// bench", and the whole comparison with other stacks.
package suite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/report"
	"github.com/millrace-tcp/millrace/bench/testbed"
)

// Case is a workload on a link, and the stacks that run it.
type Case struct {
	Link     testbed.Link
	Workload bench.Workload // Time is Config.Time if 0
	Stacks   []string
	// Samples is how many messages of request-response all runs of a stack are to have together,
	// for its percentiles; runs take longer for them, if they must, but not for ever.
	Samples int64
}

// Section is cases whose links and stacks are up at the same time, and which take turns.
type Section struct {
	Name  string
	Cases []Case
}

// Config says how to measure.
type Config struct {
	Bed testbed.Config
	// Rounds is how many runs count, Time how long one is, and Warm how long one that does
	// not count is before them.
	Rounds     int
	Time, Warm time.Duration
	// Command and Version are for the report.
	Command, Version string
	// Tolerant takes a stack that cannot be brought up for one whose runs fail.
	Tolerant bool
	// Progress, if not nil, is told what is done now, and how many runs of how many are.
	Progress func(done, total int, what string)
}

// Limits of a Config.
const (
	RoundsMax = 1000
	TimeMin   = 10 * time.Millisecond
)

// Run measures sections, one after the other. Whatever happens, what it brought up is gone
// afterwards. What fails is in the report; only what spoils all of it is an error.
func Run(ctx context.Context, cfg Config, sections []Section) (*report.Report, error) {
	start := time.Now()
	r := &report.Report{
		Schema: report.Schema, Command: cfg.Command, Started: start, Machine: report.ThisMachine(cfg.Version),
		Rounds: cfg.Rounds, RunSeconds: cfg.Time.Seconds(), Rows: []report.Row{},
	}
	before, total := 0, 0
	for _, s := range sections {
		total += cfg.runs(s)
	}
	for _, s := range sections {
		err := cfg.section(ctx, r, s, before, total)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("suite: %s: %w", s.Name, err)
		}
		before += cfg.runs(s)
	}
	r.Seconds = time.Since(start).Seconds()
	return r, nil
}

// runs is how many runs a section has.
func (cfg Config) runs(s Section) (n int) {
	rounds := cfg.Rounds
	if cfg.Warm > 0 {
		rounds++
	}
	for _, c := range s.Cases {
		n += rounds * len(c.Stacks)
	}
	return n
}

// section measures one section.
func (cfg Config) section(ctx context.Context, r *report.Report, s Section, before, total int) (err error) {
	bed := testbed.New(ctx, cfg.Bed)
	defer func() { err = errors.Join(err, bed.Close()) }()
	plan := bench.Plan{Rounds: cfg.Rounds, Warm: cfg.Warm}
	if cfg.Progress != nil {
		cfg.Progress(before, total, s.Name)
		plan.Progress = func(done, _ int, t bench.Target, w bench.Workload) {
			cfg.Progress(before+done, total, fmt.Sprintf("%s: %s, %v", s.Name, t.Name, w))
		}
	}
	known := make(map[string]bench.Target)
	var experiments []bench.Experiment
	for _, c := range s.Cases {
		x := bench.Experiment{Workload: c.Workload}
		if x.Workload.Time == 0 {
			x.Workload.Time = cfg.Time
		}
		x.Workload.Count = (c.Samples + int64(cfg.Rounds) - 1) / int64(cfg.Rounds)
		for _, stack := range c.Stacks {
			key := c.Link.String() + " " + stack
			t, ok := known[key]
			if !ok {
				if t, err = cfg.target(bed, c.Link, stack); err != nil {
					return err
				}
				known[key] = t
			}
			x.Targets = append(x.Targets, t)
		}
		experiments = append(experiments, x)
	}
	all, err := plan.Compare(ctx, experiments)
	if err != nil {
		return err
	}
	for i, x := range experiments {
		r.Add(s.Cases[i].Link, x.Workload, all[i], bed.About())
	}
	return nil
}

// target brings up a stack. If that fails and may, its runs fail.
func (cfg Config) target(bed *testbed.Bed, link testbed.Link, stack string) (bench.Target, error) {
	t, err := bed.Target(link, stack)
	if err == nil || !cfg.Tolerant || errors.Is(err, fs.ErrPermission) {
		return t, err
	}
	return bench.Target{Name: stack, Run: func(context.Context, bench.Workload) (bench.Result, error) {
		return bench.Result{}, err
	}}, nil
}

// Pick returns the sections of these names, all if there are none.
func Pick(sections []Section, names []string) ([]Section, error) {
	if len(names) == 0 {
		return sections, nil
	}
	var picked []Section
	for _, name := range names {
		i := slices.IndexFunc(sections, func(s Section) bool { return s.Name == name })
		if i < 0 {
			var all []string
			for _, s := range sections {
				all = append(all, s.Name)
			}
			return nil, fmt.Errorf("there is no section %q, there are %s", name, strings.Join(all, ", "))
		}
		picked = append(picked, sections[i])
	}
	return picked, nil
}
