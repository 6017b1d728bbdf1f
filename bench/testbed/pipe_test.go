package testbed_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/bench"
	"github.com/millrace-tcp/millrace/bench/testbed"
	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/stack"
)

// limited is a port that sends no more than so many octets a second, as a link of that rate
// would. Its methods are called by one goroutine, the worker.
type limited struct {
	dataplane.Port
	rate  float64
	start time.Time
	sent  float64
}

// burst is what may be sent at once, in octets, after a silence.
const burst = 64 << 10

// room is how many octets may be sent now.
func (l *limited) room() float64 {
	allowed := l.rate * time.Since(l.start).Seconds()
	l.sent = max(l.sent, allowed-burst)
	return allowed - l.sent
}

func (l *limited) Alloc(dst []dataplane.Frame) int {
	n := min(len(dst), int(l.room())/l.Port.Info().FrameSize)
	if n <= 0 {
		return 0
	}
	return l.Port.Alloc(dst[:n])
}

func (l *limited) Send(frames []dataplane.Frame) {
	for _, f := range frames {
		l.sent += float64(len(f.Data))
	}
	l.Port.Send(frames)
}

// Wait ends when there is room again, too.
func (l *limited) Wait(d time.Duration) error {
	const look = 200 * time.Microsecond
	if d < 0 || d > look {
		d = look
	}
	return l.Port.Wait(d)
}

// A link of a known rate comes out at that rate, less the headers: both ways, on one
// connection and on several.
func TestAKnownRateIsMeasured(t *testing.T) {
	testutil.NoGoroutineLeak(t)
	const (
		rate = 40e6 / 8 // octets a second
		mtu  = 1500
		want = 8 * rate * (mtu - 20 - 20 - 12) / (mtu + 14)
	)
	p, err := testbed.NewPair(mtu, stack.Config{}, func(port dataplane.Port) dataplane.Port {
		return &limited{Port: port, rate: rate, start: time.Now()}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	l, err := p.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		s := bench.Server{Log: slog.New(slog.DiscardHandler)}
		done <- s.Serve(ctx, l)
	}()
	client := bench.Client{Dial: p.B.DialContext}
	for _, w := range []bench.Workload{
		{Kind: bench.Bulk, Way: bench.Upload}, {Kind: bench.Bulk, Way: bench.Download},
		{Kind: bench.Bulk, Way: bench.Upload, Flows: 4},
	} {
		w.Time = time.Second
		// A burst at the start is over the rate.
		const over = 1 + 2*burst/rate
		var got float64
		// On a machine that is busy elsewhere a run may fall behind, but none gets ahead.
		for try := 0; try < 5 && got < 0.9*want; try++ {
			r, err := client.Run(ctx, l.Addr().String(), w)
			if err != nil {
				t.Fatal(err)
			}
			if got = r.BitsPerSecond(); got > over*want {
				break
			}
		}
		if got < 0.9*want || got > over*want {
			t.Errorf("%v: %.2f Mbit/s, want %.2f", w, got/1e6, want/1e6)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
