package loader_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/loader"
)

func probe(t *testing.T, h *lab.Host, name string) (info loader.NICInfo, err error) {
	t.Helper()
	err = h.Do(func() error {
		info, err = loader.Probe(name)
		return err
	})
	return info, err
}

func TestProbeVeth(t *testing.T) {
	l := newLab(t, lab.Config{MTU: 3000, Queues: 2})
	info, err := probe(t, l.A, l.A.Interface)
	if err != nil {
		t.Fatal(err)
	}
	if info.Driver != "veth" || !info.Veth || info.Name != l.A.Interface || info.Index != l.A.Index {
		t.Errorf("info = %+v, want the veth", info)
	}
	if info.MTU != 3000 || !bytes.Equal(info.MAC, l.A.MAC) || !info.Up || !info.Carrier {
		t.Errorf("info = %+v, want MTU 3000, MAC %v, up, with carrier", info, l.A.MAC)
	}
	if info.RXQueues != 2 || info.TXQueues != 2 || info.RXQueuesMax < 2 || info.TXQueuesMax < 2 {
		t.Errorf("info = %+v, want two queues each way", info)
	}
	if info.XDPProgram != 0 {
		t.Errorf("XDP program = %d, want none", info.XDPProgram)
	}
	// veth has advertised these since the kernel can be asked.
	if info.XDP.Has(loader.XDPKnown) && !info.XDP.Has(loader.XDPBasic|loader.XDPRedirect) {
		t.Errorf("XDP features = %v, want basic and redirect", info.XDP)
	}
	if info.XDP.Has(loader.XDPZeroCopy) {
		t.Errorf("XDP features = %v: veth has no zero-copy", info.XDP)
	}
	t.Logf("XDP features %v, %d segments", info.XDP, info.ZeroCopySegsMax)

	attach(t, l.A, loader.Config{})
	if info, err = probe(t, l.A, l.A.Interface); err != nil || info.XDPProgram == 0 {
		t.Errorf("XDP program = %d, %v, want the attached one", info.XDPProgram, err)
	}
}

// A device without channels, rings or XDP is no error.
func TestProbeSimpleDevices(t *testing.T) {
	l := newLab(t, lab.Config{})
	info, err := probe(t, l.A, "lo")
	if err != nil || info.Veth || info.RXQueues != 1 {
		t.Errorf("lo: %+v, %v", info, err)
	}
	_, err = probe(t, l.A, "nosuch0")
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); !ok {
		t.Errorf("nosuch0: error = %v, want that there is none", err)
	}
}
