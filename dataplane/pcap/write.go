package pcap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// capture is the writing side: it belongs to the goroutine that runs Port.write.
type capture struct {
	ng      *pcapgo.NgWriter // for the head and the closing statistics
	out     *bufio.Writer    // what ng writes to
	queue   *queue
	port    uint32 // the queue of the interface that the port serves
	written uint64
	started int64 // Unix, in nanoseconds
	last    int64
	head    []byte // scratch
	data    [snapMax]byte
}

// write empties the queue into the capture until the end. It goes on emptying after an
// error, so that the counters stay true, but writes no more.
func (p *Port) write(c *capture) {
	defer close(p.done)
	tail := uint64(0)
	for {
		if c.queue.head.Load() == tail && p.err == nil {
			// All caught up: let a reader of the file see it.
			p.err = c.out.Flush()
		}
		if c.queue.wait(tail) {
			break
		}
		for head := c.queue.head.Load(); tail != head; {
			var r record
			r, tail = c.queue.get(tail, c.data[:])
			if p.err == nil {
				p.err = c.packet(r)
			}
			c.queue.tail.Store(tail)
		}
	}
	if p.err == nil {
		p.err = c.finish()
	}
}

// The numbers of an enhanced packet block.
// https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-03.html#section-4.3
const (
	blockEnhancedPacket = 6
	optionEnd           = 0
	optionFlags         = 2
	optionDropCount     = 4
	optionQueue         = 6
	flagInbound         = 1
	flagOutbound        = 2

	blockFixed = 28 + 4 // before the octets of the packet, and after the options
)

// packet writes one frame, with its direction, and with the number of frames that are
// missing before it. The library can do that too, but not without several allocations a
// packet, which would make the collector run in the worker's time.
func (c *capture) packet(r record) error {
	c.last = r.time
	if c.written == 0 {
		c.started = r.time
	}
	c.written++
	options := 8 + 4 // flags, end
	if r.dir == inbound {
		options += 8
	}
	if r.missed > 0 {
		options += 12
	}
	pad := -int(r.captured) & 3
	length := uint32(blockFixed + int(r.captured) + pad + options)

	le := binary.LittleEndian
	b := c.head[:0]
	b = le.AppendUint32(b, blockEnhancedPacket)
	b = le.AppendUint32(b, length)
	b = le.AppendUint32(b, 0) // the interface
	b = le.AppendUint32(b, uint32(uint64(r.time)>>32))
	b = le.AppendUint32(b, uint32(r.time))
	b = le.AppendUint32(b, r.captured)
	b = le.AppendUint32(b, r.length)
	_, err := c.out.Write(b)
	if _, e := c.out.Write(c.data[:r.captured]); err == nil {
		err = e
	}
	b = append(b[:0], 0, 0, 0)[:pad]
	b = appendOption(b, optionFlags, 4)
	if r.dir == inbound {
		b = le.AppendUint32(b, flagInbound)
		b = appendOption(b, optionQueue, 4)
		b = le.AppendUint32(b, c.port)
	} else {
		b = le.AppendUint32(b, flagOutbound)
	}
	if r.missed > 0 {
		b = appendOption(b, optionDropCount, 8)
		b = le.AppendUint64(b, uint64(r.missed))
	}
	b = appendOption(b, optionEnd, 0)
	b = le.AppendUint32(b, length)
	if _, e := c.out.Write(b); err == nil {
		err = e
	}
	c.head = b
	return err
}

func appendOption(b []byte, code, length uint16) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	return binary.LittleEndian.AppendUint16(b, length)
}

// finish writes the statistics of the capture.
func (c *capture) finish() error {
	missed := c.queue.missed.Load()
	err := c.ng.WriteInterfaceStats(0, pcapgo.NgInterfaceStatistics{
		LastUpdate:      time.Unix(0, c.last),
		StartTime:       time.Unix(0, c.started),
		EndTime:         time.Unix(0, c.last),
		PacketsReceived: c.written + missed,
		PacketsDropped:  missed,
	})
	return errors.Join(err, c.ng.Flush(), c.out.Flush())
}
