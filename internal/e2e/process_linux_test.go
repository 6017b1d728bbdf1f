package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// patience bounds what takes no measurable time on an idle machine: to start, to listen, to
// end. On NICs that are emulated on a busy machine it does: igb, which restarts whenever a
// program comes or goes, was seen to take fifteen seconds over it.
var patience = func() time.Duration {
	if lab.OnNICs() {
		return time.Minute
	}
	return 15 * time.Second
}()

const (
	// transcriptMax is the octets of a program's output that are kept, the last ones.
	transcriptMax = 64 << 10
	// reported is how much of it is shown when a test fails.
	reported = 3000
)

// transcript keeps what a program prints. It is safe for concurrent use.
type transcript struct {
	mu  sync.Mutex
	buf []byte
}

// Write appends, and forgets the beginning when there is too much.
func (o *transcript) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, b...)
	if over := len(o.buf) - transcriptMax; over > 0 {
		o.buf = append(o.buf[:0], o.buf[over:]...)
	}
	return len(b), nil
}

// String returns what is kept.
func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}

// process is a program that runs in a namespace, at longest as long as the test.
type process struct {
	t      testing.TB
	name   string
	cmd    *lab.Cmd
	stdout transcript
	stderr transcript
	ended  chan struct{}
	err    error // of Wait; read after ended
}

// deadline is a context that ends a little before the test would be ended by force, so that
// its clean-ups still run.
func deadline(t testing.TB, at most) (context.Context, context.CancelFunc) {
	end := time.Now().Add(time.Duration(at))
	if t, ok := t.(*testing.T); ok {
		if d, ok := t.Deadline(); ok && d.Add(-patience).Before(end) {
			end = d.Add(-patience)
		}
	}
	return context.WithDeadline(context.Background(), end)
}

// most is the longest that something may take.
type most time.Duration

// start starts a program. It is told to stop when the test ends, and must then end in time
// and with status 0, unless it has ended or was killed before.
func start(t testing.TB, h *lab.Host, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := deadline(t, most(10*time.Minute))
	p := &process{t: t, name: filepath.Base(name), cmd: h.Command(ctx, name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		if t.Failed() && p.alive() {
			t.Logf("%s still runs; %s", p.name, p.stuck())
		}
		p.stop()
		cancel()
		if t.Failed() {
			t.Logf("%s %s printed:\n%s%s", p.name, strings.Join(args, " "), tail(p.stdout.String()), tail(p.stderr.String()))
		}
	})
	return p
}

// tail returns the end of a text.
func tail(s string) string {
	if over := len(s) - reported; over > 0 {
		return "…" + s[over:]
	}
	return s
}

// alive says whether the program still runs.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// await waits until the program has printed words.
func (p *process) await(words string) {
	p.t.Helper()
	said := func() bool {
		return strings.Contains(p.stdout.String(), words) || strings.Contains(p.stderr.String(), words)
	}
	testutil.Eventually(p.t, patience, func() bool { return said() || !p.alive() }, p.name+" to print "+strconv.Quote(words))
	if !said() {
		p.t.Fatalf("%s ended before it printed %q: %v", p.name, words, p.err)
	}
}

// wait waits for the program to end by itself, and returns its error.
func (p *process) wait(at most) error {
	p.t.Helper()
	testutil.Eventually(p.t, time.Duration(at), func() bool { return !p.alive() }, p.name+" to end")
	return p.err
}

// failure returns what the program has printed on standard error beside its log.
func (p *process) failure() string {
	var lines []string
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.HasPrefix(line, "time=") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

// stop asks the program to end. One that ends otherwise than with status 0, or by the
// signal if it is no program of ours, fails the test.
func (p *process) stop() {
	p.t.Helper()
	if !p.alive() {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may end at this moment
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Errorf("%s does not end by SIGTERM in %v; %s", p.name, patience, p.stuck())
		p.kill()
		return
	}
	if p.err != nil && p.cmd.Path == built.path {
		p.t.Errorf("%s, told to stop: %v, want status 0", p.name, p.err)
	}
}

// stuck says where in the kernel the threads of the program are that do not run: what it waits
// for when it does not obey, as in a driver.
func (p *process) stuck() string {
	var text strings.Builder
	text.WriteString("its threads are in")
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	for _, dir := range dirs {
		// A thread that has ended meanwhile has neither.
		status, _ := os.ReadFile(dir + "/stat")
		stack, _ := os.ReadFile(dir + "/stack")
		_, state, _ := strings.Cut(string(status), ") ")
		if len(state) > 0 && len(stack) > 0 {
			fmt.Fprintf(&text, "\n%c: %s", state[0], strings.ReplaceAll(strings.TrimSpace(string(stack)), "\n", " "))
		}
	}
	return text.String()
}

// kill ends the program by force and waits for that.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// status returns a value in KiB of /proc/PID/status, such as VmRSS, in octets.
func (p *process) status(name string) int64 {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kib << 10
		}
	}
	p.t.Fatalf("/proc/PID/status has no %s", name)
	return 0
}

// cpu returns the time that the program has spent on a core, in user space and the kernel.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	// The name, in parentheses, may hold spaces. utime and stime are the 12th and 13th
	// field after it, in ticks of 10 ms (proc(5); USER_HZ is 100 on all Go's platforms).
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// output runs a program in a namespace to its end and returns what it printed. It must
// end with status 0.
func output(t testing.TB, at most, h *lab.Host, name string, args ...string) string {
	t.Helper()
	ctx, cancel := deadline(t, at)
	defer cancel()
	cmd := h.Command(ctx, name, args...)
	var diag transcript
	cmd.Stderr = &diag
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, tail(string(out)), tail(diag.String()))
	}
	return string(out)
}
