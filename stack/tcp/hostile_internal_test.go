package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/queue"
	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// hostile is a connection whose peer says anything, drawn from a seed: values that are true, that
// are nearly so, and that lie at the edges of the sequence space.
type hostile struct {
	t    *testing.T
	r    *rand.Rand
	c    Conn
	now  mono.Time
	cfg  Config
	send queue.Send
	recv queue.Recv
	pool queue.Pool
	edge seq.Num // the farthest right edge offered
	// synced says that the peer's SYN was taken: before, there is no edge.
	synced bool
	out    [2048]byte
}

// TestHostilePeer: whatever a peer says, a connection keeps its books, says a bounded amount, never
// waits for what no timer brings, and delivers all there is when the peer comes to speak the truth.
func TestHostilePeer(t *testing.T) {
	for seed := range uint64(400) {
		h := newHostile(t, seed)
		for step := 0; step < 400 && h.c.state != StateClosed; step++ {
			h.step()
			h.flush()
			if err := h.check(); err != nil {
				t.Fatalf("seed %d, step %d, %v: %v", seed, step, h.c.state, err)
			}
		}
		if err := h.reform(); err != nil {
			t.Fatalf("seed %d, %v: %v", seed, h.c.state, err)
		}
	}
}

func newHostile(t *testing.T, seed uint64) *hostile {
	h := &hostile{t: t, r: rand.New(rand.NewPCG(seed, 3)), now: mono.Time(time.Hour)}
	h.cfg = Config{ECN: ECNMode(seed % 4), Detector: Detector(seed / 4 % 3), Governor: Governor(seed / 2 % 2)}.WithDefaults()
	h.send.Init(&h.pool, 1<<16)
	h.recv.Init(&h.pool, 1<<16)
	p := Params{ISS: seq.Num(h.r.Uint32()), MSS: 1460, Send: &h.send, Recv: &h.recv, Stats: new(Stats),
		RecvMax: 1 << (16 + seed%8), SendMax: 1 << 18}
	irs := seq.Num(h.r.Uint32())
	o := wire.Options{Has: wire.OptionSet(h.r.IntN(32)) &^ wire.HasSACK, MSS: uint16(h.r.IntN(1500)), WScale: uint8(h.r.IntN(16))}
	if seed%3 == 0 {
		h.c.Connect(h.now, &h.cfg, p)
		h.flush()
		if seed%9 == 0 {
			return h // the handshake is part of the story
		}
		h.c.Input(h.now, &wire.Segment{SEQ: irs, ACK: p.ISS + 1, Flags: wire.SYN | wire.ACK, WND: uint16(h.r.Uint32()), Opt: o,
			Payload: make([]byte, h.r.IntN(3000))})
	} else {
		syn := wire.Segment{SEQ: irs, Flags: wire.SYN | wire.Flags(h.r.IntN(8))<<6, WND: uint16(h.r.Uint32()), Opt: o}
		h.c.Accept(h.now, &h.cfg, p, &syn)
		h.flush()
		if seed%9 == 1 {
			return h
		}
		h.c.Input(h.now, &wire.Segment{SEQ: irs + 1, ACK: p.ISS + 1, Flags: wire.ACK, WND: syn.WND})
	}
	return h
}

// step is a segment, mostly, or something else that happens.
func (h *hostile) step() {
	c, r := &h.c, h.r
	switch k := r.IntN(100); {
	case k < 60:
		h.input()
	case k < 75:
		h.send.Write(make([]byte, 1+r.IntN(1<<r.IntN(15))))
	case k < 82:
		h.recv.Read(make([]byte, 1+r.IntN(1<<r.IntN(17))))
		c.Consumed(h.now)
	case k < 90:
		h.now = h.now.Add(time.Duration(r.IntN(1 << r.IntN(30))))
		c.Tick(h.now)
	case k < 96:
		if d := c.Deadline(); d != mono.Never {
			h.now = max(h.now, d)
		}
		c.Tick(h.now)
	default:
		h.act()
	}
}

// act is what an application or the path does now and then.
func (h *hostile) act() {
	c, r := &h.c, h.r
	switch r.IntN(14) {
	case 0:
		c.CloseWrite(h.now)
	case 1:
		c.CloseRead(h.now)
	case 2:
		c.Close(h.now)
	case 3, 4:
		c.SetPathMSS(h.now, r.IntN(1500))
	case 5, 6:
		c.SetNoDelay(r.IntN(2) == 0)
	case 7:
		c.SetCork(r.IntN(2) == 0)
	case 8:
		c.SetKeepAlive(h.now, true, time.Minute, time.Second, 3)
	case 9:
		c.HoldACK(h.now)
	case 10:
		c.ReleaseACK()
	case 11:
		c.SetLinkMSS(500 + r.IntN(1000))
	}
}

// input is a segment, most of which is near the truth.
func (h *hostile) input() {
	c, r := &h.c, h.r
	near := func(at ...seq.Num) seq.Num {
		n := at[r.IntN(len(at))]
		switch r.IntN(12) {
		case 0:
			return n.Add(r.IntN(5) - 2)
		case 1:
			return n.Add(r.IntN(4000) - 2000)
		case 2:
			return n.Add(1<<31 + r.IntN(3) - 1)
		case 3:
			return seq.Num(r.Uint32())
		}
		return n
	}
	flags := wire.ACK
	switch r.IntN(40) {
	case 0:
		flags = wire.Flags(r.IntN(512))
	case 1:
		flags |= wire.SYN
	case 4, 5:
		if !c.state.Synchronized() {
			flags |= wire.SYN
		}
	case 2, 3:
		flags |= wire.FIN
	}
	if r.IntN(30) != 0 {
		flags &^= wire.RST // it would be over soon
	}
	flags |= wire.Flags(r.IntN(8)) << 6
	seg := wire.Segment{Flags: flags, WND: uint16(r.Uint32()), ECN: uint8(r.IntN(4))}
	switch r.IntN(8) {
	case 0:
		seg.WND = 0
	case 1:
		seg.WND = uint16(r.IntN(3000) >> c.snd.shift)
	}
	seg.SEQ = near(c.rcv.NXT, c.rcv.NXT, c.rcv.NXT, c.rcv.NXT.Add(1460), c.rcv.edge, c.rcv.finSEQ)
	seg.ACK = near(c.snd.UNA, c.snd.UNA, c.snd.NXT, c.snd.UNA.Add(1000))
	if r.IntN(2) == 0 {
		seg.Payload = make([]byte, r.IntN(1+1<<r.IntN(12)))
	}
	if c.rcv.tsOK && r.IntN(10) != 0 || r.IntN(30) == 0 {
		seg.Opt.Has |= wire.HasTimestamps
		seg.Opt.TSVal = c.rcv.tsRecent + uint32(r.IntN(3))
		seg.Opt.TSEcr = c.timestampClock(h.now) - uint32(r.IntN(300))
		switch r.IntN(15) {
		case 0:
			seg.Opt.TSVal = r.Uint32()
		case 1:
			seg.Opt.TSEcr = r.Uint32()
		}
	}
	for range r.IntN(5) {
		start := near(c.snd.UNA, c.snd.UNA.Add(1000), c.snd.NXT.Add(-1000))
		end := near(start.Add(1000), c.snd.NXT, c.snd.UNA)
		seg.Opt.SACK[seg.Opt.NSACK] = seq.Range{Start: start, End: end}
		if seg.Opt.Has |= wire.HasSACK; seg.Opt.NSACK < wire.SACKMax {
			seg.Opt.NSACK++
		}
		if seg.Opt.NSACK == wire.SACKMax {
			break
		}
	}
	if r.IntN(4) == 0 {
		seg.Opt.Has |= wire.HasAccECN
		seg.Opt.AccECN = wire.AccECN{Fields: uint8(r.IntN(4)), E0B: r.Uint32() & markMask, CEB: r.Uint32() & markMask, E1B: r.Uint32() & markMask}
	}
	c.Input(h.now, &seg)
}

// flush has the connection do what is due, and say what it owes.
func (h *hostile) flush() {
	for range 10 {
		for n := 0; h.c.Output(h.now, h.out[:]) > 0; n++ {
			if n > 3000 {
				h.t.Fatalf("%d segments in one answer", n)
			}
		}
		if h.c.Deadline() > h.now {
			return
		}
		h.c.Tick(h.now)
	}
	h.t.Fatalf("a timer of %v is due again and again", h.c.timers)
}

// reform has the peer acknowledge all that comes, with a window for more.
func (h *hostile) reform() error {
	c := &h.c
	c.SetCork(false)
	for range 300 {
		h.flush()
		if c.state == StateClosed || c.state == StateTimeWait || c.board.len() == 0 && c.unsent() == 0 {
			return nil
		}
		h.now = h.now.Add(10 * time.Millisecond)
		// It has sent what it said: its window is not that of a segment from before.
		seg := wire.Segment{SEQ: seq.Max(c.rcv.NXT, c.snd.WL1), ACK: c.snd.NXT, Flags: wire.ACK, WND: 0xffff}
		if !c.state.Synchronized() {
			seg.Flags |= wire.SYN
			seg.SEQ = c.rcv.IRS
		}
		if c.rcv.tsOK {
			seg.Opt = wire.Options{Has: wire.HasTimestamps, TSVal: c.rcv.tsRecent + 1, TSEcr: c.timestampClock(h.now) - 10}
		}
		c.Input(h.now, &seg)
		h.flush()
		if c.board.len() == 0 && c.unsent() > 0 && c.Deadline() != mono.Never {
			h.now = max(h.now, c.Deadline())
			c.Tick(h.now)
		}
	}
	return fmt.Errorf("%d segments on their way, %d octets wait, window %d, cwnd %d", c.board.len(), c.unsent(), c.snd.WND, c.cwnd())
}

// check looks at the books after all is said.
func (h *hostile) check() error {
	c := &h.c
	if c.state == StateClosed {
		return nil
	}
	wantSums(h.t, &c.board, c.snd.UNA, c.boardEnd())
	left := 0
	if c.state != StateSynSent {
		if !h.synced {
			h.synced, h.edge = true, c.rcv.edge
		}
		left = h.edge.Sub(c.rcv.edge)
		h.edge = seq.Max(h.edge, c.rcv.edge)
	}
	last := c.rcv.NXT
	for _, x := range c.rcv.holes.ranges {
		if !last.Less(x.Start) || x.Empty() {
			return fmt.Errorf("range %v after %d", x, last)
		}
		last = x.End
	}
	switch {
	case c.rcv.edge.Less(c.rcv.NXT):
		return fmt.Errorf("the window ends at %d, before RCV.NXT %d", c.rcv.edge, c.rcv.NXT)
	case left > 0:
		return fmt.Errorf("the right edge moved back by %d", left)
	case c.rcv.finAhead && c.rcv.finSEQ.Less(last):
		return fmt.Errorf("octets up to %d behind the FIN at %d", last, c.rcv.finSEQ)
	case c.snd.NXT.Less(c.snd.UNA):
		return fmt.Errorf("UNA %d behind NXT %d", c.snd.UNA, c.snd.NXT)
	case c.count.marked > 1+c.count.acked+c.count.resentOctets+uint64(c.snd.NXT.Sub(c.snd.UNA)):
		return fmt.Errorf("%d octets marked, %d acknowledged", c.count.marked, c.count.acked)
	case h.recv.Len() > 1<<25:
		return fmt.Errorf("%d octets held", h.recv.Len())
	}
	return c.waitsForNothing()
}

// boardEnd is where the scoreboard ends: the SYN is not on it.
func (c *Conn) boardEnd() seq.Num {
	if c.board.len() == 0 {
		return c.snd.UNA
	}
	return c.snd.NXT
}

// waitsForNothing says what the connection waits for without a timer.
func (c *Conn) waitsForNothing() error {
	armed := func(timers ...timer) bool {
		for _, t := range timers {
			if c.timers[t] != mono.Never {
				return true
			}
		}
		return false
	}
	waiting := c.state.sends() && !c.snd.fin && (c.unsent() > 0 || c.owe.fin)
	switch {
	case (c.board.len() > 0 || !c.state.Synchronized()) && !armed(timerRetransmit):
		return fmt.Errorf("%d segments are on their way without a timer", c.board.len())
	case waiting && c.board.len() == 0 && !armed(timerPersist, timerPace):
		return fmt.Errorf("%d octets wait without a timer", c.unsent())
	case c.state.Synchronized() && c.rcv.lastACK != c.rcv.NXT && !armed(timerDelayedACK):
		return fmt.Errorf("an ACK of %d is not owed; %d was the last", c.rcv.NXT, c.rcv.lastACK)
	case c.state == StateTimeWait && !armed(timerClose):
		return fmt.Errorf("TIME-WAIT has no end")
	}
	return nil
}
