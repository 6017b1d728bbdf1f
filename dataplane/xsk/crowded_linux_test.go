package xsk_test

import (
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
)

// A port is crowded while half of the frames that there are to receive in wait on the ring or are
// held, and not any more when they are free.
func TestCrowded(t *testing.T) {
	eachMode(t, func(t *testing.T, b *bench) {
		const ring = 256
		p := open(t, b.B, b.b, xsk.Config{RXRing: ring})
		if p.Crowded() {
			t.Fatal("crowded before anything has come")
		}
		send := udpTo(t, b)
		var held []dataplane.Frame
		for end := time.Now().Add(patience); !p.Crowded(); {
			send(100)
			// Some wait, and some are held.
			var batch [1]dataplane.Frame
			held = append(held, batch[:p.Recv(batch[:])]...)
			if time.Now().After(end) {
				t.Fatalf("not crowded after %d frames of %d", len(held), ring)
			}
		}
		if n := len(held); n > p.Config().RXFrames {
			t.Fatalf("%d frames came before it was crowded, of %d", n, p.Config().RXFrames)
		}
		p.Free(held)
		for end := time.Now().Add(patience); p.Crowded(); {
			var batch [dataplane.BatchMax]dataplane.Frame
			p.Free(batch[:p.Recv(batch[:])])
			if time.Now().After(end) {
				t.Fatal("still crowded with all frames freed")
			}
		}
		closePorts(t, p)
	})
}
