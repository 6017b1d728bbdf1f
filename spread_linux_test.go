package millrace_test

import (
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// moved is how many connections had their answer on another queue than that where they were made.
func moved(nic *millrace.NIC) (n uint64) {
	for _, s := range nic.Stats() {
		n += s.Moved
	}
	return n
}

// Where a NIC tells how it spreads, the answers of outgoing connections come where they are waited
// for: also after it was told to spread otherwise. What the NIC computes is compared with what we do.
func TestPlacedByRSS(t *testing.T) {
	testutil.Privileged(t)
	if !lab.OnNICs() {
		t.Skipf("needs two NICs with RSS over several queues, in %s", lab.EnvNICs)
	}
	ethtool := testutil.Command(t, "ethtool", "ethtool")
	l := lab.ForTest(t, lab.Config{})
	nic := open(t, l.A, millrace.Config{})
	if !strings.Contains(strings.Join(nic.Info().Notes, "\n"), "by RSS") || nic.Info().QueuesTotal < 2 {
		t.Skipf("it is not known how the NIC spreads: %q", nic.Info().Notes)
	}
	address := kernelEcho(t, l.B)
	for _, weights := range []string{"", "0 1", "3 1"} {
		if weights != "" {
			args := append([]string{"-X", l.A.Interface, "weight"}, strings.Fields(weights)...)
			if out, err := l.A.Command(t.Context(), ethtool, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		before, received := moved(nic), nic.Stats()
		const conns = 20
		for range conns {
			c, err := dial(l.A, nic, address)
			if err != nil {
				t.Fatal(err)
			}
			wantEcho(t, c, 1000)
		}
		// The first may be made before the kernel has told of the change.
		if n := moved(nic) - before; n > 1 {
			t.Errorf("weights %q: %d of %d connections had their answer elsewhere", weights, n, conns)
		}
		for q, s := range nic.Stats() {
			t.Logf("weights %q: queue %d received %d frames", weights, q, s.RXFrames-received[q].RXFrames)
		}
	}
	if out, err := l.A.Command(t.Context(), ethtool, "-X", l.A.Interface, "default").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
