package tcp

import (
	"encoding/binary"
	"testing"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// FuzzReassembly holds the ranges against a map of octets: what was added and is not yet in
// order is remembered exactly, in order and apart, and the SACK blocks are some of it, the
// latest first.
func FuzzReassembly(f *testing.F) {
	f.Add([]byte{10, 5, 30, 5, 15, 15, 0, 10})
	f.Add([]byte{1, 1, 3, 1, 5, 1, 7, 1, 9, 1, 0, 1})
	f.Fuzz(func(t *testing.T, story []byte) {
		const base = seq.Num(0xffffff80) // the wrap is within reach
		var r reassembly
		var have [1024]bool
		next := 0
		for ; len(story) >= 2; story = story[2:] {
			at, n := next+int(story[0]), 1+int(story[1])
			if at+n > len(have) {
				break
			}
			if at > next {
				if !r.add(seq.Range{Start: base.Add(at), End: base.Add(at + n)}, rangesMax) {
					continue
				}
				fill(have[at : at+n])
				wantLatest(t, &r, base.Add(at))
			} else {
				fill(have[next : at+n])
				got := r.advance(base.Add(at + n)).Sub(base)
				for next < len(have) && have[next] {
					next++
				}
				if got != next {
					t.Fatalf("advance = %d, want %d", got, next)
				}
			}
			wantRanges(t, &r, base, have[:], next)
		}
	})
}

func fill(b []bool) {
	for i := range b {
		b[i] = true
	}
}

func wantLatest(t *testing.T, r *reassembly, at seq.Num) {
	t.Helper()
	var o wire.Options
	r.blocks(&o, wire.SACKMax)
	if o.NSACK == 0 || !at.In(o.SACK[0].Start, o.SACK[0].Len()) {
		t.Fatalf("the first of %d blocks does not hold the latest octet %d", o.NSACK, at)
	}
}

func wantRanges(t *testing.T, r *reassembly, base seq.Num, have []bool, next int) {
	t.Helper()
	if r.count() > rangesMax {
		t.Fatalf("%d ranges, more than %d", r.count(), rangesMax)
	}
	last := next
	for _, x := range r.ranges {
		from, to := x.Start.Sub(base), x.End.Sub(base)
		if from <= last || from >= to {
			t.Fatalf("range %d:%d after %d", from, to, last)
		}
		for i := last; i < from; i++ {
			if i >= next && have[i] {
				t.Fatalf("octet %d is forgotten", i)
			}
		}
		for i := from; i < to; i++ {
			if !have[i] {
				t.Fatalf("octet %d was never added", i)
			}
		}
		last = to
	}
}

// FuzzScoreboard plays sends, SACKs, losses, retransmissions and ACKs, and holds the sums
// against the marks.
func FuzzScoreboard(f *testing.F) {
	f.Add([]byte{0, 9, 0, 9, 0, 9, 1, 4, 2, 0, 3, 0, 4, 12})
	f.Fuzz(func(t *testing.T, story []byte) {
		var b scoreboard
		una := seq.Num(0xfffffff0)
		nxt := una
		b.judged = una
		for now := mono.Time(1); len(story) >= 2; story, now = story[2:], now+1 {
			arg := int(story[1])
			switch story[0] % 8 {
			case 0:
				b.push(sent{start: nxt, end: nxt.Add(arg + 1), at: now})
				nxt = nxt.Add(arg + 1)
			case 1:
				first := b.begins(una.Add(arg))
				i, ok := b.unsacked(first, una.Add(arg+40))
				for ok {
					b.sack(i)
					i, ok = b.unsacked(i+1, una.Add(arg+40))
				}
				b.join(first, i)
			case 2:
				b.detect(20)
			case 3:
				if i := b.nextLost(); i >= 0 {
					b.resent(i, now)
				}
			case 4:
				ack := seq.Min(una.Add(arg), nxt)
				for b.len() > 0 && b.first().end.LessEq(ack) {
					b.pop()
				}
				if b.len() > 0 {
					b.trimFirst(ack)
				}
				una = ack
				b.judged = seq.Max(b.judged, ack)
			case 5:
				b.allLost()
			case 6:
				if b.len() > 0 {
					i := arg % b.len()
					if n := b.at(i).len(); n > 1 {
						b.split(i, 1+arg%(n-1))
					}
				}
			case 7:
				b.forgive()
			}
			wantSums(t, &b, una, nxt)
		}
	})
}

// A peer that reports the same segments again and again has none of them looked at twice.
func TestSackedSegmentsArePassedOver(t *testing.T) {
	const n = 4000
	var b scoreboard
	for i := range n {
		b.push(sent{start: seq.Num(i), end: seq.Num(i + 1)})
	}
	for i := 1; i < n; i++ {
		b.sack(i)
	}
	b.join(1, n)
	for i := 1; i < n; i++ {
		if got := int(b.at(i).run); got != n-1-i {
			t.Fatalf("behind segment %d %d are passed over, want %d", i, got, n-1-i)
		}
	}
	b.pop()
	for range n / 2 {
		b.pop()
	}
	if i, ok := b.unsacked(0, n); ok || i != b.len() {
		t.Errorf("segment %d of %d is said to be missing", i, b.len())
	}
}

func wantSums(t *testing.T, b *scoreboard, una, nxt seq.Num) {
	t.Helper()
	sacked, segments, lost := 0, 0, 0
	at := una
	for i := range b.len() {
		s := b.at(i)
		if s.start != at || s.len() <= 0 {
			t.Fatalf("segment %d is %d:%d, want it to begin at %d", i, s.start, s.end, at)
		}
		at = s.end
		for j := range int(s.run) {
			if s.mark&markSacked == 0 {
				break
			}
			if i+1+j >= b.len() || b.at(i+1+j).mark&markSacked == 0 {
				t.Fatalf("segment %d says that %d behind it are sacked; number %d is not", i, s.run, j)
			}
		}
		switch {
		case s.mark&markSacked != 0:
			sacked += s.len()
			segments++
		case s.mark&(markLost|markResent) == markLost:
			lost += s.len()
		}
	}
	if at != nxt {
		t.Fatalf("the board ends at %d, want SND.NXT %d", at, nxt)
	}
	if sacked != b.sacked || segments != b.sackedSegs || lost != b.lost {
		t.Fatalf("sums sacked %d in %d, lost %d; want %d in %d, %d",
			b.sacked, b.sackedSegs, b.lost, sacked, segments, lost)
	}
	if i := b.nextLost(); (i >= 0) != (lost > 0) {
		t.Fatalf("nextLost = %d with %d octets lost", i, lost)
	}
}

// FuzzOptionsIntoConn gives a connection headers with any options.
func FuzzOptionsIntoConn(f *testing.F) {
	f.Add([]byte{2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7})
	f.Fuzz(func(t *testing.T, options []byte) {
		options = options[:min(len(options), 40)&^3]
		b := make([]byte, 20+len(options), 100)
		binary.BigEndian.PutUint32(b[4:], 1000)
		b[12] = byte((20 + len(options)) / 4 << 4)
		b[13] = byte(wire.SYN)
		copy(b[20:], options)
		var seg wire.Segment
		if wire.ParseTCP(b, &seg) != nil {
			return
		}
		c := fuzzConn(&seg)
		out := make([]byte, 2048)
		if n := c.Output(2, out); n < 20 {
			t.Fatal("no answer to a SYN")
		}
		if c.snd.mss < MinMSS || c.snd.mss > c.p.MSS || c.snd.shift > maxShift {
			t.Fatalf("MSS %d, shift %d", c.snd.mss, c.snd.shift)
		}
	})
}

func fuzzConn(syn *wire.Segment) *Conn {
	var pool queue.Pool
	cfg := Config{}.WithDefaults()
	p := Params{MSS: 1460, Send: new(queue.Send), Recv: new(queue.Recv), Stats: new(Stats)}
	p.Send.Init(&pool, 1<<16)
	p.Recv.Init(&pool, 1<<16)
	c := new(Conn)
	c.Accept(1, &cfg, p, syn)
	return c
}
