package engine

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// TestMemoryCeiling: 200 connections want 80 times the memory that there is. All of them come
// to their end, what is held stays below the ceiling and the floor of each queue, and no more
// connections are made meanwhile.
func TestMemoryCeiling(t *testing.T) {
	const conns, each = 200, 400_000
	const ceiling = 1<<20 + conns*2*connOctets
	p := newPair(t, Config{MemoryMax: ceiling}, pipe.Config{Frames: 1024})
	p.b.listen(80)
	type end struct {
		from, to  *Conn
		sent, got int
	}
	data := make([]byte, each)
	rng := rand.New(rand.NewPCG(8, 9))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	var ways []*end
	for range conns {
		a, b := p.connect(80)
		ways = append(ways, &end{from: a, to: b}, &end{from: b, to: a})
	}
	buf := make([]byte, 20_000)
	most, full, refused := int64(0), 0, false
	for round, done := 0, 0; done < len(ways); round++ {
		if round > 100_000 {
			t.Fatalf("after %v %d of %d are done", p.now, done, len(ways))
		}
		done = 0
		for _, w := range ways {
			if n := w.from.Send().Write(data[w.sent:]); n > 0 {
				w.sent += n
				w.from.PostWrite()
			}
			if round > 200 || rng.IntN(40) == 0 { // slow readers at first
				n := w.to.Recv().Read(buf)
				if !bytes.Equal(buf[:n], data[w.got:w.got+n]) {
					t.Fatal("what arrived is not what was sent")
				}
				w.got += n
				if w.to.Recv().UpdateDue() {
					w.to.PostRead()
				}
			}
			if w.got == each {
				done++
			}
		}
		p.run(10 * time.Millisecond)
		most = max(most, p.pool.InUse())
		if p.pool.Level() == queue.Full {
			full++
			if !refused {
				refused = true
				if _, err := p.a.e.Connect(p.now, ConnectConfig{Remote: ways[0].from.RemoteAddr()}); err != ErrMemory {
					t.Errorf("connect: %v, want %v", err, ErrMemory)
				}
			}
		}
	}
	floor := int64(conns * 4 * (queue.FloorOctets + queue.ChunkSize))
	if most > 1<<20+floor || full == 0 {
		t.Errorf("%d octets were held, want at most %d; the ceiling was reached %d times", most, 1<<20+floor, full)
	}
	sa, sb := p.a.e.Stats(), p.b.e.Stats()
	if sa.TCPMemoryPressures == 0 || sb.TCPMemoryPressures == 0 {
		t.Error("pressure was not counted")
	}
	t.Logf("held %d KiB at the most, with a ceiling of 1024 for buffers; dropped %d in order, %d out of order, pruned %d times; %v",
		most>>10, sa.TCP.TCPRcvQDrop+sb.TCP.TCPRcvQDrop, sa.TCP.TCPOFODrop+sb.TCP.TCPOFODrop,
		sa.TCP.OfoPruned+sb.TCP.OfoPruned, p.now)
	for _, w := range ways {
		w.from.PostClose()
	}
	p.run(time.Minute)
	if p.pool.InUse() != 0 || p.pool.Level() != queue.Plenty {
		t.Errorf("%d octets are still in use, level %d", p.pool.InUse(), p.pool.Level())
	}
}

// TestMemoryRefusesSYN: at the ceiling SYNs are dropped, counted, and taken again when there
// is memory.
func TestMemoryRefusesSYN(t *testing.T) {
	p := newPair(t, Config{MemoryMax: 1 << 20}, pipe.Config{})
	p.b.listen(80)
	p.connect(80)
	c := p.dial(80)
	p.pool.Charge(1 << 20)
	p.run(5 * time.Second)
	p.wantState(c, tcp.StateSynSent)
	if s := p.b.e.Stats(); s.Drop.Memory == 0 || s.ListenDrops != s.Drop.Memory {
		t.Errorf("counted %d, %d", s.Drop.Memory, s.ListenDrops)
	}
	p.pool.Charge(-1 << 20)
	p.run(10 * time.Second)
	p.wantState(c, tcp.StateEstablished)
}
