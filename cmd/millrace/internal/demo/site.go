package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/internal/lab"
)

// The ports that are listened on, on host a of a lab.
const (
	millracePort = 5001
	kernelPort   = 5002
)

// site is what is measured: millrace and the kernel's TCP on one veth pair, and the kernel's
// TCP on another one without XDP. One goroutine owns it.
type site struct {
	shared, plain *lab.Lab // with millrace on it, and without
	nic           *millrace.NIC
	kernelCC      string // of the namespaces
	release       string // of the kernel

	millrace, kernel, kernelXDP bench.Target

	stop    context.CancelFunc // of the servers
	serving sync.WaitGroup
	clients []*client
}

// client is a process on host b.
type client struct {
	*bench.Remote
	cmd  *lab.Cmd
	stop func() error // closes its standard input
}

// open makes the site. What it has made, close takes away, also when it fails.
func open(ctx context.Context, cfg Config) (s *site, err error) {
	lab.Sweep(prefix)
	serve, stop := context.WithCancel(ctx)
	s = &site{stop: stop}
	name := prefix + strconv.Itoa(os.Getpid())
	if s.shared, err = lab.Up(lab.Config{Name: name}); err != nil {
		return s, err
	}
	if s.plain, err = lab.Up(lab.Config{Name: name + "-plain"}); err != nil {
		return s, err
	}
	cfg.Progress("attaching XDP and opening an AF_XDP socket in namespace " + s.shared.A.Namespace)
	var l net.Listener
	err = s.shared.A.Do(func() (err error) {
		s.kernelCC = sysctl("net/ipv4/tcp_congestion_control")
		s.release = sysctl("kernel/osrelease")
		if s.nic, err = millrace.Open(s.shared.A.Interface, millrace.Config{Log: cfg.Log}); err != nil {
			return err
		}
		l, err = s.nic.Listen("tcp", ":"+strconv.Itoa(millracePort))
		return err
	})
	if err != nil {
		return s, err
	}
	s.serve(serve, cfg, l)
	for _, on := range []*lab.Lab{s.shared, s.plain} {
		l, err := on.A.Listen("tcp", ":"+strconv.Itoa(kernelPort))
		if err != nil {
			return s, err
		}
		s.serve(serve, cfg, l)
		if err := s.start(ctx, cfg, on.B); err != nil {
			return s, err
		}
	}
	shared, plain := s.clients[0], s.clients[1]
	s.millrace = target("millrace", shared, s.shared.A, millracePort)
	s.kernel = target("kernel", plain, s.plain.A, kernelPort)
	s.kernelXDP = target("kernel, XDP attached", shared, s.shared.A, kernelPort)
	return s, nil
}

// serve serves workloads on a listener until the site is closed.
func (s *site) serve(ctx context.Context, cfg Config, l net.Listener) {
	s.serving.Go(func() {
		server := bench.Server{Log: cfg.Log}
		if err := server.Serve(ctx, l); err != nil {
			cfg.Log.Error("demo: serve", "cause", err)
		}
	})
}

// start starts a client on a host.
func (s *site) start(ctx context.Context, cfg Config, on *lab.Host) error {
	cmd := on.Command(ctx, cfg.Client[0], cfg.Client[1:]...)
	cmd.Stderr = os.Stderr
	// A terminal's Ctrl-C is for the demo, which then ends its clients: one that ended by
	// itself would look like a failure.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the client: %w", err)
	}
	s.clients = append(s.clients, &client{bench.NewRemote(stdin, stdout), cmd, stdin.Close})
	return nil
}

func target(name string, c *client, server *lab.Host, port int) bench.Target {
	address := net.JoinHostPort(server.IP4.Addr().String(), strconv.Itoa(port))
	return bench.Target{Name: name, Run: func(ctx context.Context, w bench.Workload) (bench.Result, error) {
		return c.Run(ctx, address, w)
	}}
}

// close ends the clients and the servers, and takes the labs away.
func (s *site) close() error {
	var errs []error
	for _, c := range s.clients {
		_ = c.stop()
		// It was told to end, or killed by the context: how it ends is no news.
		_ = c.cmd.Wait()
	}
	s.stop()
	s.serving.Wait()
	if s.nic != nil {
		errs = append(errs, s.nic.Close())
	}
	for _, l := range []*lab.Lab{s.plain, s.shared} {
		if l != nil {
			errs = append(errs, l.Down())
		}
	}
	return errors.Join(errs...)
}

// prefix begins the names of the demo's labs; the process follows.
const prefix = "demo-"

// sysctl reads a variable of the thread's namespace.
func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
