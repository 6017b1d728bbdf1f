package tcp_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// take hands a segment to the connection. Each octet of it is what its sequence number makes it.
// One that places has met the segment with all octets wrong before, which the checksum shows.
func (s *script) take(seg *wire.Segment) {
	for i := range seg.Payload {
		seg.Payload[i] = octetAt(seg.SEQ.Add(i))
	}
	if s.place {
		spoilt := *seg
		spoilt.Payload = bytes.Repeat([]byte{0xee}, len(seg.Payload))
		s.Place(&spoilt)
		if sum, ok := s.Place(seg); ok && sum.Fold() != wire.Sum(seg.Payload, 0).Fold() {
			s.t.Fatalf("the sum of %d octets is %x, want %x", len(seg.Payload), sum.Fold(), wire.Sum(seg.Payload, 0).Fold())
		}
	}
	s.Input(s.now, seg)
}

func octetAt(n seq.Num) byte { return byte(n ^ n>>8) }

// FuzzPlace tells two connections the same story, one of which puts each segment in its place
// before it knows whether it is to be believed. Nobody can tell one from the other.
func FuzzPlace(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(likelyStory(seed))
	}
	f.Fuzz(func(t *testing.T, story []byte) {
		o := wire.Options{Has: wire.HasMSS | wire.HasSACKPermitted, MSS: 1000}
		plain, placing := server(t, tcp.Config{}, o), server(t, tcp.Config{}, o)
		placing.place = true
		wantAlike(t, story, plain, placing)
	})
}

// FuzzShortWay tells two connections the same story, one of which takes the long way with each ACK.
// Nobody can tell one from the other.
func FuzzShortWay(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(likelyStory(seed))
	}
	f.Fuzz(func(t *testing.T, story []byte) {
		o := wire.Options{Has: wire.HasMSS | wire.HasSACKPermitted, MSS: 100}
		if len(story) > 0 {
			o.Has = wire.HasMSS | wire.OptionSet(story[0])&(wire.HasSACKPermitted|wire.HasTimestamps|wire.HasWScale)
		}
		short, long := server(t, tcp.Config{}, o), server(t, tcp.Config{}, o)
		long.LongWay()
		wantAlike(t, story, short, long)
	})
}

// wantAlike tells a and b a story, and fails where what they send, count, give to read or hold
// differs.
func wantAlike(t *testing.T, story []byte, a, b *script) {
	both := []*script{a, b}
	for _, s := range both {
		s.out()
		s.in(wire.ACK, 1, 0, 1)
	}
	for n := 0; len(story) >= 8 && n < 2000; n++ {
		var read [2][]byte
		for i, s := range both {
			if story[0]%12 != 2 {
				tell(s, story[:8])
				continue
			}
			read[i] = make([]byte, binary.BigEndian.Uint16(story[2:]))
			read[i] = read[i][:s.recv.Read(read[i])]
			s.Consumed(s.now)
		}
		if story[1]&3 != 0 || story[0]%12 != 5 { // else the batch goes on
			if one, other := a.out(), b.out(); !slices.Equal(one, other) {
				t.Fatalf("step %d: one sends %q, the other %q", n, one, other)
			}
		}
		if !bytes.Equal(read[0], read[1]) {
			t.Fatalf("step %d: what is read differs", n)
		}
		if one, other := a.View(), b.View(); one != other || a.Deadline() != b.Deadline() {
			t.Fatalf("step %d: one is %+v, the other %+v", n, one, other)
		}
		story = story[8:]
	}
	if a.stats != b.stats {
		t.Fatalf("one counts %+v, the other %+v", a.stats, b.stats)
	}
	for _, s := range both {
		s.out()
		s.recv.Read(make([]byte, 1<<17))
		s.recv.Prune()
		s.Settle()
		s.send.Shut()
		if n := s.pool.InUse(); n != 0 {
			t.Fatalf("%d octets of buffers are in use at the end", n)
		}
	}
}

// likelyStory is 200 steps of a story in which most of what comes is in order, and some of it
// acknowledges one or several segments and has no data.
func likelyStory(seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	story := make([]byte, 0, 1600)
	for range 200 {
		b := make([]byte, 8)
		binary.LittleEndian.PutUint64(b, r.Uint64())
		if b[0] = 5; r.IntN(4) == 0 {
			b[0] = byte(r.IntN(6)) // something else happens
		}
		b[1] = byte(wire.ACK) | b[1]&byte(3*r.IntN(2)*r.IntN(2))
		if b[1]&byte(wire.FIN|wire.RST|wire.SYN) != 0 && r.IntN(20) != 0 {
			b[1] = byte(wire.ACK) // or the story is short
		}
		if b[4] = 0x7f; r.IntN(8) != 0 {
			b[6], b[7] = 0, byte(r.IntN(64))
		}
		if r.IntN(3) == 0 {
			b[2], b[3] = 0, 0
		}
		story = append(story, b...)
	}
	return story
}

// What is put in its place and found wrong was never there; what is right is not copied again.
func TestPlace(t *testing.T) {
	s := established(t, tcp.Config{}, wire.Options{Has: wire.HasSACKPermitted})
	segment := func(at, n int) *wire.Segment {
		return &wire.Segment{SEQ: irs.Add(at), ACK: iss.Add(1), Flags: wire.ACK, WND: s.win, Payload: bytes.Clone(pattern(at + n)[at:])}
	}
	spoilt := segment(1, 1000)
	spoilt.Payload[7] ^= 1
	right := wire.Sum(segment(1, 1000).Payload, 0)
	if sum, ok := s.Place(spoilt); !ok || sum.Fold() == right.Fold() {
		t.Fatalf("got sum %x, %v, want another than %x", sum.Fold(), ok, right.Fold())
	}
	for at := 1; at < 20_000; at += 1000 { // over the ends of chunks
		seg := segment(at, 1000)
		if _, ok := s.Place(seg); !ok {
			t.Fatalf("segment %d is not placed", at)
		}
		seg.Payload = make([]byte, 1000)
		s.Input(s.now, seg)
	}
	s.out()
	got := make([]byte, 30_000)
	if got = got[:s.recv.Read(got)]; !bytes.Equal(got, pattern(20_001)[1:]) {
		t.Errorf("%d octets are read, not those that were placed", len(got))
	}
	for name, seg := range map[string]*wire.Segment{
		"beyond a hole":     segment(20_002, 1000),
		"a duplicate":       segment(19_001, 1000),
		"beyond the window": segment(20_001, 70_000),
		"a pure ACK":        segment(20_001, 0),
	} {
		if _, ok := s.Place(seg); ok {
			t.Errorf("%s is placed", name)
		}
	}
	fin := segment(20_001, 1000)
	fin.Flags |= wire.FIN
	if _, ok := s.Place(fin); ok {
		t.Error("a FIN is placed")
	}
	s.Input(s.now, segment(21_001, 1000))
	if _, ok := s.Place(segment(20_001, 1000)); ok {
		t.Error("what fills a hole is placed where octets may lie that came before")
	}
}
