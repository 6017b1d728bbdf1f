package testbed

import (
	"context"
	"strings"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/usage"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// target is a stack on a link: the processes of its ends. Where one process is both ends,
// it is the client.
type target struct {
	stack          string
	server, client *process
	address, web   string
	lab            *lab.Lab
	notes          []string
	taken          *bench.Memory // before there was any connection; nil: not known yet
	// outward is set where the client is what is measured, so that what is towards the
	// stack is a download.
	outward bool
	// starts starts the client, of a stack that is up during its runs only.
	starts func() (*process, error)
	// local runs workloads in this process.
	local func(ctx context.Context, w bench.Workload) (bench.Result, error)
}

// about tells how the stack runs.
func (t *target) about() string {
	about := t.notes
	for _, p := range []*process{t.server, t.client} {
		if p != nil && p.hello.About != "" {
			about = append(about, p.hello.About)
		}
	}
	return strings.Join(about, "; ")
}

// run runs a workload and says what it used.
func (t *target) run(ctx context.Context, w bench.Workload) (bench.Result, error) {
	if t.outward && w.Way != "" {
		w.Way = map[bench.Way]bench.Way{bench.Upload: bench.Download, bench.Download: bench.Upload}[w.Way]
	}
	var r bench.Result
	var err error
	if t.starts != nil {
		if t.client, err = t.starts(); err != nil {
			return r, err
		}
		defer func() { t.client.end(); t.client = nil }()
	}
	defer t.watch(w)()
	switch w.Kind {
	case bench.Idle:
		r, err = t.idle(ctx, w)
	case bench.HTTP:
		r, err = t.measured(ctx, func() (bench.Result, error) { return t.browse(ctx, w) })
	case bench.Bulk, bench.Exact, bench.RequestResponse, bench.Connect:
		r, err = t.measured(ctx, func() (bench.Result, error) {
			if t.local != nil {
				return t.local(ctx, w)
			}
			return t.client.Run(ctx, t.address, w)
		})
	}
	return r, t.explain(ctx, err)
}

// watchMax is how much longer than its workload a run may take before its processes are
// killed: more than any end waits by itself.
const watchMax = 40 * time.Second

// watch kills the processes of a run that does not end. It returns what ends the watch.
func (t *target) watch(w bench.Workload) (stop func()) {
	timer := time.AfterFunc(w.Longest()+watchMax, func() {
		for _, p := range []*process{t.client, t.server} {
			if p != nil {
				_ = p.cmd.Process.Kill()
			}
		}
	})
	return func() { timer.Stop() }
}

// explain adds what the processes said.
func (t *target) explain(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, p := range []*process{t.server, t.client} {
		if p != nil {
			err = p.explain(err)
		}
	}
	return err
}

// reading is what had been used at a moment.
type reading struct {
	machine        usage.Machine
	server, client usage.Process
}

// read reads what has been used so far.
func (t *target) read(ctx context.Context) (r reading, err error) {
	if t.server != nil {
		if r.server, err = t.server.Usage(ctx, false); err != nil {
			return r, err
		}
	}
	if t.local != nil {
		r.client, err = usage.Self(false)
	} else {
		r.client, err = t.client.Usage(ctx, false)
	}
	if err == nil {
		r.machine, err = usage.ReadMachine()
	}
	return r, err
}

// since is what was used since an earlier reading.
func (r reading) since(from reading) bench.CPU {
	return bench.CPU{
		Machine: r.machine.Sub(from.machine),
		Server:  r.server.Sub(from.server), Client: r.client.Sub(from.client),
	}
}

// measured runs f between two readings.
func (t *target) measured(ctx context.Context, f func() (bench.Result, error)) (bench.Result, error) {
	before, err := t.read(ctx)
	if err != nil {
		return bench.Result{}, err
	}
	r, err := f()
	if err != nil {
		return r, err
	}
	after, err := t.read(ctx)
	r.CPU = after.since(before)
	return r, err
}
