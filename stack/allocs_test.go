package stack_test

import (
	"io"
	"testing"

	"github.com/millrace-tcp/millrace/stack"
)

// TestAllocs: writing, waiting and reading allocate nothing in steady state, nor do the
// workers of both ends. A few allocations of the runtime's own are let pass.
func TestAllocs(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates")
	}
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 16_000)
		for {
			if _, err := io.ReadFull(b, buf); err != nil {
				return
			}
			if _, err := b.Write(buf); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 16_000)
	round := func() {
		if _, err := a.Write(buf); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(a, buf); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		round()
	}
	// A round is 22 segments and their ACKs. sync.Pool gives chunks to the collector now and
	// then, so that the average is not quite zero.
	if n := testing.AllocsPerRun(2000, round); n >= 1 {
		t.Errorf("%v allocations a round, want 0", n)
	}
	a.CloseWrite()
	<-done
}

// BenchmarkPipe moves bulk data from one stack to the other over a pipe.
func BenchmarkPipe(b *testing.B) {
	p := newPair(b, stack.Config{})
	from, to := p.connect(b)
	buf := make([]byte, 64<<10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, to)
		to.Close()
	}()
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := from.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	from.Close()
	<-done
}

// BenchmarkPingPong sends an octet there and back.
func BenchmarkPingPong(b *testing.B) {
	p := newPair(b, stack.Config{})
	from, to := p.connect(b)
	defer from.Close()
	go func() {
		defer to.Close()
		io.Copy(to, to)
	}()
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		from.Write(buf)
		if _, err := io.ReadFull(from, buf); err != nil {
			b.Fatal(err)
		}
	}
}
