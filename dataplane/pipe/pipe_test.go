package pipe_test

import (
	"runtime"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
)

func TestLongPackets(t *testing.T) {
	dataplanetest.TestLong(t, 65549, func(*testing.T) (a, b dataplane.Port) {
		return pipe.New(pipe.Config{FrameSize: 4096, Pieces: 17})
	})
}

func TestPort(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  pipe.Config
	}{
		{"default", pipe.Config{}},
		{"64 KiB frames", pipe.Config{FrameSize: 64 << 10, Frames: 100}},
		{"packets of several frames", pipe.Config{FrameSize: 4096, Pieces: 17}},
		{"many frames", pipe.Config{FrameSize: 4096, Frames: 4096, Queue: 1000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dataplanetest.TestPort(t, func(*testing.T) (a, b dataplane.Port) { return pipe.New(tt.cfg) })
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	a, b := pipe.New(pipe.Config{Frames: 64, Queue: 10})
	var batch [64]dataplane.Frame
	for range 3 {
		if n := a.Alloc(batch[:]); n != 64 {
			t.Fatalf("Alloc = %d, want 64: dropped frames must come home at once", n)
		}
		a.Send(batch[:])
		if n := b.Recv(batch[:]); n != 10 {
			t.Fatalf("Recv = %d, want the 10 that the queue holds", n)
		}
		b.Free(batch[:10])
	}
	if got := b.Stats(); got.RXDropped != 3*54 || got.RXFrames != 30 {
		t.Errorf("RXDropped, RXFrames = %d, %d, want 162, 30", got.RXDropped, got.RXFrames)
	}
}

// A sender that ran dry sleeps, and the frames that come home wake it.
func TestHomecomingEndsWait(t *testing.T) {
	a, b := pipe.New(pipe.Config{Frames: 1})
	done := make(chan int)
	go func() {
		var one [1]dataplane.Frame
		sent := 0
		for sent < 5000 {
			if a.Alloc(one[:]) == 0 {
				if err := a.Wait(-1); err != nil {
					t.Errorf("Wait: %v", err)
				}
				continue
			}
			a.Send(one[:])
			a.Flush()
			sent++
		}
		done <- sent
	}()
	var batch [4]dataplane.Frame
	for got := 0; got < 5000; {
		n := b.Recv(batch[:])
		b.Free(batch[:n])
		if got += n; n == 0 {
			if err := b.Wait(-1); err != nil {
				t.Fatalf("Wait: %v", err)
			}
		}
	}
	<-done
}

func TestSendToClosedPort(t *testing.T) {
	a, b := pipe.New(pipe.Config{Frames: 8})
	var batch [8]dataplane.Frame
	a.Send(batch[:a.Alloc(batch[:4])]) // On the way when b closes: they come home.
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n := a.Alloc(batch[:]); n != 8 {
		t.Fatalf("Alloc = %d, want all 8", n)
	}
	a.Send(batch[:])
	if got := a.Stats().TXDropped; got != 8 {
		t.Errorf("TXDropped = %d, want 8", got)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestFrameGivenTwicePanics(t *testing.T) {
	for name, give := range map[string]func(a, b *pipe.Port, f []dataplane.Frame){
		"Cancel": func(a, _ *pipe.Port, f []dataplane.Frame) { a.Cancel(f) },
		"Send":   func(a, _ *pipe.Port, f []dataplane.Frame) { a.Send(f) },
		"Free": func(a, b *pipe.Port, f []dataplane.Frame) {
			if b.Stats().RXFrames == 0 {
				a.Send(f)
				b.Recv(f)
			}
			b.Free(f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pipe.New(pipe.Config{})
			var f [1]dataplane.Frame
			a.Alloc(f[:])
			give(a, b, f[:])
			defer func() {
				if recover() == nil {
					t.Error("a frame was given back twice and nobody saw it")
				}
			}()
			give(a, b, f[:])
		})
	}
}

// BenchmarkStep is both ends driven by one goroutine, as the simulator does it.
func BenchmarkStep(b *testing.B) {
	p, q := pipe.New(pipe.Config{})
	var batch [dataplane.BatchMax]dataplane.Frame
	b.ReportAllocs()
	b.SetBytes(1514)
	for n := 0; n < b.N; {
		k := p.Alloc(batch[:min(dataplane.BatchMax, b.N-n)])
		for i := range k {
			batch[i].Data = batch[i].Data[:1514]
		}
		p.Send(batch[:k])
		p.Flush()
		q.Free(batch[:q.Recv(batch[:])])
		n += k
	}
}

// BenchmarkCopy writes and reads every octet, on two goroutines: what a pair of stacks
// can reach at best.
func BenchmarkCopy(b *testing.B) {
	for _, size := range []int{1514, 9014, 64 << 10} {
		b.Run(map[int]string{1514: "1514", 9014: "9014", 64 << 10: "64KiB"}[size], func(b *testing.B) {
			p, q := pipe.New(pipe.Config{FrameSize: size, Frames: max(16, (256<<10)/size)})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			go func() {
				src := make([]byte, size)
				var batch [dataplane.BatchMax]dataplane.Frame
				for n := 0; n < b.N; {
					k := p.Alloc(batch[:min(dataplane.BatchMax, b.N-n)])
					if k == 0 {
						_ = p.Wait(-1)
						continue
					}
					for i := range k {
						copy(batch[i].Data, src)
					}
					p.Send(batch[:k])
					p.Flush()
					n += k
				}
			}()
			dst := make([]byte, size)
			var batch [dataplane.BatchMax]dataplane.Frame
			for n := 0; n < b.N; {
				k := q.Recv(batch[:])
				if k == 0 {
					_ = q.Wait(-1)
					continue
				}
				for i := range k {
					copy(dst, batch[i].Data)
				}
				q.Free(batch[:k])
				n += k
			}
			runtime.KeepAlive(dst)
		})
	}
}

// BenchmarkMemcpy is the yardstick: one copy of a frame that stays in cache.
func BenchmarkMemcpy(b *testing.B) {
	src, dst := make([]byte, 64<<10), make([]byte, 64<<10)
	b.SetBytes(64 << 10)
	for b.Loop() {
		copy(dst, src)
	}
}
