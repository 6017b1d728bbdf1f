package dataplanetest

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
)

// TestLong is for ports of a link that carries packets of up to longest octets, Ethernet header
// included, if they take them.
func TestLong(t *testing.T, longest int, open Open) {
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, l *link, longest int)
	}{
		{"Exchange", exchangeLong},
		{"Bursts", burstLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLink(t, open)
			for _, e := range []*end{l.a, l.b} {
				if got := e.Info().PacketMax(); got < longest {
					t.Errorf("%s takes packets of %d octets, want %d", e.Info().Name, got, longest)
				}
			}
			tt.run(t, l, longest)
			l.close(t)
		})
	}
}

// pieceable says whether packets of several frames can be sent both ways.
func pieceable(l *link) bool { return l.a.Info().Pieces > 1 && l.b.Info().Pieces > 1 }

func testPieces(t *testing.T, l *link) {
	if pieceable(l) {
		exchangeLong(t, l, lengthMax)
	}
}

func testPiecesWhole(t *testing.T, l *link) {
	if pieceable(l) {
		burstLong(t, l, lengthMax)
	}
}

// longLen is the length of long packet number n: odd and even, of few frames and of many.
func longLen(n uint64, most int) int {
	return lengthMin + int(n*7919%uint64(most-lengthMin+1))
}

// pieceLen is how much of packet number n goes into each frame: all that fits, or less, so that
// short packets are of several frames too.
func (e *end) pieceLen(n uint64, size int) int {
	room, most := e.Info().FrameSize, e.Info().Pieces
	least := max((size+most-1)/most, headerLen)
	if least >= room {
		return room
	}
	return least + int(n*31%uint64(room-least+1))
}

// longOctet is the octet at i of long packet number n.
func longOctet(n uint64, i int) byte { return byte(n) + byte(i) + byte(i>>8) }

// sendLong sends packet number e.next, if there are frames enough.
func (e *end) sendLong(t *testing.T, most int) {
	t.Helper()
	size := longLen(e.next, most)
	room := e.pieceLen(e.next, size)
	need := (size + room - 1) / room
	for end := time.Now().Add(patience); ; e.Flush() {
		got := e.Alloc(e.batch[:need])
		if got == need {
			break
		}
		e.Cancel(e.batch[:got])
		if time.Now().After(end) {
			t.Fatalf("%s: %d frames could not be allocated", e.Info().Name, need)
		}
	}
	at := 0
	for i := range need {
		f := &e.batch[i]
		if f.More {
			t.Fatal("an allocated frame has More set")
		}
		f.Data = f.Data[:min(room, size-at)]
		for j := range f.Data {
			f.Data[j] = longOctet(e.next, at+j)
		}
		at += len(f.Data)
		f.More = i < need-1
	}
	var head [lengthMin]byte
	fill(head[:], e.next)
	copy(e.batch[0].Data, head[:headerLen])
	e.next++
	e.Send(e.batch[:need])
	e.Flush()
}

// wantLong checks one packet.
func wantLong(t *testing.T, frames []dataplane.Frame, n uint64, most int) {
	t.Helper()
	if got := number(frames[0].Data); got != n {
		t.Fatalf("got packet %d, want %d", got, n)
	}
	at := 0
	for i := range frames {
		data := frames[i].Data
		for j := range data {
			if at+j >= headerLen && data[j] != longOctet(n, at+j) {
				t.Fatalf("packet %d: octet %d is not as sent", n, at+j)
			}
		}
		at += len(data)
	}
	if want := longLen(n, most); at != want {
		t.Fatalf("packet %d: got %d octets, want %d", n, at, want)
	}
}

// receiveLong waits for packet number e.want, into room for that many frames.
func (e *end) receiveLong(t *testing.T, room, most int) {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		got := e.Recv(e.batch[:room])
		if got > 0 && e.batch[got-1].More {
			t.Fatalf("%s: a packet is torn", e.Info().Name)
		}
		done := false
		for rest := e.batch[:got]; len(rest) > 0; {
			n := dataplane.PacketLen(rest)
			if ours(rest[0].Data) {
				wantLong(t, rest[:n], e.want, most)
				e.want++
				done = true
			}
			rest = rest[n:]
		}
		e.Free(e.batch[:got])
		if done {
			return
		}
		e.Flush()
		e.peer.Flush()
		if time.Now().After(end) {
			t.Fatalf("%s: packet %d did not come", e.Info().Name, e.want)
		}
		if err := e.Wait(time.Millisecond); err != nil {
			t.Fatalf("Wait: %v", err)
		}
	}
}

// exchangeLong: packets of one frame and of many, both ways, with every octet as it was sent.
func exchangeLong(t *testing.T, l *link, most int) {
	before := l.a.Stats().TXFrames
	for range 100 {
		l.a.sendLong(t, most)
		l.b.receiveLong(t, dataplane.BatchMax, most)
		l.b.sendLong(t, most)
		l.a.receiveLong(t, dataplane.BatchMax, most)
	}
	if got := l.a.Stats().TXFrames - before; got != 100 {
		t.Errorf("TXFrames rose by %d, want 100: packets are counted", got)
	}
}

// burstLong: room for PiecesMax frames is always enough for a packet, and no packet is
// torn by a batch that ends.
func burstLong(t *testing.T, l *link, most int) {
	for round := range 50 {
		n := min(4, l.a.Info().TXFrames/dataplane.PiecesMax)
		for range n {
			l.a.sendLong(t, most)
		}
		for want := l.a.next; l.b.want < want; {
			l.b.receiveLong(t, dataplane.PiecesMax+round%20, most)
		}
	}
}
