package tcp_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/tcp"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// FuzzConn gives a connection a story of segments, writes, reads, closes and waits, taken
// from the input. Whatever it is, the connection keeps its invariants, says a bounded amount
// and ends.
func FuzzConn(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b"))
	f.Add([]byte("\x07\xff\x07\xff\x08\x00\x00\x10\x00\x01\x00\x10"))
	f.Fuzz(func(t *testing.T, story []byte) {
		o := wire.Options{Has: wire.HasMSS, MSS: 100}
		if len(story) > 0 {
			o.Has |= wire.OptionSet(story[0]) & (wire.HasSACKPermitted | wire.HasTimestamps | wire.HasWScale)
			o.MSS += uint16(story[0])
		}
		s := server(t, tcp.Config{Retries: 5}, o)
		s.out()
		s.in(wire.ACK, 1, 0, 1)
		for n := 0; len(story) >= 8 && n < 2000; n++ {
			tell(s, story[:8])
			story = story[8:]
			if lines := s.out(); len(lines) > 3000 {
				t.Fatalf("%d segments in one answer", len(lines))
			}
			check(s)
		}
		for range 500 {
			if s.Deadline() == mono.Never {
				return
			}
			s.wait()
			s.out()
			check(s)
		}
		if s.State() != tcp.StateEstablished && s.State() != tcp.StateCloseWait {
			t.Fatalf("no end in %v", s.State())
		}
	})
}

// tell does one thing of the story: eight octets.
func tell(s *script, b []byte) {
	arg := int(binary.BigEndian.Uint16(b[2:]))
	switch b[0] % 12 {
	default:
		seg := wire.Segment{Flags: wire.Flags(b[1]) | wire.Flags(b[0]&1)*wire.ACK, WND: binary.BigEndian.Uint16(b[4:])}
		near := int(int16(binary.BigEndian.Uint16(b[6:])))
		seg.SEQ = irs.Add(int(s.recv.End()) + 1 + near/64)
		seg.ACK = seq.Num(s.View().UNA).Add(int(int8(b[1])) * int(b[7]&15))
		seg.Payload = make([]byte, arg%1200)
		if b[4]&1 != 0 {
			seg.Opt = wire.Options{Has: wire.HasSACK, NSACK: 2}
			for i := range 2 {
				from := seq.Num(s.View().UNA).Add(arg%2000 + i*500)
				seg.Opt.SACK[i] = seq.Range{Start: from, End: from.Add(int(b[5]))}
			}
		}
		s.take(&seg)
	case 1:
		s.send.Write(make([]byte, arg))
	case 2:
		s.recv.Read(make([]byte, arg))
		s.Consumed(s.now)
	case 3:
		s.now = s.now.Add(time.Duration(arg) * time.Millisecond)
		s.Tick(s.now)
	case 4:
		switch arg % 200 {
		case 0:
			s.Close(s.now)
		case 1:
			s.CloseWrite(s.now)
		case 2:
			s.CloseRead(s.now)
		case 3:
			s.SetPathMSS(s.now, arg%700)
		case 4:
			s.SetNoDelay(arg&1 == 0)
		}
	}
}

func check(s *script) {
	v := s.View()
	switch {
	case !seq.Num(v.UNA).LessEq(seq.Num(v.NXT)):
		s.t.Fatalf("UNA %d > NXT %d", v.UNA, v.NXT)
	case v.Pipe < 0 || v.Cwnd <= 0 && s.State() >= tcp.StateEstablished:
		s.t.Fatalf("pipe %d, cwnd %d", v.Pipe, v.Cwnd)
	case s.recv.Len() > s.recv.Limit()+s.recv.Limit()/16+2:
		s.t.Fatalf("%d octets to read, more than %d", s.recv.Len(), s.recv.Limit())
	}
}
