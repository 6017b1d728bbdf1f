package xsk_test

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/millrace-tcp/millrace/dataplane"
	"github.com/millrace-tcp/millrace/dataplane/dataplanetest"
	"github.com/millrace-tcp/millrace/dataplane/xsk"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// nicsEnv names two interfaces that a cable joins and that nobody else uses, for a run on
// hardware or in a virtual machine: "eth0 eth1". They are taken over without asking.
const nicsEnv = "MILLRACE_XSK_TEST_NICS"

// What a port must do, it does in zero-copy mode too.
func TestZeroCopyPort(t *testing.T) {
	names := strings.Fields(os.Getenv(nicsEnv))
	if len(names) != 2 {
		t.Skipf("needs two NICs with zero-copy drivers, joined by a cable, in %s=%q", nicsEnv, "eth0 eth1")
	}
	testutil.Privileged(t)
	var nics [2]net.Interface
	var xsks [2]*ebpf.Map
	for i, name := range names {
		nic, err := net.InterfaceByName(name)
		if err != nil {
			t.Fatal(err)
		}
		nics[i] = *nic
		xsks[i] = takeOver(t, nic)
	}
	for _, name := range names {
		// Some drivers restart when a program is attached, and the carrier goes for a while.
		testutil.Eventually(t, patience, func() bool {
			state, err := os.ReadFile("/sys/class/net/" + name + "/carrier")
			return err == nil && strings.TrimSpace(string(state)) == "1"
		}, name+" has carrier")
	}
	dataplanetest.TestPort(t, func(t *testing.T) (a, b dataplane.Port) {
		var ports [2]*xsk.Port
		for i := range ports {
			p, err := xsk.Open(xsk.Config{Ifindex: nics[i].Index, Mode: xsk.ZeroCopy, HWRing: 512})
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if !p.ZeroCopy() {
				t.Fatalf("%s is not zero-copy", p.Info().Name)
			}
			if err := xsks[i].Put(uint32(0), uint32(p.FD())); err != nil {
				t.Fatal(err)
			}
			ports[i] = p
			t.Cleanup(func() {
				if t.Failed() { // What was seen, and a free queue for the next test.
					t.Logf("%s: %+v, kernel %+v, kick: %v", p.Info().Name, p.Stats(), p.KernelStats(), p.Err())
					_ = p.Close()
				}
			})
		}
		awaitWay(t, ports[0], ports[1])
		awaitWay(t, ports[1], ports[0])
		return ports[0], ports[1]
	})
}

// awaitWay sends stray frames until one comes: a driver may restart the queue when a socket
// is bound, and lose without a counter what comes meanwhile.
func awaitWay(t *testing.T, from, to *xsk.Port) {
	t.Helper()
	var batch [dataplane.BatchMax]dataplane.Frame
	send := func() {
		if from.Alloc(batch[:1]) == 1 {
			batch[0].Data = batch[0].Data[:60]
			number(batch[0].Data, dataplanetest.Stray)
			from.Send(batch[:1])
		}
		from.Flush()
	}
	came := 0
	for end := time.Now().Add(patience); came == 0; {
		send()
		if err := to.Wait(10 * time.Millisecond); err != nil || time.Now().After(end) {
			t.Fatalf("nothing comes from %s to %s, Wait: %v", from.Info().Name, to.Info().Name, err)
		}
		n := to.Recv(batch[:])
		to.Free(batch[:n])
		to.Flush()
		came += n
	}
}

// takeOver attaches the tests' program to nic for as long as the test runs.
func takeOver(t *testing.T, nic *net.Interface) *ebpf.Map {
	t.Helper()
	xsks, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 64})
	if err != nil {
		t.Fatal(err)
	}
	prog, err := ebpf.NewProgram(redirect(xsks))
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: nic.Index, Flags: link.XDPDriverMode})
	if err != nil {
		t.Fatalf("attach to %s: %v", nic.Name, err)
	}
	t.Cleanup(func() {
		_ = l.Close()
		_ = prog.Close()
		_ = xsks.Close()
	})
	return xsks
}
