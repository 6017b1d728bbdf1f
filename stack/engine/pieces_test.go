package engine

import (
	"bytes"
	"testing"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// newPiecesPeer is a peer whose link takes packets of several frames of size octets.
func newPiecesPeer(t *testing.T, size int, local bool) *peer {
	p := newPeer(t, Config{})
	pa, pb := pipe.New(pipe.Config{FrameSize: size, Pieces: dataplane.PiecesMax, LinkLocal: local})
	p.b = p.newHost(Config{}, pb, "10.0.0.2", 2)
	p.b.router.hop.RemoteMAC, p.b.router.hop.MTU = [6]byte{2, 0, 0, 0, 0, 1}, 1500
	p.h, p.port = p.b, pa
	return p
}

// sendPieces sends a segment in frames that take first octets, then size each. What finish
// does to the packet comes last.
func (p *peer) sendPieces(s wire.Segment, first, size int, finish func(t *wire.Template, b []byte)) {
	p.t.Helper()
	s.SrcPort, s.DstPort, s.WND = 1000, 80, 65535
	t := p.template()
	b := make([]byte, t.Len()+60+len(s.Payload))
	n := wire.PutTCP(b[t.Len():], &s)
	n += copy(b[t.Len()+n:], s.Payload)
	t.Put(b, n, 0)
	b = b[:t.Len()+n]
	finish(&t, b)
	var frames [dataplane.PiecesMax]dataplane.Frame
	k := 0
	for at := 0; at < len(b); k++ {
		if p.port.Alloc(frames[k:k+1]) != 1 {
			p.t.Fatal("the link has no frame")
		}
		f := &frames[k]
		f.Data = f.Data[:copy(f.Data[:min(len(f.Data), size)], b[at:])]
		if k == 0 {
			f.Data = f.Data[:first]
		}
		at += len(f.Data)
		f.More = at < len(b)
	}
	p.port.Send(frames[:k])
	p.port.Flush()
	p.settle()
}

// A kernel that leaves segmentation and the checksum to a NIC, on a link that has none, sends up
// to 64 KiB at once. It is one segment: written in place, acknowledged at once, and by one ACK.
func TestAggregateInPieces(t *testing.T) {
	p := newPiecesPeer(t, 4096, true)
	p.h.listen(80)
	_, ack := p.open(1000)
	data := make([]byte, 20000)
	for i := range data {
		data[i] = byte(i % 251)
	}
	partial := func(t *wire.Template, b []byte) { t.FinishPartial(b, 0) }
	whole := func(t *wire.Template, b []byte) { t.Finish(b) }
	p.sendPieces(wire.Segment{SEQ: 1001, ACK: ack, Flags: wire.ACK, Payload: data}, 3840, 3840, partial)
	if s := p.want(wire.ACK); s.ACK != 1001+20000 {
		t.Errorf("got ACK %d, want %d", s.ACK, 1001+20000)
	}
	p.wantNothing()
	// Out of order, with a piece that begins within the window's first octets, then the hole.
	p.sendPieces(wire.Segment{SEQ: 1001 + 20000 + 1000, ACK: ack, Flags: wire.ACK, Payload: data[1000:]}, 60, 1001, whole)
	if s := p.want(wire.ACK); s.ACK != 1001+20000 {
		t.Errorf("got ACK %d, want a duplicate of %d", s.ACK, 1001+20000)
	}
	p.sendPieces(wire.Segment{SEQ: 1001 + 19000, ACK: ack, Flags: wire.ACK, Payload: append(data[19000:20000:20000], data[:1500]...)}, 100, 700, partial)
	if s := p.want(wire.ACK); s.ACK != 1001+40000 {
		t.Errorf("got ACK %d, want %d", s.ACK, 1001+40000)
	}
	got := make([]byte, 50000)
	if n := p.h.accepted[0].Recv().Read(got); !bytes.Equal(got[:n], append(bytes.Clone(data), data...)) {
		t.Errorf("read %d octets, not the 40000 that were sent", n)
	}
	if got := p.h.e.Stats().PartialChecksums; got != 2 {
		t.Errorf("counted %d partial checksums, want 2", got)
	}
}

// Pieces are as hostile as the rest of the wire: cut within a header, they are dropped and
// counted; with a wrong checksum likewise; and a partial one is for local links alone.
func TestBadPieces(t *testing.T) {
	p := newPiecesPeer(t, 4096, false)
	p.h.listen(80)
	_, ack := p.open(1000)
	seg := wire.Segment{SEQ: 1001, ACK: ack, Flags: wire.ACK, Payload: make([]byte, 9000)}
	whole := func(t *wire.Template, b []byte) { t.Finish(b) }
	p.sendPieces(seg, 14+10, 4000, whole)
	p.sendPieces(seg, 14+20+10, 4000, whole)
	p.sendPieces(seg, 4000, 4000, func(t *wire.Template, b []byte) { t.Finish(b); b[8000] ^= 1 })
	p.sendPieces(seg, 4000, 4000, func(t *wire.Template, b []byte) { t.FinishPartial(b, 0) })
	d := p.h.e.Stats().Drop
	if d.IPHeader != 1 || d.TCPChecksum != 3 {
		t.Errorf("got %+v, want one IPHeader and three TCPChecksum", d)
	}
	p.wantNothing()
	p.sendPieces(seg, 4000, 4000, whole)
	p.want(wire.ACK)
}

// Where the MTU is more than a frame, segments are sent in several: all of them full, in order,
// and their checksum right.
func TestSendPieces(t *testing.T) {
	for _, tt := range []struct{ mtu, size int }{{9000, 2048}, {9000, 4096}, {65000, 4096}, {2050, 2048}} {
		p := newPair(t, Config{SendMax: 8 << 20, RecvMax: 8 << 20}, pipe.Config{FrameSize: tt.size, Frames: 256, Pieces: dataplane.PiecesMax})
		mtu := min(tt.mtu, tt.size*dataplane.PiecesMax-wire.EthernetVLANLen)
		for _, h := range []*host{p.a, p.b} {
			h.router.hop.MTU = tt.mtu
		}
		p.b.listen(80)
		a, b := p.connect(80)
		data := make([]byte, 2<<20)
		for i := range data {
			data[i] = byte(i*7 + i>>11)
		}
		got := make([]byte, 0, len(data))
		var buf [1 << 16]byte
		left := data
		for turns := 0; len(got) < len(data); turns++ {
			if n := a.Send().Write(left); n > 0 {
				left = left[n:]
				a.PostWrite()
			}
			p.step()
			n := b.Recv().Read(buf[:])
			got = append(got, buf[:n]...)
			b.PostRead()
			if n == 0 {
				p.run(p.a.e.Deadline().Sub(p.now))
			}
			if turns > 10_000 {
				t.Fatalf("MTU %d: %d of %d octets came", tt.mtu, len(got), len(data))
			}
		}
		if !bytes.Equal(got, data) {
			t.Fatalf("MTU %d in frames of %d: the content differs", tt.mtu, tt.size)
		}
		if sent, full := p.a.e.Stats().TXFrames, uint64(len(data)/(mtu-40-12)); sent > full+full/2+20 {
			t.Errorf("MTU %d: %d packets, want about %d", tt.mtu, sent, full)
		}
		p.close()
	}
}
