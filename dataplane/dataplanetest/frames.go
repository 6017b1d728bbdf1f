package dataplanetest

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

func testInfo(t *testing.T, l *link) {
	for _, e := range []*end{l.a, l.b} {
		info := e.Info()
		if info.Name == "" || info.FrameSize < lengthMax || info.TXFrames < 1 {
			t.Errorf("Info = %+v, want a name, room for %d octets and a transmit frame", info, lengthMax)
		}
	}
}

func testOrderAndContent(t *testing.T, l *link) {
	room := l.a.Info().FrameSize
	for l.a.next < 5000 {
		n := 1 + int(l.a.next%32)
		l.a.send(t, n)
		l.b.receive(t, n, room)
	}
}

func testBothWays(t *testing.T, l *link) {
	for range 300 {
		l.a.send(t, 16)
		l.b.send(t, 16)
		l.a.receive(t, 16, l.b.Info().FrameSize)
		l.b.receive(t, 16, l.a.Info().FrameSize)
	}
}

// fill has a send as many frames as there is room for in keep, where b keeps them.
func (l *link) fill(t *testing.T, keep []dataplane.Frame) {
	t.Helper()
	l.a.send(t, len(keep))
	for n, end := 0, time.Now().Add(patience); n < len(keep); {
		l.a.Flush()
		n += l.b.take(keep[n:])
		if time.Now().After(end) {
			t.Fatalf("got %d frames, want %d", n, len(keep))
		}
	}
}

// testHeldFrames: a frame is the receiver's until Free, whatever comes after it.
func testHeldFrames(t *testing.T, l *link) {
	const held = 8
	room := l.a.Info().FrameSize
	var keep [held]dataplane.Frame
	l.fill(t, keep[:])
	l.b.want = held
	for range 100 {
		l.a.send(t, 8)
		l.b.receive(t, 8, room)
	}
	for i := range keep {
		wantFrame(t, keep[i].Data, uint64(i), room)
	}
	l.b.Free(keep[:])
}

// testCutFrames: a worker may cut what it received and what it allocated; the next holder
// sees whole frames.
func testCutFrames(t *testing.T, l *link) {
	for range 2*l.a.Info().TXFrames/8 + 1 {
		n := l.a.Alloc(l.a.batch[:8])
		for i := range n {
			if got, want := len(l.a.batch[i].Data), l.a.Info().FrameSize; got != want {
				t.Fatalf("Alloc gave room for %d octets, want %d", got, want)
			}
			l.a.batch[i].Data = l.a.batch[i].Data[:1]
		}
		l.a.Cancel(l.a.batch[:n])
	}
	for round := range uint64(200) {
		l.a.send(t, 8)
		for n, end := 0, time.Now().Add(patience); n < 8; {
			l.a.Flush()
			got := l.b.take(l.b.batch[:])
			for i := range got {
				wantFrame(t, l.b.batch[i].Data, 8*round+uint64(n+i), l.a.Info().FrameSize)
				l.b.batch[i].Data = l.b.batch[i].Data[5:7]
			}
			l.b.Free(l.b.batch[:got])
			if n += got; time.Now().After(end) {
				t.Fatalf("got %d frames, want 8", n)
			}
		}
	}
}

// allocAll allocates until there is nothing left, waiting for those on the way.
func allocAll(t *testing.T, e *end) []dataplane.Frame {
	t.Helper()
	want := e.Info().TXFrames
	var all []dataplane.Frame
	for end := time.Now().Add(patience); len(all) < want; {
		n := e.Alloc(e.batch[:])
		all = append(all, e.batch[:n]...)
		e.Flush()
		if time.Now().After(end) {
			t.Fatalf("%s: got %d transmit frames, want %d", e.Info().Name, len(all), want)
		}
	}
	if n := e.Alloc(e.batch[:]); n != 0 || len(all) != want {
		t.Fatalf("%s: got %d transmit frames, want %d", e.Info().Name, len(all)+n, want)
	}
	seen := make(map[uint64]bool)
	for _, f := range all {
		if seen[f.Handle] {
			t.Fatalf("frame %#x was allocated twice", f.Handle)
		}
		seen[f.Handle] = true
	}
	return all
}

func testAllocDry(t *testing.T, l *link) {
	for range 3 {
		all := allocAll(t, l.a)
		l.a.Cancel(all)
		l.a.send(t, 32)
		l.b.receive(t, 32, l.a.Info().FrameSize)
	}
	l.a.Cancel(allocAll(t, l.a))
}

// testSendTakesAll sends every transmit frame there is at once. What the receiver has no
// room for may be lost; the frames come back all the same.
func testSendTakesAll(t *testing.T, l *link) {
	for range 3 {
		all := allocAll(t, l.a)
		for i := range all {
			all[i].Data = all[i].Data[:fill(all[i].Data, uint64(i))]
		}
		for rest := all; len(rest) > 0; {
			n := min(len(rest), dataplane.BatchMax)
			l.a.Send(rest[:n])
			rest = rest[n:]
		}
		end := time.Now().Add(patience)
		for back := 0; back < len(all); {
			l.a.Flush()
			got := l.b.Recv(l.b.batch[:])
			l.b.Free(l.b.batch[:got])
			l.b.Flush()
			n := l.a.Alloc(l.a.batch[:])
			copy(all[back:], l.a.batch[:n])
			if back += n; time.Now().After(end) {
				t.Fatalf("got %d of %d transmit frames back", back, len(all))
			}
		}
		l.a.Cancel(all)
	}
	drain(l.b)
}

// drain receives and frees until nothing more comes.
func drain(e *end) {
	for {
		n := e.Recv(e.batch[:])
		if n == 0 {
			return
		}
		e.Free(e.batch[:n])
	}
}

func testBatchClipped(t *testing.T, l *link) {
	big := make([]dataplane.Frame, 3*dataplane.BatchMax)
	n := l.a.Alloc(big)
	if n > dataplane.BatchMax {
		t.Fatalf("Alloc gave %d frames, want at most BatchMax = %d", n, dataplane.BatchMax)
	}
	l.a.Cancel(big[:n])
	l.a.send(t, dataplane.BatchMax)
	l.a.send(t, dataplane.BatchMax)
	for got, end := 0, time.Now().Add(patience); got < 2*dataplane.BatchMax; {
		n := l.b.Recv(big)
		if n > dataplane.BatchMax {
			t.Fatalf("Recv gave %d frames, want at most BatchMax = %d", n, dataplane.BatchMax)
		}
		for i := range n {
			if ours(big[i].Data) {
				got++
			}
		}
		l.b.Free(big[:n])
		l.a.Flush()
		if time.Now().After(end) {
			t.Fatalf("got %d frames, want %d", got, 2*dataplane.BatchMax)
		}
	}
}

func testEmptyBatches(t *testing.T, l *link) {
	for range 3 {
		if n := l.a.Alloc(nil); n != 0 {
			t.Errorf("Alloc(nil) = %d, want 0", n)
		}
		if n := l.a.Recv(nil); n != 0 {
			t.Errorf("Recv(nil) = %d, want 0", n)
		}
		l.a.Send(nil)
		l.a.Cancel(nil)
		l.a.Free(nil)
		l.a.Flush()
	}
	l.a.send(t, 3)
	l.b.receive(t, 3, l.a.Info().FrameSize)
}

func testStats(t *testing.T, l *link) {
	before, beforeB := l.a.Stats(), l.b.Stats()
	octets := uint64(0)
	for n := range uint64(320) {
		octets += uint64(length(n, l.a.Info().FrameSize))
	}
	for range 10 {
		l.a.send(t, 32)
		l.b.receive(t, 32, l.a.Info().FrameSize)
	}
	after, afterB := l.a.Stats(), l.b.Stats()
	if got := after.TXFrames - before.TXFrames; got != 320 {
		t.Errorf("TXFrames rose by %d, want 320", got)
	}
	if got := after.TXOctets - before.TXOctets; got != octets {
		t.Errorf("TXOctets rose by %d, want %d", got, octets)
	}
	if got := after.TXDropped - before.TXDropped; got != 0 {
		t.Errorf("TXDropped rose by %d, want 0", got)
	}
	// A kernel may have sent something of its own, so these are lower bounds.
	if got := afterB.RXFrames - beforeB.RXFrames; got < 320 {
		t.Errorf("RXFrames rose by %d, want 320 at least", got)
	}
	if got := afterB.RXOctets - beforeB.RXOctets; got < octets {
		t.Errorf("RXOctets rose by %d, want %d at least", got, octets)
	}
}

// testNoAllocation: a batch there and back is free of allocations.
func testNoAllocation(t *testing.T, l *link) {
	step := func() {
		l.a.send(t, 16)
		for got, end := 0, time.Now().Add(patience); got < 16; {
			n := l.b.take(l.b.batch[:])
			l.b.Free(l.b.batch[:n])
			l.b.Flush()
			l.a.Flush()
			if got += n; got < 16 && time.Now().After(end) {
				t.Fatalf("got %d frames, want 16", got)
			}
		}
	}
	step()
	if n := testing.AllocsPerRun(200, step); n != 0 {
		t.Errorf("allocations of a batch = %v, want 0", n)
	}
}
