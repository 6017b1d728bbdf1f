// Package demo shows what millrace does on a machine without a NIC to spare: it makes a veth
// pair between two network namespaces, opens millrace on one end and talks to it with the
// kernel's TCP from the other, beside the kernel talking to itself.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/congestion/catalog"
)

const (
	// TimeDefault is how long the demo measures. With the content check and the set-up it
	// ends within 40 s, on two slow cores too, and with a build before it within two minutes.
	TimeDefault = 23 * time.Second
	// ExactDefault is how many octets are checked each way.
	ExactDefault = 256 << 20
	// rounds is how often each measurement is taken: enough for a median.
	rounds = 3
)

// Config says how to run the demo. Client must be set.
type Config struct {
	// Client is the command line of a program that runs a bench.Agent on its standard input
	// and output. It is started in the namespaces.
	Client []string
	// Time is how long to measure, TimeDefault if 0.
	Time time.Duration
	// Exact is how many octets to check each way, ExactDefault if 0.
	Exact int64
	// Progress, if not nil, is told what is done now.
	Progress func(what string)
	// Log is slog.Default if nil.
	Log *slog.Logger
}

// ErrPrivilege is what Run wraps when it may not do what it has to.
var ErrPrivilege = errors.New("takes root, to make network namespaces and to load an XDP program")

// workloads are the rows of the table, for time in all.
func workloads(runs int, total time.Duration) []bench.Workload {
	rows := []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload},
		{Kind: bench.Bulk, Way: bench.Download},
		{Kind: bench.RequestResponse, Size: 1},
		{Kind: bench.RequestResponse, Size: 1024},
		{Kind: bench.Connect, Size: 1},
	}
	for i := range rows {
		rows[i].Time = total / time.Duration(runs*len(rows))
	}
	return rows
}

// Run runs the demo and returns what it found. Whatever happens, the namespaces are gone
// afterwards. A context that ends, ends the demo.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Time == 0 {
		cfg.Time = TimeDefault
	}
	if cfg.Exact == 0 {
		cfg.Exact = ExactDefault
	}
	if cfg.Progress == nil {
		cfg.Progress = func(string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	start := time.Now()
	cfg.Progress("making two namespaces and a veth pair")
	s, err := open(ctx, cfg)
	if err == nil {
		var r *Report
		if r, err = s.run(ctx, cfg); err == nil {
			r.Seconds = time.Since(start).Seconds()
			return r, s.close()
		}
	}
	cerr := s.close()
	switch {
	case ctx.Err() != nil:
		return nil, errors.Join(context.Cause(ctx), cerr)
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return nil, fmt.Errorf("demo: %w", ErrPrivilege)
	}
	return nil, fmt.Errorf("demo: %w", errors.Join(err, cerr))
}

// run checks and measures.
func (s *site) run(ctx context.Context, cfg Config) (*Report, error) {
	r := s.describe()
	for _, way := range []bench.Way{bench.Upload, bench.Download} {
		w := bench.Workload{Kind: bench.Exact, Way: way, Octets: cfg.Exact}
		cfg.Progress(fmt.Sprintf("checking the content of %d MiB, %s", cfg.Exact>>20, wayOf(w)))
		result, err := s.millrace.Run(ctx, w)
		if err != nil {
			return nil, err
		}
		r.Checks = append(r.Checks, Check{
			Way: wayOf(w), Octets: result.Octets, SHA256: result.SHA256, OK: true,
			BitsPerSecond: result.BitsPerSecond(),
		})
	}
	targets := []bench.Target{s.millrace, s.kernel, s.kernelXDP}
	rows := workloads(rounds*len(targets), cfg.Time)
	plan := bench.Plan{Rounds: rounds, Progress: func(done, total int, t bench.Target, w bench.Workload) {
		cfg.Progress(fmt.Sprintf("measuring %d of %d: %s, %s", done+1, total, titleOf(w), t.Name))
	}}
	var experiments []bench.Experiment
	for _, w := range rows {
		experiments = append(experiments, bench.Experiment{Workload: w, Targets: targets})
	}
	all, err := plan.Compare(ctx, experiments)
	if err != nil {
		return nil, err
	}
	for i, w := range rows {
		var sums []bench.Summary
		for _, runs := range all[i] {
			if runs.Failure != nil {
				return nil, fmt.Errorf("%s: %v: %w", runs.Target, w, runs.Failure)
			}
			sums = append(sums, runs.Summary())
		}
		r.Rows = append(r.Rows, rowsOf(w, sums)...)
	}
	s.count(r)
	if r.Counters.XDP["redirected"] == 0 {
		return nil, errors.New("no segment came through AF_XDP")
	}
	return r, nil
}

// describe begins the report with where it was measured.
func (s *site) describe() *Report {
	info := s.nic.Info()
	r := &Report{
		Interface: info.Name, Driver: info.Driver, XDP: info.Attached, AFXDP: "copy",
		MTU: info.MTU, Queues: len(info.ZeroCopy), Notes: append([]string{}, info.Notes...),
		CC: catalog.Default, KernelCC: s.kernelCC, Kernel: s.release, CPUs: runtime.NumCPU(),
	}
	for _, zc := range info.ZeroCopy {
		if zc {
			r.AFXDP = "zero-copy"
		}
	}
	return r
}
