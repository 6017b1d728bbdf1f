// Package pipe is a link in memory: two ports, and what is sent on one is received on the
// other. No octet is copied on the way. A transmit frame travels to the peer as it is,
// and comes home when the peer frees it.
package pipe

import (
	"fmt"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// Limits of a Config.
const (
	frameSizeMin = 64
	frameSizeMax = 64 << 10
	framesMax    = 1 << 16
)

// keepShare is which part of the frames the peer may keep: a quarter.
const keepShare = 4

// Config describes a pipe. The zero value is the documented default.
type Config struct {
	// FrameSize is the room in a frame, in octets, from 64 to 64 KiB. Default 2048.
	FrameSize int
	// Frames is how many transmit frames each port has, at most 65536, rounded up to a
	// power of two. Default 256: with 2 KiB frames both directions fit in 1 MiB of cache.
	Frames int
	// Queue is the most frames that wait for a port's Recv; what is sent beyond is
	// dropped and counted at the receiver. Default: Frames, so that nothing is ever
	// dropped, and a slow receiver makes the sender's Alloc run dry instead.
	Queue int
	// Pieces is the most frames of a packet, from 1 to dataplane.PiecesMax. Default 1.
	Pieces int
	// LinkLocal is passed on in Info.
	LinkLocal bool
}

func (c Config) withDefaults() (Config, error) {
	if c.FrameSize == 0 {
		c.FrameSize = 2048
	}
	if c.Frames == 0 {
		c.Frames = 256
	}
	if c.FrameSize < frameSizeMin || c.FrameSize > frameSizeMax {
		return c, fmt.Errorf("pipe: config: FrameSize %d is not in [%d, %d]", c.FrameSize, frameSizeMin, frameSizeMax)
	}
	if c.Frames < 1 || c.Frames > framesMax {
		return c, fmt.Errorf("pipe: config: Frames %d is not in [1, %d]", c.Frames, framesMax)
	}
	if c.Pieces < 0 || c.Pieces > dataplane.PiecesMax {
		return c, fmt.Errorf("pipe: config: Pieces %d is not in [1, %d]", c.Pieces, dataplane.PiecesMax)
	}
	c.Pieces = max(1, c.Pieces)
	c.Frames = 1 << bits.Len(uint(c.Frames-1))
	if c.Queue == 0 || c.Queue > c.Frames {
		c.Queue = c.Frames
	}
	if c.Queue < 0 {
		return c, fmt.Errorf("pipe: config: Queue %d is negative", c.Queue)
	}
	return c, nil
}

// state says who holds a frame. It passes from goroutine to goroutine with the frame, over
// the rings, and so needs no atomic of its own. It is there to catch a frame given twice.
type state uint8

const (
	atHome   state = iota // on its owner's free list, or on the way there
	lent                  // allocated
	inFlight              // sent, not received
	received              // at the peer's worker
	kept                  // at a reader of the peer's, whose worker has ended
)

// Port is one end of a pipe. It implements dataplane.Port.
type Port struct {
	info dataplane.Info
	peer *Port

	// Owned by this port's worker.
	free   []uint32 // own frames at home, last in first out: the warmest first
	nLent  int      // allocated, neither sent nor cancelled
	nTaken int      // received, not freed
	timer  *time.Timer
	late   sync.Mutex // held by Close and Return, which have no worker beside them

	// Fixed after New but for the contents, which the frame's holder owns.
	mem   []byte
	state []state

	in   ring // frames of the peer, on the way here: the peer puts, we take
	home ring // own frames that the peer freed: the peer puts, we take

	gate    chan struct{} // holds one wake-up
	parked  atomic.Bool   // in Wait, or about to be
	muted   atomic.Bool   // frames end Poll, not Wait
	polling atomic.Bool   // in Poll, or about to be
	polled  chan struct{} // holds one wake-up of Poll
	polls   *time.Timer
	starved atomic.Bool // Alloc ran dry; a frame that comes home ends Wait
	closed  atomic.Bool

	stats counters
}

var (
	_ dataplane.SharedPort  = (*Port)(nil)
	_ dataplane.KeepingPort = (*Port)(nil)
)

// New returns the two ends of a new pipe. A Config out of range is a programmer's mistake
// and panics.
func New(cfg Config) (a, b *Port) {
	c, err := cfg.withDefaults()
	if err != nil {
		panic(err)
	}
	a, b = newPort("pipe a", c), newPort("pipe b", c)
	a.peer, b.peer = b, a
	return a, b
}

func newPort(name string, c Config) *Port {
	p := &Port{
		info: dataplane.Info{
			Name:      name,
			FrameSize: c.FrameSize,
			TXFrames:  c.Frames,
			Pieces:    c.Pieces,
			LinkLocal: c.LinkLocal,
			KeepMax:   c.Frames / keepShare,
			KeepSize:  c.FrameSize,
		},
		free:  make([]uint32, c.Frames),
		timer: time.NewTimer(time.Hour),
		mem:   make([]byte, c.Frames*c.FrameSize),
		state: make([]state, c.Frames),
		gate:  make(chan struct{}, 1),

		polled: make(chan struct{}, 1),
		polls:  time.NewTimer(time.Hour),
	}
	p.timer.Stop()
	p.polls.Stop()
	p.in.init(c.Frames, c.Queue)
	p.home.init(c.Frames, c.Frames)
	for i := range p.free {
		p.free[i] = uint32(c.Frames - 1 - i)
	}
	return p
}

// Info describes the port.
func (p *Port) Info() dataplane.Info { return p.info }

// Stats returns the counters. Any goroutine may call it.
func (p *Port) Stats() dataplane.Stats { return p.stats.read() }

// Close stops the port. Frames on the way to it go home to the peer, and what the peer
// sends from now on is dropped. A frame that this port's worker still holds is an error.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return fmt.Errorf("pipe: close %s: %w", p.info.Name, net.ErrClosed)
	}
	p.Wake()
	p.Interrupt()
	p.late.Lock()
	defer p.late.Unlock()
	for {
		e, ok := p.in.get()
		if !ok {
			break
		}
		p.peer.state[e.index] = atHome
		p.peer.home.put(e)
	}
	p.in.publishGet()
	p.peer.home.publishPut()
	p.peer.cameHome()
	if p.nLent != 0 || p.nTaken != 0 {
		return fmt.Errorf("pipe: close %s: BUG: %d allocated and %d received frames are missing",
			p.info.Name, p.nLent, p.nTaken)
	}
	return nil
}
