package millrace

import (
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
)

// A port that fits is given, from the pool where that has one, and another one where none does.
func TestPortsThatFit(t *testing.T) {
	testutil.Privileged(t)
	l := lab.ForTest(t, lab.Config{})
	err := l.A.Do(func() error {
		prog, err := loader.Attach(l.A.Index, loader.Config{})
		if err != nil {
			return err
		}
		defer prog.Close()
		claimPorts(t, newNICClaimer(prog, l.A.Interface), l)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func claimPorts(t *testing.T, c *nicClaimer, l *lab.Lab) {
	t.Helper()
	defer c.close()
	local := netip.AddrPortFrom(l.A.IP4.Addr(), 0)
	remote := netip.AddrPortFrom(l.B.IP4.Addr(), 7)
	queue := func(a netip.AddrPort) int { return int(a.Port()) >> 1 & 1 }
	claim := func(fits func(netip.AddrPort) bool) (netip.AddrPort, func()) {
		t.Helper()
		at, release, err := c.Flow(local, remote, fits)
		if err != nil {
			t.Fatal(err)
		}
		return at, release
	}
	for range 3 {
		var ends []func()
		given := make(map[netip.AddrPort]bool)
		for i := range 40 {
			at, release := claim(func(a netip.AddrPort) bool { return queue(a) == i&1 })
			if given[at] || at.Addr() != local.Addr() {
				t.Errorf("claim %d: %v, which is not ours or was given before", i, at)
			}
			// One of 2^32 times it is allowed to be another one.
			if queue(at) != i&1 {
				t.Errorf("claim %d: %v leads to queue %d", i, at, queue(at))
			}
			given[at] = true
			ends = append(ends, release)
		}
		for _, release := range ends {
			release()
		}
	}
	if n := len(c.ports); n > poolIdle || n < 40 {
		t.Errorf("%d ports are reserved, want between 40 and %d", n, poolIdle)
	}
	before := len(c.ports)
	if _, release := claim(func(netip.AddrPort) bool { return false }); len(c.ports) < before {
		t.Errorf("%d ports are reserved, there were %d", len(c.ports), before)
	} else {
		release()
	}
	if n := len(c.ports); n > poolIdle {
		t.Errorf("%d ports are reserved after all, want at most %d", n, poolIdle)
	}
}
