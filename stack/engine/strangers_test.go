package engine

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane/pipe"
	"github.com/millrace-tcp/millrace/mono"
	"github.com/millrace-tcp/millrace/stack/wire"
)

// Nobody can be at these addresses: what comes from there is not answered, and none is connected
// to. https://www.rfc-editor.org/rfc/rfc9293.html#section-3.9.2.3 (MUST-46, MUST-57 and MUST-63)
func TestAddressesThatAreNoHost(t *testing.T) {
	for _, addr := range []string{"255.255.255.255", "224.0.0.1", "0.0.0.0", "0.1.2.3", "127.0.0.1", "250.1.1.1", "10.0.0.2"} {
		p := newPeer(t, Config{})
		p.h.listen(80)
		p.addr = netip.MustParseAddr(addr)
		p.send(wire.Segment{Flags: wire.SYN})
		p.send(wire.Segment{Flags: wire.ACK, DstPort: 81})
		p.wantNothing()
		if got := p.h.e.Stats().Drop.Martian; got != 2 {
			t.Errorf("from %s: %d dropped as martians, want 2", addr, got)
		}
	}
	p := newPair(t, Config{}, pipe.Config{})
	for _, addr := range []string{"255.255.255.255", "224.0.0.1", "0.0.0.0", "ff02::1", "::"} {
		_, err := p.a.e.Connect(p.now, ConnectConfig{Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 80)})
		if !errors.Is(err, ErrUnreachable) {
			t.Errorf("connect to %s: %v, want %v", addr, err, ErrUnreachable)
		}
	}
}

// The bucket of tokens is full after any silence, and holds no more than a second's worth.
func TestBudgetAfterLongSilence(t *testing.T) {
	for _, silence := range []time.Duration{time.Second, 22 * 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
		now := mono.Time(time.Hour)
		var b budget
		for b.take(now, resetsPerSec) {
		}
		now = now.Add(silence)
		n := 0
		for b.take(now, resetsPerSec) {
			n++
		}
		if n != resetsPerSec {
			t.Errorf("%d tokens after %v, want %d", n, silence, resetsPerSec)
		}
	}
}

// A SYN that may take the place of a connection in TIME-WAIT does so only where it is kept: not
// beyond the backlog, be the old one closed by its application or not.
func TestTimeWaitStaysWhereTheBacklogIsFull(t *testing.T) {
	for _, closed := range []bool{true, false} {
		p := newPeer(t, Config{HalfOpenMax: 1})
		p.h.listen(80)
		nxt, _ := p.open(100)
		c := p.h.accepted[0]
		if closed {
			c.PostClose()
		} else {
			c.PostCloseWrite()
		}
		p.settle()
		fin := p.want(wire.FIN | wire.ACK)
		p.send(wire.Segment{SEQ: nxt, ACK: fin.SEQ.Add(1), Flags: wire.FIN | wire.ACK})
		p.want(wire.ACK)
		p.send(wire.Segment{SEQ: 1, Flags: wire.SYN, SrcPort: 2000})
		p.want(wire.SYN | wire.ACK)
		p.send(wire.Segment{SEQ: 1 << 20, Flags: wire.SYN})
		p.want(wire.ACK)
		if got := p.h.e.Stats(); got.HalfOpen != 1 || got.TimeWaitReused != 0 {
			t.Errorf("closed %v: %d half open, %d took the place of one in TIME-WAIT; want 1, 0", closed, got.HalfOpen, got.TimeWaitReused)
		}
	}
}

// What comes for a half-open connection and does not complete it is answered ten times in a second,
// whoever sends it: its address may be somebody else's.
func TestHalfOpenAnswersAreBounded(t *testing.T) {
	for _, stray := range []wire.Segment{
		{SEQ: 100, Flags: wire.SYN},
		{SEQ: 1 << 20, ACK: 5, Flags: wire.ACK},
		{SEQ: 101, ACK: 5, Flags: wire.ACK},
	} {
		p := newPeer(t, Config{})
		p.h.listen(80)
		p.send(wire.Segment{SEQ: 100, Flags: wire.SYN})
		first := p.want(wire.SYN | wire.ACK)
		for range 50 {
			p.send(stray)
		}
		n := 0
		for _, ok := p.recv(); ok; _, ok = p.recv() {
			n++
		}
		if got := p.h.e.Stats().TCP.TCPACKSkippedSynRecv; n != 1 || got != 49 {
			t.Errorf("%v: %d answers, %d skipped; want 1, 49", stray.Flags, n, got)
		}
		p.now = p.now.Add(restAnswerEvery)
		p.send(stray)
		if _, ok := p.recv(); !ok {
			t.Errorf("%v: no answer after a while", stray.Flags)
		}
		p.send(wire.Segment{SEQ: 101, ACK: first.SEQ + 1, Flags: wire.ACK})
		if len(p.h.accepted) != 1 {
			t.Errorf("%v: the handshake does not end", stray.Flags)
		}
	}
}
