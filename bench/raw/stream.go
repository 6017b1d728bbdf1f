package raw

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/dataplane"
)

// flight is what sender and receiver know of each other, in packets.
type flight struct {
	received atomic.Int64
	waits    atomic.Bool // the sender does
}

// stream sends packets one way until ctx ends.
func stream(ctx context.Context, from, to *End) (r bench.Result, err error) {
	var f flight
	var all sync.WaitGroup
	all.Go(func() { feed(ctx, from, &f) })
	defer all.Wait()
	defer context.AfterFunc(ctx, to.port.Wake)()
	var start time.Time
	for ctx.Err() == nil {
		packets, octets := to.take()
		if packets == 0 {
			if err := to.port.Wait(stalled); err != nil {
				return r, err
			}
			continue
		}
		if start.IsZero() {
			start = time.Now()
		}
		r.Count += int64(packets)
		r.Octets += int64(octets - packets*headers)
		f.received.Store(r.Count)
		if f.waits.Load() {
			from.port.Wake()
		}
	}
	if r.Count == 0 {
		return r, errors.New("raw: no packet came")
	}
	r.Elapsed = time.Since(start)
	return r, nil
}

// feed sends as the receiver receives, until ctx ends.
func feed(ctx context.Context, e *End, f *flight) {
	window := int64(ahead / e.pieces(e.size))
	sent, lost := int64(0), int64(0)
	for ctx.Err() == nil {
		n := 0
		if room := window - (sent - lost - f.received.Load()); room > 0 {
			n = e.give(int(room), e.size)
		}
		if sent += int64(n); n > 0 {
			continue
		}
		before := f.received.Load()
		f.waits.Store(true)
		if f.received.Load() == before && e.port.Wait(stalled) != nil {
			return
		}
		f.waits.Store(false)
		if f.received.Load() == before {
			lost = sent - before
		}
	}
}

// pieces is how many frames a packet of so many octets takes.
func (e *End) pieces(size int) int {
	room := e.port.Info().FrameSize
	return (size + room - 1) / room
}

// give sends as many packets as there is room for, at most so many and a batch.
func (e *End) give(packets, size int) int {
	var batch [dataplane.BatchMax]dataplane.Frame
	pieces := e.pieces(size)
	got := e.port.Alloc(batch[:min(packets*pieces, len(batch)/pieces*pieces)])
	n := got / pieces
	for i := range n * pieces {
		f, piece := &batch[i], i%pieces
		left := size - piece*len(f.Data)
		f.Data = f.Data[:min(left, len(f.Data))]
		f.More = piece < pieces-1
		if piece == 0 {
			copy(f.Data, e.head)
		}
	}
	e.port.Send(batch[:n*pieces])
	e.port.Cancel(batch[n*pieces : got])
	e.port.Flush()
	return n
}

// take receives a batch and drops it.
func (e *End) take() (packets, octets int) {
	var batch [dataplane.BatchMax]dataplane.Frame
	n := e.port.Recv(batch[:])
	for i := range n {
		octets += len(batch[i].Data)
		if !batch[i].More {
			packets++
		}
	}
	e.port.Free(batch[:n])
	if n == 0 {
		e.port.Flush()
	}
	return packets, octets
}
