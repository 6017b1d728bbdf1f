package lab_test

import (
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// inNamespace, when it is set, says that this test binary runs in a namespace that is its own.
const inNamespace = "MILLRACE_LAB_TEST_CHILD"

// Two interfaces that were there become a lab and come back as they were.
func TestNICs(t *testing.T) {
	testutil.Privileged(t)
	if os.Getenv(inNamespace) == "" {
		l := lab.ForTest(t, lab.Config{})
		cmd := l.A.Command(t.Context(), os.Args[0], "-test.run=^TestNICs$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1", lab.EnvNICs+"=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
		return
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "nic0", 1400
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU = "nic1", 1300
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		t.Fatal(err)
	}
	before := states(t)
	cfg := lab.Config{Name: fmt.Sprintf("test-%d-nics", os.Getpid()), MTU: 1480, NICs: [2]string{"nic0", "nic1"}}
	for range 2 {
		l, err := lab.Up(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if l.A.Interface != "nic0" || l.B.Interface != "nic1" || l.A.MAC.String() == l.B.MAC.String() {
			t.Errorf("A is %+v, B is %+v", l.A, l.B)
		}
		if _, err := net.InterfaceByName("nic0"); err == nil {
			t.Error("nic0 is in the lab and here")
		}
		wantEcho(t, l.B, l.A, l.A.IP4.Addr().String())
		if err := l.Down(); err != nil {
			t.Error(err)
		}
		if got := states(t); got != before {
			t.Errorf("the interfaces were %s and are %s", before, got)
		}
	}
	// What fails leaves them here too.
	cfg.Queues = lab.QueuesMax
	if l, err := lab.Up(cfg); err == nil {
		t.Errorf("Up with %d queues = %+v, want an error", cfg.Queues, l)
	}
	cfg.Queues, cfg.NICs[1] = 1, "nic2"
	if l, err := lab.Up(cfg); err == nil {
		t.Errorf("Up with an interface that is not there = %+v, want an error", l)
	}
	if got := states(t); got != before {
		t.Errorf("the interfaces were %s and are %s", before, got)
	}
}

// states is what is borrowed of two interfaces.
func states(t *testing.T) (text string) {
	t.Helper()
	for _, name := range []string{"nic0", "nic1"} {
		i, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		text += fmt.Sprintf("%s: MTU %d, up %v; ", name, i.MTU, i.Flags&net.FlagUp != 0)
	}
	return text
}

// Two NICs, or none.
func TestNICsAreTwo(t *testing.T) {
	for _, nics := range [][2]string{{"nic0", ""}, {"", "nic0"}, {"nic0", "nic0"}} {
		if l, err := lab.Up(lab.Config{Name: "test-two", NICs: nics}); err == nil {
			t.Errorf("Up with NICs %q = %+v, want an error", nics, l)
			_ = l.Down()
		}
	}
}
