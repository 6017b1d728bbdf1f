// Package pcap wraps a port and writes what crosses it, both ways, to a pcapng capture.
//
// The worker copies frames into a queue of bounded size and never waits: a goroutine of
// the wrapper's own writes them. What finds the queue full is missing from the capture,
// not from the link, and is counted; the capture itself says so, packet by packet and in
// its closing statistics, so that a reader does not take a gap for a loss.
package pcap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/millrace-tcp/millrace/dataplane"
)

// Limits of a Config.
const (
	queueMin = 128 << 10 // a packet of dataplane.PiecesMax frames of 4 KiB, and a little
	queueMax = 1 << 30
	snapMax  = queueMin - recordHeader
)

// Config says how to capture. The zero value is the documented default.
type Config struct {
	// Queue is the size, in octets, of what waits for the writer, rounded up to a power
	// of two, at least 128 KiB. Default 8 MiB: 50 ms at line rate of 1 Gbit/s, both ways.
	Queue int
	// SnapLen is the most octets kept of a packet. Default: all.
	SnapLen int
	// Now is the clock of the time stamps. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	if c.Queue == 0 {
		c.Queue = 8 << 20
	}
	if c.SnapLen == 0 {
		c.SnapLen = snapMax
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Queue < queueMin || c.Queue > queueMax {
		return c, fmt.Errorf("pcap: config: Queue %d is not in [%d, %d]", c.Queue, queueMin, queueMax)
	}
	if c.SnapLen < 0 || c.SnapLen > snapMax {
		return c, fmt.Errorf("pcap: config: SnapLen %d is not in [0, %d]", c.SnapLen, snapMax)
	}
	c.Queue = 1 << bits.Len(uint(c.Queue-1))
	return c, nil
}

// Port is a port that is captured. It implements dataplane.Port and owns the port that it
// wraps, but not the writer it writes to.
type Port struct {
	inner dataplane.Port
	cfg   Config
	queue *queue

	done chan struct{} // closed when the writing goroutine has ended
	err  error         // of writing; read after done
}

var _ dataplane.KeepingPort = (*Port)(nil)

// New captures inner to w, and writes the head of the capture before it returns. inner
// belongs to the new port from then on; w is used until Close has returned.
func New(inner dataplane.Port, w io.Writer, cfg Config) (*Port, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	info := inner.Info()
	out := bufio.NewWriterSize(w, 64<<10)
	ng, err := pcapgo.NewNgWriterInterface(out, pcapgo.NgInterface{
		Name:                info.Name,
		OS:                  runtime.GOOS,
		LinkType:            layers.LinkTypeEthernet,
		SnapLength:          uint32(c.SnapLen),
		TimestampResolution: 9,
	}, pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware:    runtime.GOARCH,
		OS:          runtime.GOOS,
		Application: "millrace",
	}})
	if err == nil {
		err = errors.Join(ng.Flush(), out.Flush())
	}
	if err != nil {
		return nil, fmt.Errorf("pcap: begin capture of %s: %w", info.Name, err)
	}
	p := &Port{inner: inner, cfg: c, queue: newQueue(c.Queue), done: make(chan struct{})}
	go p.write(&capture{ng: ng, out: out, queue: p.queue, port: uint32(info.Queue)})
	return p, nil
}

// Captured returns how many packets were put into the queue, and how many found no room
// there. Any goroutine may call it.
func (p *Port) Captured() (queued, missed uint64) {
	return p.queue.queued.Load(), p.queue.missed.Load()
}

// Recv receives, and captures what came.
func (p *Port) Recv(dst []dataplane.Frame) int {
	n := p.inner.Recv(dst)
	p.record(dst[:n], inbound)
	return n
}

// Send captures and sends.
func (p *Port) Send(frames []dataplane.Frame) {
	p.record(frames, outbound)
	p.inner.Send(frames)
}

// record copies a batch of packets into the queue, with one time stamp for all: that is
// when the worker had them.
func (p *Port) record(frames []dataplane.Frame, dir direction) {
	if len(frames) == 0 {
		return
	}
	now := p.cfg.Now().UnixNano()
	for len(frames) > 0 {
		n, size := dataplane.PacketLen(frames), 0
		for i := range n {
			size += len(frames[i].Data)
		}
		p.queue.put(record{
			time:     now,
			length:   uint32(size),
			captured: uint32(min(size, p.cfg.SnapLen)),
			dir:      dir,
		}, frames[:n])
		frames = frames[n:]
	}
	p.queue.publish()
}

// The rest is the wrapped port's.

// Free gives received frames back.
func (p *Port) Free(frames []dataplane.Frame) { p.inner.Free(frames) }

// Leave leaves received frames to readers, where the wrapped port lets frames be kept.
func (p *Port) Leave(frames []dataplane.Frame) { p.inner.(dataplane.KeepingPort).Leave(frames) }

// Return gives one of those back.
func (p *Port) Return(f dataplane.Frame) { p.inner.(dataplane.KeepingPort).Return(f) }

// Crowded says whether the wrapped port is, of one that knows.
func (p *Port) Crowded() bool { return dataplane.Crowded(p.inner) }

// Alloc lends transmit frames.
func (p *Port) Alloc(dst []dataplane.Frame) int { return p.inner.Alloc(dst) }

// Cancel takes allocated frames back; they are not captured.
func (p *Port) Cancel(frames []dataplane.Frame) { p.inner.Cancel(frames) }

// Flush flushes the wrapped port; the capture has a goroutine of its own.
func (p *Port) Flush() { p.inner.Flush() }

// Wait waits on the wrapped port.
func (p *Port) Wait(d time.Duration) error { return p.inner.Wait(d) }

// Wake ends the present Wait, or the next one.
func (p *Port) Wake() { p.inner.Wake() }

// Info describes the wrapped port.
func (p *Port) Info() dataplane.Info { return p.inner.Info() }

// Stats returns the counters of the wrapped port.
func (p *Port) Stats() dataplane.Stats { return p.inner.Stats() }

// Close closes the wrapped port and ends the capture: all that is in the queue is written.
// An error of writing, now or earlier, is reported here.
func (p *Port) Close() error {
	err := p.inner.Close()
	p.queue.end()
	<-p.done
	if p.err != nil {
		err = errors.Join(err, fmt.Errorf("pcap: write capture of %s: %w", p.inner.Info().Name, p.err))
	}
	return err
}
