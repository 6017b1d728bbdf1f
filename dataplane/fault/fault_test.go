package fault_test

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/fault"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
)

func wrap(t testing.TB, p dataplane.Port, cfg fault.Config) *fault.Port {
	t.Helper()
	f, err := fault.New(p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What a port must do, it does under wrappers that change nothing, one upon the other, and
// under one that receives late. (One that sends late needs its sender to turn up again.)
func TestPort(t *testing.T) {
	for name, cfg := range map[string]fault.Config{
		"no fault": {},
		"late":     {RX: fault.Direction{Delay: 50 * time.Microsecond}, Room: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			dataplanetest.TestPort(t, func(t *testing.T) (dataplane.Port, dataplane.Port) {
				a, b := pipe.New(pipe.Config{Pieces: dataplane.PiecesMax})
				return wrap(t, wrap(t, a, cfg), fault.Config{}), wrap(t, b, cfg)
			})
		})
	}
}

// Packets of several frames pass, at once and late, and one fault is one packet's.
func TestLongPackets(t *testing.T) {
	late := fault.Config{TX: fault.Direction{Delay: 50 * time.Microsecond}, RX: fault.Direction{Delay: 50 * time.Microsecond}}
	for name, cfg := range map[string]fault.Config{"no fault": {}, "late": late} {
		t.Run(name, func(t *testing.T) {
			dataplanetest.TestLong(t, 65014, func(t *testing.T) (dataplane.Port, dataplane.Port) {
				a, b := pipe.New(pipe.Config{FrameSize: 4096, Pieces: 17})
				return wrap(t, a, cfg), wrap(t, b, cfg)
			})
		})
	}
}

// run is a pair of ports with faults at a, driven by hand in virtual time.
type run struct {
	t     *testing.T
	now   mono.Time
	a     *fault.Port
	b     *pipe.Port
	batch [dataplane.BatchMax]dataplane.Frame
}

func newRun(t *testing.T, cfg fault.Config) *run {
	r := &run{t: t}
	cfg.Now = func() mono.Time { return r.now }
	a, b := pipe.New(pipe.Config{Frames: 1024})
	r.a, r.b = wrap(t, a, cfg), b
	return r
}

// send sends frames with the numbers from first to last from p.
func (r *run) send(p dataplane.Port, first, last uint32) {
	r.t.Helper()
	for ; first <= last; first++ {
		if p.Alloc(r.batch[:1]) != 1 {
			r.t.Fatalf("frame %d: no transmit frame", first)
		}
		f := &r.batch[0]
		f.Data = f.Data[:64]
		clear(f.Data)
		binary.BigEndian.PutUint32(f.Data[4:], first)
		p.Send(r.batch[:1])
		p.Flush()
	}
}

// recv returns the numbers of what p receives now.
func (r *run) recv(p dataplane.Port) (got []uint32) {
	for {
		n := p.Recv(r.batch[:])
		if n == 0 {
			return got
		}
		for _, f := range r.batch[:n] {
			got = append(got, binary.BigEndian.Uint32(f.Data[4:]))
		}
		p.Free(r.batch[:n])
	}
}

// each runs f for either direction, with the ports that send and receive, and the way to
// ask for counters.
func each(t *testing.T, d fault.Direction, f func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters)) {
	t.Run("TX", func(t *testing.T) {
		r := newRun(t, fault.Config{Seed: 1, TX: d})
		f(t, r, r.a, r.b, func() fault.Counters { _, tx := r.a.Counters(); return tx })
		r.close()
	})
	t.Run("RX", func(t *testing.T) {
		r := newRun(t, fault.Config{Seed: 1, RX: d})
		f(t, r, r.b, r.a, func() fault.Counters { rx, _ := r.a.Counters(); return rx })
		r.close()
	})
}

func (r *run) close() {
	r.t.Helper()
	for _, p := range []dataplane.Port{r.a, r.b} {
		if err := p.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// wantNear fails if got of n is not p, within five standard deviations.
func wantNear(t *testing.T, what string, got, n uint64, p float64) {
	t.Helper()
	if d := math.Abs(float64(got) - p*float64(n)); d > 5*math.Sqrt(float64(n)*p*(1-p)) {
		t.Errorf("%s: got %d of %d, want about %v of them", what, got, n, p)
	}
}

const many = 20000

// exchange sends many frames a few at a time and returns what came.
func exchange(r *run, from, to dataplane.Port) (got []uint32) {
	for n := uint32(1); n <= many; n += 10 {
		r.send(from, n, n+9)
		got = append(got, r.recv(to)...)
		r.now = r.now.Add(time.Millisecond)
		from.Flush()
	}
	r.now = r.now.Add(time.Second)
	from.Flush()
	return append(got, r.recv(to)...)
}

func TestLoss(t *testing.T) {
	each(t, fault.Direction{Loss: 0.1}, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		got := exchange(r, from, to)
		wantNear(t, "lost", count().Lost, many, 0.1)
		if uint64(len(got)) != many-count().Lost || uint64(len(got)) != count().Passed {
			t.Errorf("%d came, %+v", len(got), count())
		}
		if !slices.IsSorted(got) {
			t.Error("loss changed the order")
		}
	})
}

func TestBurst(t *testing.T) {
	burst := fault.Burst{ToBad: 0.01, ToGood: 0.2}
	each(t, fault.Direction{Burst: burst}, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		got := exchange(r, from, to)
		bursts := 0
		for i := 1; i < len(got); i++ {
			if got[i] != got[i-1]+1 {
				bursts++
			}
		}
		lost := count().BurstLost
		if uint64(len(got)) != many-lost {
			t.Errorf("%d came, %d were lost, of %d", len(got), lost, many)
		}
		// Of all frames ToBad/(ToBad+ToGood) = 1/21 find the link bad, 5 in a row.
		if mean := float64(lost) / float64(bursts); mean < 4 || mean > 6 {
			t.Errorf("mean burst = %.2f frames, want about 5", mean)
		}
		if share := float64(lost) / many; share < 0.03 || share > 0.065 {
			t.Errorf("lost %.3f of all, want about 0.048", share)
		}
	})
}

func TestDuplicate(t *testing.T) {
	each(t, fault.Direction{Duplicate: 0.2}, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		got := exchange(r, from, to)
		wantNear(t, "duplicated", count().Duplicated, many, 0.2)
		if uint64(len(got)) != many+count().Duplicated {
			t.Errorf("%d came, want %d", len(got), many+count().Duplicated)
		}
		if u := slices.Compact(slices.Clone(got)); len(u) != many || !slices.IsSorted(got) {
			t.Errorf("%d different frames came, want %d in order", len(u), many)
		}
	})
}

func TestCorrupt(t *testing.T) {
	each(t, fault.Direction{Corrupt: 1}, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		for n := range uint32(500) {
			r.send(from, n, n)
			if got := to.Recv(r.batch[:]); got != 1 {
				t.Fatalf("frame %d: %d came", n, got)
			}
			b := r.batch[0].Data
			if binary.BigEndian.Uint32(b[4:]) != n {
				t.Fatalf("frame %d: the Ethernet header changed", n)
			}
			ones := 0
			for _, o := range b[14:] {
				for ; o != 0; o &= o - 1 {
					ones++
				}
			}
			if ones != 1 {
				t.Fatalf("frame %d: %d bits flipped, want 1", n, ones)
			}
			to.Free(r.batch[:1])
		}
		if got := count().Corrupted; got != 500 {
			t.Errorf("Corrupted = %d, want 500", got)
		}
	})
}

func TestReorderByFrames(t *testing.T) {
	d := fault.Direction{Reorder: 0.05, ReorderBy: 4, ReorderMax: time.Hour}
	each(t, d, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		var got []uint32
		for n := uint32(0); n < 2000; n++ {
			r.send(from, n, n)
			got = append(got, r.recv(to)...)
		}
		// A frame that is held back is overtaken by four; others that are held back too do
		// not count, and go before those that came later.
		late := 0
		for at, n := range got {
			overtook := 0
			for _, m := range got[max(0, at-40):at] {
				if m > n {
					overtook++
				}
			}
			if overtook > 0 {
				late++
				if overtook != 4 {
					t.Fatalf("frame %d was overtaken by %d frames, want 4", n, overtook)
				}
			}
		}
		if held := int(count().Reordered); late == 0 || held-late > 4 {
			t.Errorf("%d frames were late, %d held back", late, held)
		}
	})
}

func TestReorderByTime(t *testing.T) {
	d := fault.Direction{Reorder: 1, ReorderMax: 5 * time.Millisecond}
	each(t, d, func(t *testing.T, r *run, from, to dataplane.Port, _ func() fault.Counters) {
		r.send(from, 1, 2)
		r.now = r.now.Add(5*time.Millisecond - 1)
		from.Flush()
		if got := r.recv(to); len(got) != 0 && from == dataplane.Port(r.a) {
			t.Fatalf("%v came early", got)
		}
		r.now = r.now.Add(10 * time.Millisecond)
		from.Flush()
		if got := r.recv(to); !slices.Equal(got, []uint32{1, 2}) {
			t.Errorf("got %v, want [1 2]", got)
		}
	})
}

func TestDelay(t *testing.T) {
	each(t, fault.Direction{Delay: 10 * time.Millisecond}, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		r.send(from, 1, 3)
		if got := r.recv(to); got != nil {
			t.Fatalf("%v came at once", got)
		}
		r.now = r.now.Add(10*time.Millisecond - 1)
		from.Flush()
		if got := r.recv(to); got != nil {
			t.Fatalf("%v came a nanosecond early", got)
		}
		r.now++
		from.Flush()
		if got := r.recv(to); !slices.Equal(got, []uint32{1, 2, 3}) {
			t.Errorf("got %v, want [1 2 3]", got)
		}
		if got := count().Delayed; got != 3 {
			t.Errorf("Delayed = %d, want 3", got)
		}
	})
}

// A bottleneck of a frame a millisecond, with room for ten: of twenty that come at once ten
// pass, each in its turn, and what comes when the queue is empty finds room again.
func TestBottleneck(t *testing.T) {
	d := fault.Direction{Rate: 64 * 8 * 1000, Queue: 10 * 64, Delay: 5 * time.Millisecond, LateMax: time.Millisecond}
	each(t, d, func(t *testing.T, r *run, from, to dataplane.Port, count func() fault.Counters) {
		r.send(from, 1, 20)
		_ = r.recv(to) // they are judged when they are received
		for n := uint32(1); n <= 10; n++ {
			r.now = mono.Time(5*time.Millisecond) + mono.Time(n)*mono.Time(time.Millisecond)
			from.Flush()
			if got := r.recv(to); !slices.Equal(got, []uint32{n}) {
				t.Fatalf("after %v: got %v, want [%d]", time.Duration(r.now), got, n)
			}
		}
		if c := count(); c.QueueDropped != 10 || c.Passed != 10 || c.Late != 0 {
			t.Errorf("counted %+v, want ten dropped, ten passed, none late", c)
		}
		r.send(from, 21, 21)
		_ = r.recv(to)
		r.now = r.now.Add(8 * time.Millisecond) // it was due after six
		from.Flush()
		if got := r.recv(to); !slices.Equal(got, []uint32{21}) || count().Late != 1 {
			t.Errorf("got %v, %d late, want [21], and it late", got, count().Late)
		}
	})
}

func TestJitterKeepsFrames(t *testing.T) {
	d := fault.Direction{Delay: time.Millisecond, Jitter: 5 * time.Millisecond}
	each(t, d, func(t *testing.T, r *run, from, to dataplane.Port, _ func() fault.Counters) {
		got := exchange(r, from, to)
		if slices.IsSorted(got) {
			t.Error("5 ms of jitter changed no order")
		}
		slices.Sort(got)
		if u := slices.Compact(got); len(u) != many {
			t.Errorf("%d frames came, want %d", len(u), many)
		}
	})
}

// A frame that waits ends a Wait of its port when its time comes.
func TestWaitEndsForDelayedFrame(t *testing.T) {
	a, b := pipe.New(pipe.Config{})
	f := wrap(t, a, fault.Config{TX: fault.Direction{Delay: 20 * time.Millisecond}})
	var batch [1]dataplane.Frame
	start := time.Now()
	f.Send(batch[:f.Alloc(batch[:])])
	for b.Recv(batch[:]) == 0 {
		if err := f.Wait(-1); err != nil {
			t.Fatal(err)
		}
		f.Flush()
	}
	if d := time.Since(start); d < 20*time.Millisecond || d > 5*time.Second {
		t.Errorf("the frame took %v, want 20 ms or a little more", d)
	}
}

func TestRoomIsBounded(t *testing.T) {
	r := newRun(t, fault.Config{Room: 5, TX: fault.Direction{Delay: time.Second}})
	r.send(r.a, 1, 8)
	r.now = r.now.Add(time.Second)
	r.a.Flush()
	if got := r.recv(r.b); !slices.Equal(got, []uint32{1, 2, 3, 4, 5}) {
		t.Errorf("got %v, want the five there was room for", got)
	}
	if _, tx := r.a.Counters(); tx.Overflowed != 3 {
		t.Errorf("Overflowed = %d, want 3", tx.Overflowed)
	}
	r.close()
}

// everything is all faults at once.
var everything = fault.Direction{
	Loss: 0.02, Burst: fault.Burst{ToBad: 0.01, ToGood: 0.3}, Duplicate: 0.05, Corrupt: 0,
	Reorder: 0.05, Delay: 3 * time.Millisecond, Jitter: 4 * time.Millisecond,
}

func TestSameSeedSameFaults(t *testing.T) {
	take := func(seed uint64) ([]uint32, []uint32) {
		r := newRun(t, fault.Config{Seed: seed, TX: everything, RX: everything})
		there := exchange(r, r.a, r.b)
		back := exchange(r, r.b, r.a)
		r.close()
		return there, back
	}
	a1, b1 := take(7)
	a2, b2 := take(7)
	a3, _ := take(8)
	if !slices.Equal(a1, a2) || !slices.Equal(b1, b2) {
		t.Error("the same seed gave other faults")
	}
	if slices.Equal(a1, a3) {
		t.Error("another seed gave the same faults")
	}
	if slices.Equal(a1, b1) {
		t.Error("both directions had the same faults")
	}
}

func TestNoAllocationWithFaults(t *testing.T) {
	r := newRun(t, fault.Config{TX: everything, RX: everything})
	step := func() {
		n := r.a.Alloc(r.batch[:16])
		for i := range n {
			r.batch[i].Data = r.batch[i].Data[:200]
		}
		r.a.Send(r.batch[:n])
		r.a.Flush()
		r.b.Free(r.batch[:r.b.Recv(r.batch[:])])
		r.b.Send(r.batch[:r.b.Alloc(r.batch[:16])])
		r.b.Flush()
		r.a.Free(r.batch[:r.a.Recv(r.batch[:])])
		r.now = r.now.Add(time.Millisecond)
	}
	for range 2000 {
		step() // Until every box has been used.
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("allocs = %v, want 0", n)
	}
}

func TestBadConfig(t *testing.T) {
	for name, cfg := range map[string]fault.Config{
		"probability": {TX: fault.Direction{Loss: 1.1}},
		"NaN":         {RX: fault.Direction{Corrupt: math.NaN()}},
		"burst":       {RX: fault.Direction{Burst: fault.Burst{ToGood: -1}}},
		"time":        {RX: fault.Direction{Delay: -1}},
		"room":        {Room: -1},
		"no queue":    {TX: fault.Direction{Rate: 1000}},
		"rate":        {TX: fault.Direction{Rate: -1, Queue: 1}},
		"queue":       {TX: fault.Direction{Rate: 1000, Queue: 1 << 31}},
	} {
		if _, err := fault.New(nil, cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
