package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/congestion/cubic"
	"github.com/millrace-tcp/millrace/internal/oracle"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

// O7 in the stack: CUBIC's average window over a round trip of 0.1 s with every n-th packet
// lost, from the thirtieth cycle to the ninetieth, when it has found its Wmax by itself; the
// round trip of each recovery, in which the window does not grow, is part of it. What the table
// does not have is by its formula, (C (3+β) / (4 (1-β)))^(1/4) (RTT/p)^(3/4).
// https://www.rfc-editor.org/rfc/rfc9438.html#section-5.1
func TestOracleCubicUnderPeriodicLoss(t *testing.T) {
	for _, tt := range []struct {
		n    int
		c    float64
		want float64
	}{{1000, 0.4, 38}, {1000, 4, 59}, {4000, 4, 167.6}} {
		cfg := scenarioConfig{seed: 1}
		spec := LinkSpec{Rate: 200e6, RTT: 100 * time.Millisecond}
		cfg.there, cfg.back = spec.paths()
		cfg.there.Drop = everyNth(tt.n)
		o := hostOptions{tcp: tcp.Config{AckEvery: 1}, recvBuffer: 8 << 20, sendBuffer: 4 << 20, noDelay: true}
		cfg.a, cfg.b = o, o
		cfg.a.tcp.Congestion = cubic.Config{C: tt.c, NoFastConvergence: true}.New
		var took [2]time.Duration
		for i, cycles := range []int{30, 90} {
			b, err := runBulk(cfg, int64(cycles*tt.n)*1448)
			if err != nil {
				t.Fatal(err)
			}
			took[i] = b.took
			if b.stats.TCPTimeouts != 0 || b.needless != 0 {
				t.Errorf("every %d: %d time-outs, %d in vain; want none", tt.n, b.stats.TCPTimeouts, b.needless)
			}
		}
		got := float64(60*tt.n) / (took[1] - took[0]).Seconds() * spec.RTT.Seconds()
		what := fmt.Sprintf("CUBIC's average window in the stack, each %d-th packet lost, C = %v", tt.n, tt.c)
		oracle.Near(t, "O7", what, tt.want, got, 0.15)
	}
}
