package stack_test

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack"
)

// A paced connection never sends faster than it may, in real time too; how much slower the
// machine's timers make it is logged.
func TestPacingInRealTime(t *testing.T) {
	p := newPair(t, stack.Config{})
	a, b := p.connect(t)
	defer a.Close()
	defer b.Close()
	for _, rate := range []int64{1_250_000, 12_500_000} {
		if err := a.SetMaxPacing(rate); err != nil {
			t.Fatal(err)
		}
		n := rate / 2
		began := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = a.Write(make([]byte, n)) })
		if _, err := io.CopyN(io.Discard, b, n); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		got := float64(n) / time.Since(began).Seconds() / float64(rate)
		t.Logf("%s: %.3f of the rate", fmt.Sprint(rate), got)
		if got > 1.03 {
			t.Errorf("%.3f of the rate of %d octets a second", got, rate)
		}
	}
}
