package millrace

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/congestion/catalog"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/pin"
	"github.com/millrace-tcp/millrace/loader"
	"github.com/millrace-tcp/millrace/loader/hostnet"
	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
)

// NIC is an open interface, with the Stack that serves it. Its methods are safe for
// concurrent use.
type NIC struct {
	*stack.Stack
	info   Info
	probe  loader.NICInfo
	log    *slog.Logger
	view   *hostnet.View
	prog   *loader.Program
	addrs  *engine.AddrSet
	claims *nicClaimer
	tuning *loader.Tuning
	spread *loader.SpreadView
	doubts doubts
	socks  []*xsk.Port
	ports  []dataplane.Port // socks, as wrapped

	gone    chan struct{}  // closed when the interface is
	failing sync.WaitGroup // of fail
	closing sync.Once
	closed  error
}

// Open opens an interface of the present network namespace: it attaches the XDP program,
// which goes with the process however that ends, and opens an AF_XDP socket for each queue.
// No packet is taken until something listens or dials.
func Open(nic string, cfg Config) (*NIC, error) {
	n := &NIC{log: cfg.Log, addrs: engine.NewAddrSet(), gone: make(chan struct{})}
	if n.log == nil {
		n.log = slog.Default()
	}
	if err := chooseCongestion(&cfg); err != nil {
		return nil, fmt.Errorf("millrace: open %s: congestion control %q: %w", nic, cfg.Congestion, err)
	}
	if err := n.open(nic, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("millrace: open %s: %w", nic, err), n.Close())
	}
	return n, nil
}

// chooseCongestion looks up what cfg names.
func chooseCongestion(cfg *Config) (err error) {
	sc := &cfg.Stack
	switch {
	case sc.Algorithms != nil:
	case cfg.Algorithms != nil:
		sc.Algorithms = cfg.Algorithms
	default:
		sc.Algorithms = catalog.All()
	}
	if sc.Congestion == nil && sc.TCP.Congestion == nil || cfg.Congestion != "" {
		_, maker, perr := sc.Algorithms.Parse(cfg.Congestion)
		if sc.Congestion == nil {
			sc.Congestion = maker
		}
		err = perr
	}
	return err
}

func (n *NIC) open(nic string, cfg Config) (err error) {
	if n.probe, err = loader.Probe(nic); err != nil {
		return err
	}
	if n.view, err = hostnet.Open(n.probe.Index, n.log); err != nil {
		return err
	}
	if n.prog, err = loader.Attach(n.probe.Index, loader.Config{Mode: attachMode(cfg.Mode, &n.probe)}); err != nil {
		return n.refused(cfg.Mode, err)
	}
	n.view.OnAddrs(n.follow)
	if err := n.openQueues(cfg); err != nil {
		return err
	}
	if n.spread, err = loader.FollowSpread(n.probe.Index, n.log, n.warnUnserved); err != nil {
		return err
	}
	n.claims = newNICClaimer(n.prog, n.probe.Name)
	n.describe(nic, cfg.Mode)
	n.tune(cfg)
	sc := cfg.Stack
	sc.Router = &router{n.view, n.packetMax()}
	sc.Addrs, sc.Claimer = n.addrs, n.claims
	n.placeQueues()
	if sc.Steer == nil && n.info.QueuesTotal > 1 {
		sc.Steer = n.steer
	}
	if sc.Log == nil {
		sc.Log = n.log
	}
	if cfg.Pin != "" {
		if err := n.choosePins(cfg.Pin); err != nil {
			return err
		}
		sc.Hold = func(queue int) error { return pin.Thread(n.info.Processors[queue]) }
	}
	if n.Stack, err = stack.New(sc, n.ports...); err != nil {
		return err
	}
	n.view.OnGone(func() { n.failing.Go(n.fail) })
	return nil
}

// fail ends the stack of an interface that has been removed. One of the same name that comes later
// is another.
func (n *NIC) fail() {
	n.log.Error("millrace: the interface is gone, and with it all connections", "nic", n.probe.Name)
	if err := n.Stack.Fail(n.goneError()); err != nil {
		n.log.Error("millrace: end the stack", "nic", n.probe.Name, "err", err)
	}
	close(n.gone)
}

func (n *NIC) goneError() error {
	return fmt.Errorf("millrace: interface %s is gone: %w", n.probe.Name, unix.ENODEV)
}

// Gone returns a channel that is closed when the interface has been removed, or moved to another
// network namespace: all connections have been aborted and all listeners have ended then.
func (n *NIC) Gone() <-chan struct{} { return n.gone }

// Err says why the stack has ended though nobody closed it: an error that wraps ENODEV when Gone is
// closed, nil before.
func (n *NIC) Err() error {
	select {
	case <-n.gone:
		return n.goneError()
	default:
		return nil
	}
}

// choosePins chooses the processors of the workers.
func (n *NIC) choosePins(want string) error {
	allowed, err := pin.Allowed()
	if err != nil {
		return err
	}
	cpus, err := pin.Choose(want, allowed, pin.Near(n.probe.NUMANode), len(n.ports))
	if err != nil {
		return err
	}
	n.info.Processors = cpus
	n.info.Notes = append(n.info.Notes, fmt.Sprintf("workers on processors %v", cpus))
	return nil
}

// follow takes note of the interface's addresses.
func (n *NIC) follow(addrs []netip.Addr) {
	n.addrs.Set(addrs)
	if err := n.prog.SetLocalAddrs(addrs); err != nil {
		n.log.Warn("millrace: addresses changed and XDP cannot follow", "nic", n.probe.Name, "err", err)
	}
}

// openQueues opens the sockets and puts them where the program finds them.
func (n *NIC) openQueues(cfg Config) error {
	total := max(1, n.probe.RXQueues)
	queues := cfg.Queues
	if queues == 0 {
		queues = total
	}
	if queues < 0 || queues > total {
		return fmt.Errorf("%d queues asked for, the NIC has %d", queues, total)
	}
	for q := range queues {
		sock, err := xsk.Open(n.socketConfig(cfg, q))
		if err != nil {
			return n.refused(cfg.Mode, err)
		}
		port := dataplane.Port(sock)
		if cfg.WrapPort != nil {
			port = cfg.WrapPort(q, port)
		}
		n.socks = append(n.socks, sock)
		n.ports = append(n.ports, port)
		if err := n.prog.Register(q, sock.FD()); err != nil {
			return err
		}
	}
	return nil
}

// refused says what it means when the driver does not do what zero-copy takes.
func (n *NIC) refused(mode Mode, err error) error {
	if mode != ModeZeroCopy || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return fmt.Errorf("%s refuses zero-copy at MTU %d: %w (mode auto takes what there is)", n.probe.Driver, n.probe.MTU, err)
}

func (n *NIC) socketConfig(cfg Config, queue int) xsk.Config {
	sc := xsk.Config{
		Ifindex: n.probe.Index, IfName: n.probe.Name, Queue: queue,
		Mode: xsk.Copy, BusyPoll: cfg.BusyPoll,
		// No wire can flip a bit between the two ends of a veth pair.
		LinkLocal: n.probe.Veth,
		// In generic mode packets come as the kernel has them: from a veth's peer uncut, from
		// a NIC joined by GRO or LRO.
		Aggregates:     n.prog.Mode() == loader.Generic,
		ZeroCopyPieces: n.probe.ZeroCopySegsMax, ZeroCopyChecksum: n.probe.TXChecksum,
	}
	if node := n.probe.NUMANode; node >= 0 && node < 64 {
		sc.NUMANodes = 1 << node
	}
	if n.prog.Mode() == loader.Native && !n.probe.Veth {
		switch cfg.Mode {
		case ModeAuto:
			if n.probe.Choose().ZeroCopy {
				sc.Mode = xsk.Auto
			}
		case ModeZeroCopy:
			sc.Mode = xsk.ZeroCopy
		case ModeCopy, ModeGeneric:
		}
	}
	if cfg.Mode == ModeZeroCopy {
		sc.Mode = xsk.ZeroCopy
	}
	if sc.Mode != xsk.Copy {
		sc.HWRing = n.probe.RXRing
	}
	return sc
}

func attachMode(m Mode, nic *loader.NICInfo) loader.Mode {
	switch m {
	case ModeZeroCopy:
		return loader.Native
	case ModeGeneric:
		return loader.Generic
	case ModeAuto:
		return nic.Choose().Mode
	case ModeCopy:
	}
	return loader.Auto
}

// frameOverhead is what a receive frame holds besides the IP packet, where a packet has one frame
// only: the kernel's headroom, and an Ethernet header with a VLAN tag.
const frameOverhead = 256 + 18

// packetMax is the largest IP packet that the frames hold: more than the MTU, which may grow.
func (n *NIC) packetMax() (octets int) {
	for i, s := range n.socks {
		info := s.Info()
		largest := info.PacketMax() - ethernetMax
		if info.Pieces < 2 {
			largest = info.FrameSize - frameOverhead
		}
		if i == 0 || largest < octets {
			octets = largest
		}
	}
	return octets
}

// ethernetMax is an Ethernet header with a VLAN tag.
const ethernetMax = 18

// describe fills in the Info.
func (n *NIC) describe(nic string, mode Mode) {
	n.info = Info{
		Name: nic, Driver: n.probe.Driver, Attached: n.prog.Mode().String(),
		QueuesTotal: max(1, n.probe.RXQueues), MTU: n.probe.MTU, Notes: n.prog.Notes(),
	}
	for _, s := range n.socks {
		n.info.ZeroCopy = append(n.info.ZeroCopy, s.ZeroCopy())
		octets, pages := s.Memory()
		n.info.FrameOctets += octets
		n.info.FramePages = pages.String()
		c := s.Config()
		n.info.Frames = Frames{
			Size: c.FrameSize, RX: c.RXFrames, TX: c.TXFrames, RXRing: c.RXRing, HWRing: c.HWRing,
			KeepMax: s.Info().KeepMax,
		}
		if s.Info().Pieces < 2 {
			n.info.MTU = min(n.info.MTU, s.Info().FrameSize-frameOverhead)
		}
	}
	if mode == ModeAuto {
		n.info.Notes = append(n.info.Notes, fmt.Sprintf("XDP %s: %s", n.prog.Mode(), n.probe.Choose().Why))
	}
	if err := n.socks[0].Declined(); err != nil {
		n.info.Notes = append(n.info.Notes, fmt.Sprintf("zero-copy is refused (%v): copy", err))
	}
	if n.probe.Veth && n.prog.Mode() == loader.Generic && n.info.QueuesTotal > 1 {
		// The number of the peer's transmit queue stays in the packet, and is read as one more
		// than that of the receive queue; 0 as unknown, which is queue 0.
		n.info.Notes = append(n.info.Notes, "generic XDP: a veth brings what its peer sends by queues 0 and 1 to queue 0, "+
			"by queue 2 to queue 1, and so on; mode copy uses all queues alike")
	}
	if n.info.MTU < n.probe.MTU {
		n.info.Notes = append(n.info.Notes, fmt.Sprintf(
			"frames hold %d octets of the MTU %d; the stack offers peers that much", n.info.MTU, n.probe.MTU))
	}
}

// Info says how the interface was opened.
func (n *NIC) Info() Info { return n.info }

// Counters returns the counters of the XDP program.
func (n *NIC) Counters() loader.Counters { return n.prog.Counters() }

// PortStats returns the counters of each queue's socket.
func (n *NIC) PortStats() []dataplane.Stats {
	all := make([]dataplane.Stats, len(n.ports))
	for i, p := range n.ports {
		all[i] = p.Stats()
	}
	return all
}

// Close aborts all connections, detaches the program and gives everything back. What the
// kernel did on the interface goes on.
func (n *NIC) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *NIC) close() error {
	var errs []error
	if n.view != nil {
		errs = append(errs, n.view.Close())
	}
	n.failing.Wait() // Without the view nothing fails any more.
	if n.Stack != nil {
		errs = append(errs, n.Stack.Close())
	}
	if n.spread != nil {
		errs = append(errs, n.spread.Close())
	}
	// Before the program goes: as long as it is there nobody else opens the interface.
	if n.tuning != nil {
		errs = append(errs, n.tuning.Close())
	}
	if n.prog != nil {
		errs = append(errs, n.prog.Close())
	}
	for _, p := range n.ports {
		errs = append(errs, p.Close())
	}
	if n.claims != nil {
		n.claims.close()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("millrace: close %s: %w", n.probe.Name, err)
	}
	return nil
}

// router is the kernel's view of the network, as the engines ask for it.
type router struct {
	view *hostnet.View
	mtu  int // what a frame holds
}

// Route returns the way to dst.
func (r *router) Route(src, dst netip.Addr) (engine.Hop, engine.RouteStatus) {
	h, status := r.view.Route(src, dst)
	h.MTU = min(h.MTU, r.mtu)
	switch status {
	case hostnet.OK:
		return engine.Hop(h), engine.RouteOK
	case hostnet.Unresolved:
		return engine.Hop(h), engine.RouteUnresolved
	case hostnet.Unreachable:
	}
	return engine.Hop(h), engine.RouteImpossible
}

// Generation changes when an answer of Route may have.
func (r *router) Generation() uint64 { return r.view.Generation() }
