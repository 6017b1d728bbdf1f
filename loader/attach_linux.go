package loader

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/bpf"
)

// carrierPoll is how often a lost carrier is looked for.
const carrierPoll = 10 * time.Millisecond

// Program is the XDP program on one NIC, with its maps. Its methods may be called by
// several goroutines. The program leaves the NIC on Close, and with the process, however
// that ends: nothing is pinned.
type Program struct {
	name  string // of the NIC when it was attached
	mode  Mode
	notes []string

	// mu is held for reading while the maps are used, for writing to close them.
	mu     sync.RWMutex
	closed bool
	objs   bpf.MillraceObjects
	link   link.Link

	addrsMu sync.Mutex // one SetLocalAddrs at a time; after mu
	addrs   map[bpf.MillraceAddr]struct{}
}

// Attach loads the program and puts it on the interface of the calling thread's network
// namespace that has this index. It fails with an error that wraps EBUSY, and names the
// program, if there is one already.
func Attach(ifindex int, cfg Config) (*Program, error) {
	cfg = cfg.withDefaults()
	nic, err := netlink.LinkByIndex(ifindex)
	if err != nil {
		return nil, fmt.Errorf("loader: find interface %d: %w", ifindex, err)
	}
	p := &Program{name: nic.Attrs().Name, addrs: make(map[bpf.MillraceAddr]struct{})}
	if err := p.attach(nic, cfg); err != nil {
		p.objs.Close()
		return nil, fmt.Errorf("loader: attach to %s: %w", p.name, explain(err))
	}
	return p, nil
}

func (p *Program) attach(nic netlink.Link, cfg Config) error {
	if err := occupied(nic); err != nil {
		return err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("raise RLIMIT_MEMLOCK: %w", err)
	}
	if err := p.load(cfg); err != nil {
		return err
	}
	if err := p.attachMode(nic, cfg.Mode); err != nil {
		return err
	}
	p.awaitCarrier(nic.Attrs(), cfg.CarrierWait)
	return nil
}

// Verify has the kernel take the program, as Attach does, and attaches it to nothing.
func Verify() error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("loader: raise RLIMIT_MEMLOCK: %w", explain(err))
	}
	var p Program
	err := p.load(Config{}.withDefaults())
	p.objs.Close()
	if err != nil {
		return fmt.Errorf("loader: load the program: %w", explain(err))
	}
	return nil
}

// load gives the kernel the program and its maps. A kernel before 5.18 does not know the
// flag that says a program reads packets in several buffers, and gets it without: there,
// interfaces of large MTU cannot be attached to in native mode.
func (p *Program) load(cfg Config) error {
	spec, err := bpf.LoadMillrace()
	if err != nil {
		return err
	}
	spec.Maps[bpf.MillraceMapListens].MaxEntries = uint32(cfg.ListensMax)
	spec.Maps[bpf.MillraceMapFlows].MaxEntries = uint32(cfg.FlowsMax)
	spec.Maps[bpf.MillraceMapAddrs].MaxEntries = uint32(cfg.AddrsMax)
	err = spec.LoadAndAssign(&p.objs, nil)
	if err == nil || !errors.Is(err, unix.EINVAL) {
		return err
	}
	spec.Programs[bpf.MillraceProgMillrace].Flags &^= unix.BPF_F_XDP_HAS_FRAGS
	if spec.LoadAndAssign(&p.objs, nil) != nil {
		return err
	}
	p.notes = append(p.notes, "the kernel does not know packets in several buffers (it needs 5.18): MTU is limited to a page")
	return nil
}

func (p *Program) attachMode(nic netlink.Link, mode Mode) error {
	index := nic.Attrs().Index
	if mode != Generic {
		err := p.attachAs(index, Native, link.XDPDriverMode)
		if err == nil {
			return nil
		}
		if mode == Native || final(err) {
			return taken(index, err)
		}
		p.notes = append(p.notes, fmt.Sprintf("native XDP is refused (%v): generic", err))
	}
	return taken(index, p.attachAs(index, Generic, link.XDPGenericMode))
}

func (p *Program) attachAs(index int, mode Mode, flags link.XDPAttachFlags) error {
	l, err := link.AttachXDP(link.XDPOptions{
		Program: p.objs.Millrace, Interface: index, Flags: flags,
	})
	if err != nil {
		return fmt.Errorf("%s mode: %w", mode, err)
	}
	p.link, p.mode = l, mode
	return nil
}

// final says whether generic mode would be refused for the same reason as native.
func final(err error) bool {
	for _, e := range []unix.Errno{unix.EPERM, unix.EACCES, unix.EBUSY, unix.EEXIST, unix.ENODEV} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// taken turns the kernel's refusal to attach a second program into one that names the first.
func taken(index int, err error) error {
	if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	if nic, linkErr := netlink.LinkByIndex(index); linkErr == nil {
		if busy := occupied(nic); busy != nil {
			return busy
		}
	}
	return fmt.Errorf("%w (%w)", unix.EBUSY, err)
}

// occupied returns an error that wraps EBUSY if the interface has an XDP program.
func occupied(nic netlink.Link) error {
	xdp := nic.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return nil
	}
	mode, word := "several modes", "xdp"
	switch xdp.AttachMode {
	case nl.XDP_ATTACHED_DRV:
		mode, word = "native mode", "xdpdrv"
	case nl.XDP_ATTACHED_SKB:
		mode, word = "generic mode", "xdpgeneric"
	case nl.XDP_ATTACHED_HW:
		mode, word = "the hardware", "xdpoffload"
	}
	// What a link has attached, as ours, ip cannot detach: it leaves with who holds the link.
	return fmt.Errorf("%w: XDP program %d%s is on it in %s; end the process that holds it (bpftool link), or if none does: ip link set dev %s %s off",
		unix.EBUSY, xdp.ProgId, programName(xdp.ProgId), mode, nic.Attrs().Name, word)
}

// programName returns a program's name in brackets, or nothing where it cannot be asked.
func programName(id uint32) string {
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil || info.Name == "" {
		return ""
	}
	return fmt.Sprintf(" (%q)", info.Name)
}

// awaitCarrier waits until a carrier that was there before is back. Drivers that restart
// when a program comes drop it, and zero-copy transmission does nothing without.
func (p *Program) awaitCarrier(before *netlink.LinkAttrs, wait time.Duration) {
	if before.RawFlags&unix.IFF_LOWER_UP == 0 || wait < 0 {
		return
	}
	start := time.Now()
	for {
		now, err := netlink.LinkByIndex(before.Index)
		if err == nil && now.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
			return
		}
		if time.Since(start) >= wait {
			p.notes = append(p.notes, fmt.Sprintf("the carrier has not come back within %v of attaching", wait))
			return
		}
		time.Sleep(carrierPoll)
	}
}

// Mode returns how the program is attached: Native or Generic.
func (p *Program) Mode() Mode { return p.mode }

// Notes returns what a user should know of the attaching, such as why native mode was
// refused. There may be none.
func (p *Program) Notes() []string { return p.notes }

// Close takes the program off the NIC and frees its maps. Later calls of any method return
// an error that wraps net.ErrClosed, or nothing.
func (p *Program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return p.failed("close", net.ErrClosed)
	}
	p.closed = true
	if err := errors.Join(p.link.Close(), p.objs.Close()); err != nil {
		return p.failed("close", err)
	}
	return nil
}

// failed says what could not be done, and where.
func (p *Program) failed(what string, err error) error {
	return fmt.Errorf("loader: %s on %s: %w", what, p.name, err)
}
