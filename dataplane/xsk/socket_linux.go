package xsk

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// The kernel tears the pool of a closed socket down later; until then a new bind to
	// the queue says EBUSY.
	bindRetryEach = 5 * time.Millisecond
	bindRetryMax  = 2 * time.Second

	// skbBudget is the most packets that one kick moves in copy mode, where the kernel
	// lets it be set (6.18). A quarter of the default ring: the call stays under a
	// millisecond, and its own cost is spread over many frames.
	skbBudget = 256
)

// socket is an AF_XDP socket that is bound, with its rings and its frame memory.
type socket struct {
	fd       int
	zeroCopy bool
	pieces   int // the most frames of a packet that can be sent
	headroom int // octets before a packet to send, whose last are metadata
	fill     addrRing
	comp     addrRing
	rx, tx   descRing
	memory   *memory
	umem     []byte // its frames
}

// openSocket opens, sets up and binds a socket in the mode that flags ask for.
func openSocket(cfg *Config, flags uint16) (s *socket, err error) {
	s = &socket{fd: -1}
	defer func() {
		if err != nil {
			s.close()
			s = nil
		}
	}()
	// Blocking, so that os does not give it to the netpoller: see waiter. No call of ours
	// blocks on it.
	if s.fd, err = unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return s, fmt.Errorf("socket: %w", err)
	}
	if err = s.allocate(cfg); err != nil {
		return s, err
	}
	if err = s.mapRings(cfg); err != nil {
		return s, err
	}
	s.stock(cfg)
	s.tune(cfg)
	if err = s.bind(cfg, flags); err != nil {
		return s, err
	}
	opts, err := unix.GetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	if err != nil {
		return s, fmt.Errorf("ask what was granted: %w", err)
	}
	s.zeroCopy = opts&unix.XDP_OPTIONS_ZEROCOPY != 0
	s.pieces = pieces(cfg, flags)
	if flags&unix.XDP_ZEROCOPY != 0 && !s.zeroCopy {
		return s, fmt.Errorf("zero-copy bind: granted copy mode: %w", unix.EOPNOTSUPP)
	}
	return s, nil
}

// copyPieces is how many frames the kernel makes one packet of in copy mode: the first goes into
// the head of an skb, each other one is one of its 17 fragments.
const copyPieces = 17

// pieces is how many frames a packet to send may have, of a socket that was bound with flags.
func pieces(cfg *Config, flags uint16) int {
	switch {
	case flags&unix.XDP_USE_SG == 0:
		return 1
	case flags&unix.XDP_ZEROCOPY != 0:
		return min(max(1, cfg.ZeroCopyPieces), copyPieces)
	}
	return copyPieces
}

// allocate maps the frame memory and has the kernel make the rings.
func (s *socket) allocate(cfg *Config) (err error) {
	size := (cfg.RXFrames + cfg.TXFrames) * cfg.FrameSize
	if s.memory, err = mapMemory(size, cfg.NUMANodes); err != nil {
		return err
	}
	s.umem = s.memory.frames
	if err = registerUMEM(s.fd, s.umem, cfg.FrameSize, metadataLen); err == nil {
		s.headroom = txHeadroom
	} else if errors.Is(err, unix.EINVAL) {
		err = registerUMEM(s.fd, s.umem, cfg.FrameSize, 0)
	}
	if err != nil {
		return err
	}
	for _, r := range []struct {
		name      string
		opt, size int
	}{
		{"fill", unix.XDP_UMEM_FILL_RING, cfg.fillRing()},
		{"completion", unix.XDP_UMEM_COMPLETION_RING, cfg.TXRing},
		{"receive", unix.XDP_RX_RING, cfg.RXRing},
		{"transmit", unix.XDP_TX_RING, cfg.TXRing},
	} {
		if err = unix.SetsockoptInt(s.fd, unix.SOL_XDP, r.opt, r.size); err != nil {
			return fmt.Errorf("make %s ring of %d: %w", r.name, r.size, err)
		}
	}
	return nil
}

func (s *socket) mapRings(cfg *Config) error {
	off, err := mmapOffsets(s.fd)
	if err != nil {
		return err
	}
	return errors.Join(
		s.fill.open(s.fd, unix.XDP_UMEM_PGOFF_FILL_RING, off.Fr, cfg.fillRing()),
		s.comp.open(s.fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, off.Cr, cfg.TXRing),
		s.rx.open(s.fd, unix.XDP_PGOFF_RX_RING, off.Rx, cfg.RXRing),
		s.tx.open(s.fd, unix.XDP_PGOFF_TX_RING, off.Tx, cfg.TXRing),
	)
}

// stock puts all receive frames on the fill ring. That is before the bind, in which drivers of
// hardware take theirs: one that finds none sleeps until it is told that there are some.
func (s *socket) stock(cfg *Config) {
	r := &s.fill
	for chunk := range cfg.RXFrames {
		r.addrs[r.prod&r.mask] = uint64(chunk * cfg.FrameSize)
		r.prod++
	}
	r.publish()
}

// tune sets what helps and can be done without: an error is an older kernel, or a missing
// capability, and leaves the socket slower but right.
func (s *socket) tune(cfg *Config) {
	_ = unix.SetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, min(skbBudget, cfg.TXRing))
	// In copy mode every frame on its way through a driver is charged to the send buffer;
	// the default of 208 KiB stops at 90 of them. Twice the frame, for the skb around it.
	buf := 2 * cfg.TXFrames * cfg.FrameSize
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buf) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, buf)
	}
	if cfg.BusyPoll {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_PREFER_BUSY_POLL, 1)
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BUSY_POLL, 20) // µs
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_BUSY_POLL_BUDGET, cfg.BusyPollBudget)
	}
}

func (s *socket) bind(cfg *Config, flags uint16) error {
	addr := &unix.SockaddrXDP{
		Flags:   flags | unix.XDP_USE_NEED_WAKEUP,
		Ifindex: uint32(cfg.Ifindex),
		QueueID: uint32(cfg.Queue),
	}
	for end := time.Now().Add(bindRetryMax); ; time.Sleep(bindRetryEach) {
		err := unix.Bind(s.fd, addr)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return fmt.Errorf("bind queue %d: %w", cfg.Queue, err)
		}
	}
}

// close gives everything back. The memory goes last: until the socket is closed the
// kernel may write to it.
func (s *socket) close() {
	s.closeRings()
	s.freeMemory()
}

// closeRings gives back all but the memory.
func (s *socket) closeRings() {
	for _, r := range []*ring{&s.fill.ring, &s.comp.ring, &s.rx.ring, &s.tx.ring} {
		if r.mem != nil {
			_ = unix.Munmap(r.mem)
			r.mem = nil
		}
	}
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (s *socket) freeMemory() {
	s.memory.unmap()
	s.umem = nil
}

// lookUp completes name and index of the interface, and says what is below.
func lookUp(cfg *Config) (hardware bool, mtu int, err error) {
	var ifi *net.Interface
	if cfg.Ifindex != 0 {
		ifi, err = net.InterfaceByIndex(cfg.Ifindex)
	} else {
		ifi, err = net.InterfaceByName(cfg.IfName)
	}
	if err != nil {
		return false, 0, fmt.Errorf("interface %q, index %d: %w", cfg.IfName, cfg.Ifindex, err)
	}
	cfg.Ifindex, cfg.IfName = ifi.Index, ifi.Name
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, 0, fmt.Errorf("socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	// Only a device on a bus has an address there; a driver without ethtool has none.
	if info, err := unix.IoctlGetEthtoolDrvinfo(fd, ifi.Name); err == nil {
		hardware = info.Bus_info[0] != 0
	}
	return hardware, ifi.MTU, nil
}
