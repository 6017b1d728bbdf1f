package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"time"
)

// waitDelay is how long a program's output may stay open after the program was killed
// before Wait gives up on it.
const waitDelay = 2 * time.Second

// Do runs f in the host's namespace, on an OS thread of its own that is thrown away
// afterwards, with /sys showing the namespace's devices. Sockets that f opens stay in the
// namespace for good; goroutines that f starts do not run in it. When f ends its goroutine
// (t.FailNow), Do ends its caller's.
func (h *Host) Do(f func() error) error {
	err, returned := throwaway(func() error {
		if err := enter(h.Path); err != nil {
			return fmt.Errorf("lab: enter %s: %w", h.Namespace, withRemedy(err))
		}
		return f()
	})
	if !returned {
		runtime.Goexit()
	}
	return err
}

// throwaway runs f on a thread that is never used again, and says whether f returned
// rather than ended its goroutine.
func throwaway(f func() error) (err error, returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked, so that the thread ends with the goroutine. The main thread
		// cannot end, and /proc/self is about it: it is held while another does the work.
		runtime.LockOSThread()
		if onMainThread() {
			defer runtime.UnlockOSThread()
			err, returned = throwaway(f)
			return
		}
		err = f()
		returned = true
	}()
	<-done
	return err, returned
}

// SetSysctl sets a variable of the namespace, named by its path below /proc/sys, as in
// "net/ipv4/tcp_congestion_control".
func (h *Host) SetSysctl(name, value string) error {
	return h.Do(func() error { return setSysctl(name, value) })
}

// Start starts a program in the namespace and does not wait for it. Down kills it, unless
// it has been waited for.
func (h *Host) Start(cmd *exec.Cmd) error {
	if err := checkCommand(cmd); err != nil {
		return fmt.Errorf("lab: start %s: %w", cmd.Path, err)
	}
	// A child inherits the namespaces of the thread that starts it.
	if err := h.Do(cmd.Start); err != nil {
		return err
	}
	h.lab.mu.Lock()
	defer h.lab.mu.Unlock()
	h.lab.children = append(h.lab.children, cmd.Process)
	return nil
}

// Run starts a program in the namespace and waits for it.
func (h *Host) Run(cmd *exec.Cmd) error {
	if err := h.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Cmd is a program that runs in a host's namespace: an exec.Cmd whose methods that start
// it do so there.
type Cmd struct {
	*exec.Cmd
	host *Host
}

// Command prepares a program to run in the namespace. It is killed when ctx ends, and by
// Down.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = waitDelay
	return &Cmd{Cmd: cmd, host: h}
}

// Start starts the program in the namespace and does not wait for it.
func (c *Cmd) Start() error { return c.host.Start(c.Cmd) }

// Run starts the program in the namespace and waits for it.
func (c *Cmd) Run() error { return c.host.Run(c.Cmd) }

// Output runs the program in the namespace and returns what it wrote on its standard
// output. An *exec.ExitError carries what it wrote on standard error.
func (c *Cmd) Output() ([]byte, error) {
	var out, diag bytes.Buffer
	c.Stdout = &out
	if c.Stderr == nil {
		c.Stderr = &diag
	}
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		exit.Stderr = diag.Bytes()
	}
	return out.Bytes(), err
}

// CombinedOutput runs the program in the namespace and returns what it wrote on its
// standard output and error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Listen opens a listening socket of the kernel's TCP in the namespace. The address of
// ":80" is the wildcard; any other is an IP address, not a name.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("lab: listen: %w", err)
	}
	// Plain TCP, as a peer's: Go's default is a multipath socket, which is slower.
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	err = h.Do(func() error {
		l, err = config.Listen(context.Background(), network, address)
		return err
	})
	return l, err
}

// ListenPacket opens a datagram socket of the kernel in the namespace, as Listen does.
func (h *Host) ListenPacket(network, address string) (c net.PacketConn, err error) {
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("lab: listen: %w", err)
	}
	err = h.Do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial connects a socket of the kernel in the namespace. The address is an IP address and
// a port, not a name.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("lab: dial: %w", err)
	}
	var dialer net.Dialer
	err = h.Do(func() error {
		c, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// checkAddress refuses what would be looked up in the DNS: that, and the race between
// several addresses, would run on goroutines outside the namespace.
func checkAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if host == "" {
		return nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return fmt.Errorf("%q is not an IP address", host)
	}
	return nil
}
