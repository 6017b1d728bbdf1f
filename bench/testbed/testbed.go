// Package testbed makes what is measured: links, and on each of them stacks, each end in a
// process of its own, so that what it has used of the machine is known and no stack shares
// a scheduler with its peer. On the lab every stack has a veth pair of its own, and its
// peer is the kernel's TCP unless it is said otherwise.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/core"
	"github.com/millrace-tcp/millrace/bench/raw"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/loader"
)

// The stacks.
const (
	Millrace            = "millrace"
	MillraceHandler     = "millrace-handler"      // serves by handlers on its workers
	MillraceInPlace     = "millrace-in-place"     // transfers by leases and reservations
	MillraceZeroCopy    = "millrace-zerocopy"     // the NIC writes into its memory
	MillraceNative      = "millrace-native"       // XDP in the driver
	MillraceGeneric     = "millrace-generic"      // XDP in the network core
	MillraceBoth        = "millrace-both"         // at both ends
	MillraceBothHandler = "millrace-both-handler" // likewise, and the server is a handler
	Kernel              = "kernel"                // as it is: 64 KiB segments
	KernelXDP           = "kernel-xdp"            // XDP in the driver at both ends, which takes the large segments away on a veth
	KernelGeneric       = "kernel-generic"        // XDP in the network core at both ends
	Raw                 = "raw"                   // frames without TCP, in millrace's mode
	RawNative           = "raw-native"            // likewise, XDP in the driver
	RawSpin             = "raw-spin"              // as raw, but neither end ever sleeps
	RawReflect          = "raw-reflect"           // as raw-spin, but who asks is kernel TCP
	MemoryCopy          = "memory-copy"
	Core                = "core"              // millrace's engines alone, both ends stepped by one goroutine
	GVisorXDP           = "gvisor-xdp"        // on its AF_XDP endpoint, in millrace's mode
	GVisorNative        = "gvisor-xdp-native" // likewise, XDP in the driver
	GVisorPacket        = "gvisor-packet"     // on AF_PACKET
	GVisor              = "gvisor"            // over its pipe
)

// The links.
const (
	Lab  = "lab"
	Pipe = "pipe"
	NIC  = "nic"
)

// Stacks returns the stacks that a link can have, the one that is measured first.
func Stacks(link string) []string {
	switch link {
	case Lab:
		return []string{
			Millrace, MillraceHandler, MillraceInPlace, MillraceNative, MillraceBoth, MillraceBothHandler,
			Kernel, KernelXDP, KernelGeneric, Raw, RawNative, RawSpin, RawReflect, GVisorXDP, GVisorNative, GVisorPacket,
		}
	case Pipe:
		return []string{Millrace, MillraceHandler, MillraceInPlace, Core, GVisor, MemoryCopy}
	case NIC:
		return []string{Millrace, Kernel}
	}
	return nil
}

// Modes returns the stacks that are this one in each of the modes that an interface admits.
func Modes(nic loader.NICInfo) (stacks []string) {
	known := nic.XDP.Has(loader.XDPKnown)
	if !nic.Veth && (!known || nic.XDP.Has(loader.XDPZeroCopy)) {
		stacks = append(stacks, MillraceZeroCopy)
	}
	if !known || nic.XDP.Has(loader.XDPBasic|loader.XDPRedirect) {
		stacks = append(stacks, MillraceNative)
	}
	return append(stacks, MillraceGeneric)
}

// ModeOf returns the mode of one of these, as records name it; "" of any other stack.
func ModeOf(stack string) string {
	switch stack {
	case MillraceZeroCopy:
		return loader.ZeroCopyMode
	case MillraceNative:
		return loader.CopyMode
	case MillraceGeneric:
		return loader.GenericMode
	}
	return ""
}

// Can says whether a stack has a workload, and one of its own: it is not offered where it would
// be another stack again.
func Can(stack string, kind bench.Kind) bool {
	switch stack {
	case MemoryCopy, Core, MillraceInPlace:
		return kind == bench.Bulk
	case Raw, RawNative:
		return kind == bench.Bulk || kind == bench.RequestResponse
	case RawSpin, RawReflect:
		return kind == bench.RequestResponse
	case MillraceHandler, MillraceBothHandler:
		return kind != bench.HTTP
	}
	return true
}

// NeedsPeers says whether a stack is one of the program of bench/peers.
func NeedsPeers(stack string) bool { return strings.HasPrefix(stack, "gvisor") }

// Link is what stacks are measured over.
type Link struct {
	Kind   string `json:"link"`
	MTU    int    `json:"mtu,omitempty"`    // of the lab and the pipe
	Queues int    `json:"queues,omitempty"` // of the lab
	NIC    string `json:"nic,omitempty"`    // of a NIC
	To     string `json:"to,omitempty"`     // a server that is reached over it
}

// String names the link as reports do.
func (l Link) String() string {
	switch l.Kind {
	case Lab:
		return fmt.Sprintf("lab/mtu=%d/queues=%d", l.MTU, l.Queues)
	case Pipe:
		return fmt.Sprintf("pipe/mtu=%d", l.MTU)
	}
	return l.Kind + "/" + l.NIC
}

// Config says what to make stacks of.
type Config struct {
	// End is the command line of a program that becomes an agent for one end, as "millrace
	// bench end" does.
	End []string
	// Client is the command line of one that dials over the kernel's TCP.
	Client []string
	// Peers is the command line of the program of bench/peers; nil if there is none.
	Peers []string
	// Flags is added to End where it opens a NIC.
	Flags []string
	// Mode is how millrace opens a NIC, and raw frames and others do that are in its mode.
	Mode millrace.Mode
}

// Bed is links and stacks that are up. One goroutine uses it.
type Bed struct {
	cfg     Config
	ctx     context.Context // that of the processes
	labs    int
	abouts  map[string]string
	closers []func() error
}

// prefix begins the names of the labs; the process and a number follow.
const prefix = "bench-"

// New returns an empty bed, and takes away what beds of processes that were killed left.
// Its processes are killed when ctx ends; Close is needed nevertheless.
func New(ctx context.Context, cfg Config) *Bed {
	lab.Sweep(prefix)
	return &Bed{cfg: cfg, ctx: ctx, abouts: make(map[string]string)}
}

// Close ends the processes and takes the labs away.
func (b *Bed) Close() error {
	var errs []error
	for _, f := range slices.Backward(b.closers) {
		errs = append(errs, f())
	}
	b.closers = nil
	return errors.Join(errs...)
}

// About tells how each of the stacks runs, by stack and link.
func (b *Bed) About() map[string]string { return b.abouts }

// onClose has f called by Close, before what was asked for earlier.
func (b *Bed) onClose(f func() error) { b.closers = append(b.closers, f) }

// Target makes a stack on a link.
func (b *Bed) Target(link Link, stack string) (bench.Target, error) {
	if !slices.Contains(Stacks(link.Kind), stack) && (ModeOf(stack) == "" || link.Kind == Pipe) {
		return bench.Target{}, fmt.Errorf("testbed: there is no %s on a %s, there are %s",
			stack, link.Kind, strings.Join(Stacks(link.Kind), ", "))
	}
	if NeedsPeers(stack) && b.cfg.Peers == nil {
		return bench.Target{}, fmt.Errorf("testbed: %s needs the program of bench/peers", stack)
	}
	t := &target{stack: stack}
	var err error
	switch {
	case stack == MemoryCopy:
		t.local = raw.Copy()
	case stack == Core:
		err = b.onCore(t, link)
	case link.Kind == Pipe:
		err = b.onPipe(t, link)
	case link.Kind == NIC:
		err = b.onNIC(t, link)
	default:
		err = b.onLab(t, link)
	}
	if err != nil {
		return bench.Target{}, fmt.Errorf("testbed: make %s on %v: %w", stack, link, err)
	}
	b.abouts[link.String()+" "+stack] = t.about()
	return bench.Target{Name: stack, Run: t.run}, nil
}

// agent starts an agent that ends with the bed.
func (b *Bed) agent(on *lab.Host, argv ...string) (*process, error) {
	p, err := start(b.ctx, on, argv)
	if err != nil {
		return nil, err
	}
	b.onClose(func() error { p.end(); return nil })
	return p, nil
}

// end is the command line of an end of this module.
func (b *Bed) end(args ...string) []string { return slices.Concat(b.cfg.End, args) }

func (b *Bed) onCore(t *target, link Link) error {
	p, err := core.Open(link.MTU)
	if err == nil {
		t.local = p.Run
		b.onClose(p.Close)
	}
	return err
}

func (b *Bed) onPipe(t *target, link Link) (err error) {
	mtu := strconv.Itoa(link.MTU)
	argv := slices.Concat(b.end("--pipe", mtu), variantOf(t.stack).serve())
	if t.stack == GVisor {
		argv = slices.Concat(b.cfg.Peers, []string{"--stack", "pipe", "--mtu", mtu})
	}
	t.client, err = b.agent(nil, argv...)
	if err == nil {
		t.address = t.client.hello.Address
	}
	return err
}

// onNIC makes an end on an interface. Those of its modes are started for each run, for one at a time
// can open it.
func (b *Bed) onNIC(t *target, link Link) (err error) {
	t.address, t.outward = link.To, true
	argv := b.end("--stack", "kernel")
	if t.stack != Kernel {
		argv = slices.Concat(b.end("--nic", link.NIC), b.flags(t.stack))
	}
	if ModeOf(t.stack) == "" {
		t.client, err = b.agent(nil, argv...)
		return err
	}
	t.starts = func() (*process, error) {
		p, err := start(b.ctx, nil, argv)
		if err == nil {
			b.abouts[link.String()+" "+t.stack] = p.hello.About
		}
		return p, err
	}
	return nil
}

const (
	servePort = "5001"
	webPort   = "5002"
)

func (b *Bed) onLab(t *target, link Link) error {
	b.labs++
	l, err := lab.Up(lab.Config{
		Name: fmt.Sprintf("%s%d-%d", prefix, os.Getpid(), b.labs), MTU: link.MTU, Queues: link.Queues,
	})
	if err != nil {
		return err
	}
	b.onClose(l.Down)
	t.lab = l
	// Connections that are opened and closed for seconds need more ports than a minute of
	// TIME-WAIT leaves: take all, and take them again after a second.
	for name, value := range map[string]string{
		"net/ipv4/ip_local_port_range": "10000 65535", "net/ipv4/tcp_tw_reuse": "1",
	} {
		if err := l.B.SetSysctl(name, value); err != nil {
			return err
		}
	}
	switch t.stack {
	case Raw, RawNative, RawSpin, RawReflect:
		return b.onRaw(t, l)
	case KernelXDP, KernelGeneric:
		mode := map[string]loader.Mode{KernelXDP: loader.Native, KernelGeneric: loader.Generic}[t.stack]
		for _, h := range []*lab.Host{l.A, l.B} {
			if err := b.attach(t, h, mode); err != nil {
				return err
			}
		}
	}
	server, err := b.serverArgs(t, l)
	if err != nil {
		return err
	}
	if t.server, err = b.agent(l.A, server...); err != nil {
		return err
	}
	client := b.cfg.Client
	if variantOf(t.stack).both {
		client = slices.Concat(b.end("--nic", l.B.Interface), b.flags(t.stack))
	}
	t.client, err = b.agent(l.B, client...)
	t.address = l.A.IP4.Addr().String() + ":" + servePort
	t.web = l.A.IP4.Addr().String() + ":" + webPort
	return err
}

// onRaw makes both ends of a lab without TCP, or the one that answers kernel TCP.
func (b *Bed) onRaw(t *target, l *lab.Lab) (err error) {
	ends := map[string][]string{RawSpin: {"--raw-ends", "spin"}, RawReflect: {"--raw-ends", "reflect"}}[t.stack]
	end, err := b.agent(nil, slices.Concat(b.end("--raw", l.Name), ends, b.flags(t.stack))...)
	if err != nil || t.stack != RawReflect {
		t.client = end
		return err
	}
	t.server, t.address = end, end.hello.Address
	t.client, err = b.agent(l.B, b.cfg.Client...)
	return err
}

// serverArgs is the command line of the server of a stack.
func (b *Bed) serverArgs(t *target, l *lab.Lab) ([]string, error) {
	listen := []string{"--listen", ":" + servePort, "--web", ":" + webPort}
	nic := []string{"--nic", l.A.Interface}
	switch t.stack {
	case GVisorPacket:
		return slices.Concat(b.cfg.Peers, []string{"--stack", "packet"}, nic, listen), nil
	case GVisorXDP, GVisorNative:
		mode, err := b.xdpMode(t.stack, l.A)
		if err == nil && mode == loader.Generic {
			err = cutSegments(t, l.B)
		}
		return slices.Concat(b.cfg.Peers, []string{"--stack", "xdp", "--mode", mode.String()}, nic, listen), err
	case Kernel, KernelXDP, KernelGeneric:
		return slices.Concat(b.end("--stack", "kernel"), listen), nil
	}
	return slices.Concat(b.cfg.End, nic, b.flags(t.stack), variantOf(t.stack).serve(), listen), nil
}

// attach puts the XDP program on a host's interface. It claims nothing.
func (b *Bed) attach(t *target, h *lab.Host, mode loader.Mode) error {
	return h.Do(func() error {
		prog, err := loader.Attach(h.Index, loader.Config{Mode: mode})
		if err != nil {
			return err
		}
		b.onClose(prog.Close)
		t.notes = append(t.notes, fmt.Sprintf("XDP %v on %s", prog.Mode(), h.Interface))
		return nil
	})
}
