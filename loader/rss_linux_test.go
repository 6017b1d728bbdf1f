package loader

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
	"github.com/millrace-tcp/millrace/loader/rss"
)

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = append(b, nl.Uint32Attr(v)...)
	}
	return b
}

// An answer of Linux 6.18, and what an older one lacks.
func TestReadSpread(t *testing.T) {
	key := slices.Repeat([]byte{0x6d, 0x5a}, 20)
	flows := slices.Concat(
		nl.NewRtAttr(2, words(0x30)).Serialize(), nl.NewRtAttr(flowTCP4, words(0xf0)).Serialize(),
		nl.NewRtAttr(flowTCP6, nl.Uint64Attr(0x30)).Serialize())
	answer := map[uint16][]byte{
		1: {}, rssFunction: words(1), rssTable: words(0, 1, 0, 1), rssKey: key, rssFlowHash: flows,
	}
	s := readSpread(answer)
	if s.Function != rss.Toeplitz || !slices.Equal(s.Key, key) || !slices.Equal(s.Table, []uint32{0, 1, 0, 1}) || s.Transform != 0 {
		t.Errorf("got %+v", s)
	}
	if s.Fields4 != rss.Whole || s.Fields6 != rss.Addresses || !s.Known(true) || !s.Known(false) {
		t.Errorf("fields %#x and %#x, want all and the addresses", s.Fields4, s.Fields6)
	}
	answer[rssFlowHash] = nl.NewRtAttr(flowTCP4, words(1<<31)).Serialize()
	if s = readSpread(answer); s.Known(true) || s.Known(false) {
		t.Errorf("%+v is known: TCP over IPv4 is dropped, and over IPv6 not hashed", s)
	}
	delete(answer, rssFlowHash)
	answer[rssTransform] = words(1)
	if s = readSpread(answer); !s.Known(true) || s.Fields6 != rss.Whole || s.Transform != rss.SymmetricXOR {
		t.Errorf("got %+v", s)
	}
}

// What a kernel should not say does not crash, and leads to no queue.
func FuzzReadSpread(f *testing.F) {
	f.Add(words(1), words(0, 1), slices.Repeat([]byte{1}, 40), []byte{}, words(0xf0))
	f.Fuzz(func(t *testing.T, function, table, key, transform, flows []byte) {
		s := readSpread(map[uint16][]byte{
			rssFunction: function, rssTable: table, rssKey: key, rssTransform: transform, rssFlowHash: flows,
		})
		queue, known := s.Queue(netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("10.0.0.2:1234"))
		if known && !slices.Contains(s.Table, uint32(queue)) {
			t.Errorf("queue %d is not of %v", queue, s.Table)
		}
	})
}

// A veth spreads by what its peer thinks of: there is nothing to know, and no error.
func TestSpreadOfVeth(t *testing.T) {
	testutil.Privileged(t)
	if lab.OnNICs() {
		t.Skip("needs a veth")
	}
	l := lab.ForTest(t, lab.Config{Queues: 2})
	var s rss.Settings
	err := l.A.Do(func() (err error) {
		s, err = sockets(nil).spread(l.A.Index)
		return err
	})
	if err != nil || s.Known(true) || s.Known(false) {
		t.Errorf("got %+v, %v; want that nothing is known", s, err)
	}
}

// On a NIC there is something to know, or not, but no error.
func TestSpreadOfNIC(t *testing.T) {
	name := os.Getenv("MILLRACE_TEST_NIC")
	if name == "" {
		t.Skip("set MILLRACE_TEST_NIC to the name of a NIC that is up and that nothing else uses")
	}
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	s, err := sockets(nil).spread(nic.Index)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: %+v; IPv4 known: %t, IPv6 known: %t", name, s, s.Known(true), s.Known(false))
}
