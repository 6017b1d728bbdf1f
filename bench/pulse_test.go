package bench_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-tcp/millrace/bench"
)

// against returns a client whose peer takes its request and then does what peer says, in
// virtual time.
func against(peer func(c net.Conn)) *bench.Client {
	return &bench.Client{Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			if _, err := io.ReadFull(theirs, make([]byte, bench.RequestLen)); err == nil {
				peer(theirs)
			}
		}()
		return ours, nil
	}}
}

// A peer that says nothing more is given up soon, and not at the end of all patience.
func TestAStallIsGivenUp(t *testing.T) {
	silent := func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 2)) } // never so many
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Download, Time: time.Minute},
		{Kind: bench.Bulk, Way: bench.Download, Time: time.Minute, Flows: 3},
		{Kind: bench.RequestResponse, Size: 1, Time: time.Minute},
		{Kind: bench.Connect, Size: 1, Time: time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := against(silent).Run(t.Context(), "", w)
			if took := time.Since(start); !errors.Is(err, bench.ErrStalled) || took < 3*time.Second || took > 10*time.Second {
				t.Errorf("%v: %v after %v, want %v after some seconds", w, err, took, bench.ErrStalled)
			}
		})
	}
}

// One on which a trickle is all that comes when its time is over is given up as well.
func TestATrickleIsGivenUp(t *testing.T) {
	trickle := func(c net.Conn) {
		for {
			if _, err := c.Write([]byte{1}); err != nil {
				return
			}
			<-time.After(time.Second)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := bench.Workload{Kind: bench.Bulk, Way: bench.Download, Time: 10 * time.Second}
		_, err := against(trickle).Run(t.Context(), "", w)
		if took := time.Since(start); !errors.Is(err, bench.ErrStalled) || took < 15*time.Second || took > 18*time.Second {
			t.Errorf("%v after %v, want %v after 16 s", err, took, bench.ErrStalled)
		}
		<-time.After(2 * time.Second) // until the peer has seen it
	})
}

// slowEcho sends back each octet after a millisecond.
func slowEcho(c net.Conn) {
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return
		}
		<-time.After(time.Millisecond)
		if _, err := c.Write(b); err != nil {
			return
		}
	}
}

// Messages go on for the time, and beyond it until there are as many as are asked for, but
// not for ever.
func TestMessagesThatAreAskedFor(t *testing.T) {
	for _, tt := range []struct{ ask, want int64 }{{0, 20}, {7, 20}, {60, 60}, {1000, 100}} {
		synctest.Test(t, func(t *testing.T) {
			w := bench.Workload{Kind: bench.RequestResponse, Size: 1, Time: 20 * time.Millisecond, Count: tt.ask}
			r, err := against(slowEcho).Run(t.Context(), "", w)
			if err != nil || r.Count != tt.want || r.Elapsed != time.Duration(tt.want)*time.Millisecond {
				t.Errorf("asked for %d: %d in %v, %v; want %d", tt.ask, r.Count, r.Elapsed, err, tt.want)
			}
		})
	}
}
