package wire_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/stack/seq"
	"github.com/millrace-tcp/millrace/stack/wire"
)

var (
	macA = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB = [6]byte{2, 0, 0, 0, 0, 0xb}
)

// family is one version of IP with an address for either side.
type family struct {
	name     string
	src, dst netip.Addr
}

var versions = []family{
	{"IPv4", netip.MustParseAddr("10.77.0.1"), netip.MustParseAddr("10.77.0.2")},
	{"IPv6", netip.MustParseAddr("fd77::1"), netip.MustParseAddr("fd77::2")},
}

func (f *family) template(t testing.TB, vlan uint16) wire.Template {
	t.Helper()
	tm, err := wire.NewTemplate(wire.TemplateConfig{
		Eth: wire.EthHeader{Dst: macB, Src: macA, VLAN: vlan}, Src: f.src, Dst: f.dst, FlowLabel: 0x12345,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// buildFrame writes s as a whole frame, with room to spare behind it.
func buildFrame(t testing.TB, tm *wire.Template, s *wire.Segment) []byte {
	t.Helper()
	b := make([]byte, tm.Len()+60+len(s.Payload))
	n := wire.PutTCP(b[tm.Len():], s)
	n += copy(b[tm.Len()+n:], s.Payload)
	h := tm.Put(b, n, 0x1234)
	if n == 0 || h != tm.Len() {
		t.Fatalf("PutTCP and payload = %d, Put = %d, want > 0 and %d", n, h, tm.Len())
	}
	tm.Finish(b[:h+n])
	return b[:h+n]
}

func dataSegment(payload int) *wire.Segment {
	return &wire.Segment{
		SrcPort: 443, DstPort: 50000, SEQ: 0xfffffff0, ACK: 77, Flags: wire.ACK | wire.PSH, WND: 502,
		Opt:     wire.Options{Has: wire.HasTimestamps, TSVal: 0x01020304, TSEcr: 0x05060708},
		Payload: pattern(payload, 3),
	}
}

func synSegment() *wire.Segment {
	return &wire.Segment{
		SrcPort: 50000, DstPort: 443, Flags: wire.SYN, WND: 65535,
		Opt: wire.Options{
			Has: wire.HasMSS | wire.HasWScale | wire.HasSACKPermitted | wire.HasTimestamps,
			MSS: 1460, WScale: 8, TSVal: 7,
		},
		Payload: []byte{},
	}
}

func sackSegment(blocks int) *wire.Segment {
	s := dataSegment(0)
	s.Opt.Has |= wire.HasSACK
	s.Opt.NSACK = uint8(blocks)
	for i := range blocks {
		s.Opt.SACK[i] = seq.Range{Start: seq.Num(1000 * (i + 1)), End: seq.Num(1000*(i+1) + 500)}
	}
	return s
}

// pattern is n octets that look random and are the same every time.
func pattern(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// wantNoAlloc fails if f allocates.
func wantNoAlloc(t *testing.T, name string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%s: allocs = %v, want 0", name, n)
	}
}
