package testbed

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// process is an agent that runs, on a host of a lab or beside this process.
type process struct {
	*bench.Remote
	hello bench.Hello
	cmd   *exec.Cmd
	stdin io.Closer
	diag  tail
}

// start starts a program as an agent and waits until it is ready. It is killed when ctx
// ends.
func start(ctx context.Context, on *lab.Host, argv []string) (*process, error) {
	p := new(process)
	run := (*exec.Cmd).Start
	if on == nil {
		p.cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	} else {
		p.cmd = on.Command(ctx, argv[0], argv[1:]...).Cmd
		run = on.Start
	}
	p.cmd.Stderr = &p.diag
	// A terminal's Ctrl-C is for this process, which then ends its agents: one that ended by
	// itself would look like a failure.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := run(p.cmd); err != nil {
		return nil, fmt.Errorf("testbed: start %s: %w", argv[0], err)
	}
	p.stdin, p.Remote = stdin, bench.NewRemote(stdin, stdout)
	if p.hello, err = p.Hello(ctx); err != nil {
		p.end()
		return nil, p.explain(err)
	}
	return p, nil
}

// farewellMax is how long an agent may take to end.
const farewellMax = 10 * time.Second

// end ends the agent, by the end of its input, and waits for it.
func (p *process) end() {
	_ = p.stdin.Close()
	late := time.AfterFunc(farewellMax, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	// It was told to end, or killed: how it ends is no news.
	_ = p.cmd.Wait()
}

// explain adds to an error what the agent said last.
func (p *process) explain(err error) error {
	if said := p.diag.String(); said != "" {
		return fmt.Errorf("%w: %s", err, said)
	}
	return err
}

// tailMax is how much of what an agent says is kept, in octets.
const tailMax = 2048

// tail is the end of what was written.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// Write keeps the end of b.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-tailMax):]
	return len(b), nil
}

// String is what was kept, in one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Split(strings.TrimSpace(string(t.b)), "\n"), "; ")
}
