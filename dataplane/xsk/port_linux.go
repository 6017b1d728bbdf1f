package xsk

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/dataplane"
)

// holder says who has a frame. It is how a frame given twice, or an address that the
// kernel made up, is told from a good one.
type holder uint8

const (
	withKernel holder = iota // on the fill ring or beyond; of a transmit frame: sent
	withWorker               // received, or allocated
	free                     // on the list of free transmit frames, or returned late
	withReader               // received, and left to a reader
)

// Port is an open socket. It implements dataplane.Port.
type Port struct {
	cfg  Config
	info dataplane.Info
	sock *socket
	file *os.File        // owns the descriptor, and waits on it
	raw  syscall.RawConn // of file

	declined error // why it is copy mode and not zero-copy, in mode Auto

	// The worker's.
	holder  []holder    // by chunk: the receive frames, then the transmit frames
	shift   int         // a chunk is 1 << shift octets
	txFree  []uint32    // chunks, last in first out: the warmest first
	nTaken  int         // received, not freed
	nLent   int         // allocated, neither sent nor cancelled
	nBogus  uint32      // descriptors received that named no frame of ours
	begun   begun       // pieces received, whose packet has not come to its end
	txOwed  atomic.Bool // the kernel may not have read the transmit ring to its end
	starved atomic.Bool // Alloc ran dry since the last Wait
	txRead  uint32      // how far the kernel had read the transmit ring when last seen

	pollFD [1]unix.PollFd // of wakeDriver

	wait   waiter
	closed atomic.Bool
	late   late
	stats  counters
}

var (
	_ dataplane.SharedPort  = (*Port)(nil)
	_ dataplane.KeepingPort = (*Port)(nil)
	_ dataplane.CrowdedPort = (*Port)(nil)
)

// Open opens a socket for one receive queue. The calling thread must be in the network
// namespace of the interface; the port itself may be used from any other.
func Open(cfg Config) (*Port, error) {
	hardware, mtu, err := lookUp(&cfg)
	if err != nil {
		return nil, fmt.Errorf("xsk: open: %w", err)
	}
	if cfg, err = cfg.withDefaults(hardware, mtu); err != nil {
		return nil, err
	}
	s, declined, err := openMode(&cfg)
	if err != nil {
		return nil, fmt.Errorf("xsk: open %s/%d: %w", cfg.IfName, cfg.Queue, err)
	}
	p, err := newPort(cfg, s)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("xsk: open %s/%d: %w", cfg.IfName, cfg.Queue, err)
	}
	p.declined = declined
	return p, nil
}

// openMode opens a socket in the best mode that cfg asks for and the kernel grants. declined is why
// that is not zero-copy, where it was asked for.
func openMode(cfg *Config) (s *socket, declined, err error) {
	if cfg.Mode != Copy {
		// Without a flag the kernel would fall back to copy mode and not say so.
		if s, err = openPieces(cfg, unix.XDP_ZEROCOPY); err == nil || cfg.Mode == ZeroCopy {
			return s, nil, err
		}
		declined = err
	}
	s, err = openPieces(cfg, unix.XDP_COPY)
	return s, declined, err
}

// openPieces opens a socket for packets of several frames, or, where the kernel (before 6.6) or
// the driver does not know them, for those of one.
func openPieces(cfg *Config, flags uint16) (*socket, error) {
	s, err := openSocket(cfg, flags|unix.XDP_USE_SG)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		s, err = openSocket(cfg, flags)
	}
	return s, err
}

func newPort(cfg Config, s *socket) (*Port, error) {
	p := deal(cfg, s)
	if err := p.initWait(p.info.Name); err != nil {
		return nil, err
	}
	return p, nil
}

// deal makes a port of a socket: the receive frames are with the kernel, the transmit frames
// go to the free list.
func deal(cfg Config, s *socket) *Port {
	mode := "copy"
	if s.zeroCopy {
		mode = "zero-copy"
	}
	p := &Port{
		cfg: cfg,
		info: dataplane.Info{
			Name:      fmt.Sprintf("xsk %s/%d %s", cfg.IfName, cfg.Queue, mode),
			Queue:     cfg.Queue,
			FrameSize: cfg.FrameSize - s.headroom,
			TXFrames:  cfg.TXFrames,
			Pieces:    s.pieces,
			LinkLocal: cfg.LinkLocal,
			KeepMax:   cfg.RXFrames / keepShare,
			KeepSize:  cfg.FrameSize,
			// In copy mode the kernel completes what the driver cannot.
			TXChecksum: s.headroom > 0 && (!s.zeroCopy || cfg.ZeroCopyChecksum),
		},
		sock:   s,
		holder: make([]holder, cfg.RXFrames+cfg.TXFrames),
		shift:  bits.TrailingZeros(uint(cfg.FrameSize)),
		txFree: make([]uint32, cfg.TXFrames),
		txRead: s.tx.prod,
	}
	for i := range p.txFree {
		chunk := uint32(cfg.RXFrames + cfg.TXFrames - 1 - i)
		p.txFree[i], p.holder[chunk] = chunk, free
	}
	return p
}

// refill puts a receive frame on the fill ring. There is room: the ring holds them all.
// The caller publishes.
func (p *Port) refill(chunk uint32) {
	r := &p.sock.fill
	r.addrs[r.prod&r.mask] = uint64(chunk) << p.shift
	r.prod++
	p.holder[chunk] = withKernel
}

// FD is the socket's descriptor, for the XSKMAP. It stays the port's.
func (p *Port) FD() int { return p.sock.fd }

// ZeroCopy says which mode the kernel granted.
func (p *Port) ZeroCopy() bool { return p.sock.zeroCopy }

// Declined says why the mode is copy where Auto asked for zero-copy first; nil where it did not, or
// got it.
func (p *Port) Declined() error { return p.declined }

// Memory says how many octets of frame memory the port has, and in what pages.
func (p *Port) Memory() (octets int, pages Pages) {
	return (p.cfg.RXFrames + p.cfg.TXFrames) * p.cfg.FrameSize, p.sock.memory.pages
}

// Config is what the port was opened with, what was left to it filled in.
func (p *Port) Config() Config { return p.cfg }

// Info describes the port.
func (p *Port) Info() dataplane.Info { return p.info }

// Close closes the socket and gives its memory back, or leaves that to the last Return. Frames
// that the worker still holds, or that the rings do not account for, are missing and reported;
// for these the memory stays for ever, rather than that somebody reads where it was.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return fmt.Errorf("xsk: close %s: %w", p.info.Name, os.ErrClosed)
	}
	p.Wake()
	p.drain()
	p.stats.keepKernel(p.raw)
	missing := p.missing()
	s := p.sock
	err := errors.Join(p.wait.close(), p.file.Close())
	s.fd = -1 // It was the file's.
	p.late.close(s, missing != nil)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		err = fmt.Errorf("xsk: close %s: %w", p.info.Name, err)
	}
	return errors.Join(err, missing)
}

// missing balances the books: every frame is with the worker, on the free list, or with
// the kernel, and how many are with the kernel follows from the ring positions.
func (p *Port) missing() error {
	s := p.sock
	p.collect()
	for _, f := range p.begun.frames[:p.begun.n] {
		p.refill(uint32(f.Handle >> p.shift))
	}
	p.begun.n = 0
	rx := p.cfg.RXFrames - int(s.fill.prod-(s.rx.cons-p.nBogus)) - p.late.left
	tx := p.cfg.TXFrames - len(p.txFree) - int(s.tx.prod-s.comp.cons)
	if rx != 0 || tx != 0 {
		return fmt.Errorf("xsk: close %s: BUG: %d receive frames are missing (%d received, not freed), %d transmit frames (%d allocated, not returned)",
			p.info.Name, rx, p.nTaken, tx, p.nLent)
	}
	return nil
}
