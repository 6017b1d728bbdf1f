// Package fault wraps a port and spoils what crosses it: frames are lost, alone or in
// bursts, duplicated, corrupted, reordered and delayed, each direction by itself. The same
// seed, frames and times give the same faults.
package fault

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/mono"
)

// roomMax is the most frames that Config.Room allows: at 2 KiB a frame, 128 MiB.
const roomMax = 1 << 16

// keepShare is which part of the boxes may be kept by who has received them: a quarter.
const keepShare = 4

// queueMax keeps the arithmetic of a bottleneck within 64 bits.
const queueMax = 1 << 30

// Config says what goes wrong. The zero value is that nothing does.
type Config struct {
	// Seed makes the faults; 0 is a seed like any other.
	Seed uint64
	// TX is for what the worker sends, RX for what it receives.
	TX, RX Direction
	// Room is the most frames that wait in one direction, held back, delayed or copied;
	// one more is lost, and counted as Overflowed. Default 1024.
	Room int
	// Now is the clock of ReorderMax, Delay and Jitter. Default: the system's monotonic one.
	Now func() mono.Time
}

// Direction is what goes wrong one way. Probabilities are from 0 to 1 and judged frame by
// frame, in the order of the fields.
type Direction struct {
	// Loss is the probability that a frame is lost, independently of others.
	Loss float64
	// Burst is loss that comes in bursts.
	Burst Burst
	// Duplicate is the probability that a frame comes twice.
	Duplicate float64
	// Corrupt is the probability that one bit of a frame flips, after the Ethernet header:
	// a frame whose addresses are wrong is merely lost, and Loss is for that.
	// On a veth whose other end leaves checksums to hardware that is not there (Info.LinkLocal)
	// nobody notices what was spoilt on receipt: switch that off there (ethtool -K DEV tx off).
	Corrupt float64
	// Reorder is the probability that a frame is held back until ReorderBy others have
	// overtaken it (default 3), or ReorderMax has passed (default 10 ms).
	Reorder    float64
	ReorderBy  int
	ReorderMax time.Duration
	// Delay is added to every frame's way, and up to Jitter more, evenly. Frames whose
	// jitter differs overtake each other.
	Delay, Jitter time.Duration
	// Rate is that of a bottleneck in bits a second, 0 for none: what comes faster waits, up to
	// Queue octets of frames, and is lost beyond. Delay follows.
	Rate  int64
	Queue int
	// LateMax, if not 0, has frames counted that left later than that after they were due: a
	// busy machine is no good emulator.
	LateMax time.Duration
}

// Burst is the Gilbert-Elliott model: a link that is good or bad, and before each frame
// passes from one to the other with a probability. The mean burst is 1/ToGood frames.
type Burst struct {
	// ToBad is the probability that the good state ends, ToGood that the bad one does.
	// With ToBad 0 there are no bursts.
	ToBad, ToGood float64
	// LossGood and LossBad are the probabilities of loss in either state. LossBad 0 is 1.
	LossGood, LossBad float64
}

func (c Config) withDefaults() (Config, error) {
	if c.Room == 0 {
		c.Room = 1024
	}
	if c.Room < 1 || c.Room > roomMax {
		return c, fmt.Errorf("fault: config: Room %d is not in [1, %d]", c.Room, roomMax)
	}
	if c.Now == nil {
		start := time.Now()
		c.Now = func() mono.Time { return mono.Time(time.Since(start)) }
	}
	for name, d := range map[string]*Direction{"TX": &c.TX, "RX": &c.RX} {
		if err := d.setDefaults(); err != nil {
			return c, fmt.Errorf("fault: config: %s: %w", name, err)
		}
	}
	return c, nil
}

func (d *Direction) setDefaults() error {
	if d.ReorderBy == 0 {
		d.ReorderBy = 3
	}
	if d.ReorderMax == 0 {
		d.ReorderMax = 10 * time.Millisecond
	}
	if d.Burst.ToBad > 0 && d.Burst.LossBad == 0 {
		d.Burst.LossBad = 1
	}
	for _, p := range []float64{d.Loss, d.Duplicate, d.Corrupt, d.Reorder,
		d.Burst.ToBad, d.Burst.ToGood, d.Burst.LossGood, d.Burst.LossBad} {
		if !(p >= 0 && p <= 1) { // NaN is neither
			return fmt.Errorf("probability %v is not in [0, 1]", p)
		}
	}
	if d.Rate < 0 || d.Queue < 0 || d.Queue > queueMax || d.Rate > 0 && d.Queue == 0 {
		return fmt.Errorf("rate %d is negative, or the queue of %d octets is not in [1, %d]", d.Rate, d.Queue, queueMax)
	}
	if d.ReorderBy < 0 || d.ReorderMax < 0 || d.Delay < 0 || d.Jitter < 0 {
		return fmt.Errorf("ReorderBy %d, ReorderMax %v, Delay %v or Jitter %v is negative",
			d.ReorderBy, d.ReorderMax, d.Delay, d.Jitter)
	}
	return nil
}

// Counters are what went wrong one way, in frames.
type Counters struct {
	Passed     uint64 // went on at once or after waiting, copies included
	Lost       uint64 // by Loss
	BurstLost  uint64 // by Burst
	Duplicated uint64
	Corrupted  uint64
	Reordered  uint64 // held back
	Delayed    uint64
	Overflowed uint64 // lost, or not duplicated, because Room was full

	QueueDropped uint64 // found no room at the bottleneck
	Late         uint64 // left later than LateMax after they were due
}

// Port is a port with faults. It implements dataplane.Port and owns the port it wraps.
type Port struct {
	inner  dataplane.Port
	now    func() mono.Time
	rx, tx lane
	nTaken int // copies received from us, not freed
	size   int // of a transmit frame

	out   batch // passed, not yet handed to inner
	inBox batch // from inner, not yet judged
	back  batch // scratch of Free, whose frames would escape to the heap
}

type batch struct {
	frames [dataplane.BatchMax]dataplane.Frame
	n      int
}

var _ dataplane.KeepingPort = (*Port)(nil)

// New wraps inner, which belongs to the new port from then on.
func New(inner dataplane.Port, cfg Config) (*Port, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Port{inner: inner, now: c.Now}
	size := inner.Info().FrameSize
	p.size = size
	p.rx.init(c.RX, rand.NewPCG(c.Seed, 'R'), c.Room, size)
	p.tx.init(c.TX, rand.NewPCG(c.Seed, 'T'), c.Room, size)
	return p, nil
}

// Counters returns what went wrong so far, each way. Any goroutine may call it.
func (p *Port) Counters() (rx, tx Counters) { return p.rx.count.read(), p.tx.count.read() }

// Stats returns the counters of the wrapped port: what really crossed the link.
func (p *Port) Stats() dataplane.Stats { return p.inner.Stats() }

// Info describes the wrapped port.
func (p *Port) Info() dataplane.Info {
	info := p.inner.Info()
	info.Name += " with faults"
	if room := len(p.rx.boxes); room > 0 {
		info.KeepMax = min(info.KeepMax, room/keepShare)
	}
	info.TXChecksum = false // or what is corrupted here would get a checksum that is right
	return info
}

// Wake ends the present Wait, or the next one.
func (p *Port) Wake() { p.inner.Wake() }

// Close closes the wrapped port. Frames that wait are lost.
func (p *Port) Close() error {
	p.inner.Free(p.inBox.frames[:p.inBox.n])
	p.inBox.n = 0
	err := p.inner.Close()
	if p.nTaken != 0 {
		miss := fmt.Errorf("fault: close %s: BUG: %d copied frames were received and not freed", p.Info().Name, p.nTaken)
		if err == nil {
			return miss
		}
		return fmt.Errorf("%w; %w", miss, err)
	}
	return err
}
