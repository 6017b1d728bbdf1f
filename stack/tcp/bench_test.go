package tcp_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// bulk is a pair in full flow: each call of step moves about 64 segments from a to b, all
// the way from Write to Read.
func bulk(t testing.TB) (step func() (segments int)) { return bulkOf(t, tcp.Config{}, nil) }

func bulkOf(t testing.TB, cfg tcp.Config, r congestion.Recorder) (step func() (segments int)) {
	p := newPair(t, cfg, tcp.Config{}, 1<<20)
	p.a.SetRecorder(r)
	for p.a.State() != tcp.StateEstablished || p.b.State() != tcp.StateEstablished {
		p.step()
	}
	p.flush(p.a, p.b)
	p.b.wire = nil
	frames := make([][]byte, 64)
	for i := range frames {
		frames[i] = make([]byte, 2048)
	}
	data, sink := make([]byte, 64*1448), make([]byte, 64*1448)
	lens := make([]int, len(frames))
	var seg wire.Segment
	pass := func(from, to *end) int {
		n := 0
		for n < len(frames) {
			if lens[n] = from.Output(p.now, frames[n]); lens[n] == 0 {
				break
			}
			n++
		}
		for i := range n {
			if wire.ParseTCP(frames[i][:lens[i]], &seg) == nil {
				to.Input(p.now, &seg)
			}
		}
		return n
	}
	return func() int {
		p.now = p.now.Add(50 * time.Microsecond)
		p.a.send.Write(data)
		n := pass(p.a, p.b)
		p.b.Settle()
		for p.b.recv.Read(sink) > 0 {
			p.b.Consumed(p.now)
		}
		pass(p.b, p.a)
		p.a.Tick(p.now)
		p.b.Tick(p.now)
		return n
	}
}

// BenchmarkSegment is the cost of one full segment, both ends, without checksum and link.
func BenchmarkSegment(b *testing.B) {
	step := bulk(b)
	for range 2000 {
		step()
	}
	b.SetBytes(1448)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += step()
	}
}
