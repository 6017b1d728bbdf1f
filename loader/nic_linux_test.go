package loader_test

import (
	"net"
	"os"
	"testing"

	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader"
)

// nicEnv names a NIC that nothing else uses, for tests that want real hardware or a guest's.
const nicEnv = "MILLRACE_TEST_NIC"

// Drivers that restart when a program comes take the carrier away for a while. When Attach
// returns, it is back.
func TestCarrierIsBackAfterAttach(t *testing.T) {
	name := os.Getenv(nicEnv)
	if name == "" {
		t.Skipf("set %s to the name of a NIC that is up and that nothing else uses", nicEnv)
	}
	testutil.Privileged(t)
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	before, err := loader.Probe(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("before: %+v", before)
	if !before.Carrier || before.Driver == "" || before.RXQueues == 0 {
		t.Fatalf("%+v: want a driver, queues, and carrier to begin with", before)
	}
	p, err := loader.Attach(nic.Index, loader.Config{})
	if err != nil {
		t.Fatal(err)
	}
	after, err := loader.Probe(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v mode, notes %q", p.Mode(), p.Notes())
	if !after.Carrier || after.XDPProgram == 0 {
		t.Errorf("after: %+v, want carrier and a program", after)
	}
	if want := after.XDP.Has(loader.XDPKnown | loader.XDPBasic); (p.Mode() == loader.Native) != want && after.XDP.Has(loader.XDPKnown) {
		t.Errorf("%v mode with features %v", p.Mode(), after.XDP)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
