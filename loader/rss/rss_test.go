package rss_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/millrace-tcp/millrace/loader/rss"
)

// key is that of the verification suite.
var key = []byte{
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
	0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
	0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
}

// vectors are the suite's: destination, source, hash of the addresses, and with the ports.
// https://learn.microsoft.com/en-us/windows-hardware/drivers/network/verifying-the-rss-hash-calculation
var vectors = []struct {
	to, from         string
	addresses, whole uint32
}{
	{"161.142.100.80:1766", "66.9.149.187:2794", 0x323e8fc2, 0x51ccc178},
	{"65.69.140.83:4739", "199.92.111.2:14230", 0xd718262a, 0xc626b0ea},
	{"12.22.207.184:38024", "24.19.198.95:12898", 0xd2d0a5de, 0x5c2b394a},
	{"209.142.163.6:2217", "38.27.205.30:48228", 0x82989176, 0xafc7327f},
	{"202.188.127.2:1303", "153.39.163.191:44251", 0x5d1809c5, 0x10e828a2},
	{"[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x2cc18cd5, 0x40207d3d},
	{"[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0x0f0c461c, 0xdde51bbf},
	{"[fe80::200:f8ff:fe21:67cf]:38024", "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", 0x4b61e985, 0x02d1feef},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		to, from := netip.MustParseAddrPort(v.to), netip.MustParseAddrPort(v.from)
		b := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
		if got := rss.Hash(key, b); got != v.addresses {
			t.Errorf("%s to %s: the hash of the addresses is %#x, want %#x", v.from, v.to, got, v.addresses)
		}
		b = binary.BigEndian.AppendUint16(b, from.Port())
		b = binary.BigEndian.AppendUint16(b, to.Port())
		if got := rss.Hash(key, b); got != v.whole {
			t.Errorf("%s to %s: the hash is %#x, want %#x", v.from, v.to, got, v.whole)
		}
	}
}

// settings are of a NIC that spreads over the queues by the low bits of the hash.
func settings() rss.Settings {
	s := rss.Settings{Function: rss.Toeplitz, Key: key, Fields4: rss.Whole, Fields6: rss.Whole}
	for i := range uint32(128) {
		s.Table = append(s.Table, 1000+i)
	}
	return s
}

func TestQueue(t *testing.T) {
	s, plain := settings(), settings()
	plain.Fields4, plain.Fields6 = rss.Addresses, rss.Addresses
	for _, v := range vectors {
		local, remote := netip.MustParseAddrPort(v.to), netip.MustParseAddrPort(v.from)
		if q, known := s.Queue(local, remote); !known || q != 1000+int(v.whole&127) {
			t.Errorf("%s to %s: queue %d, %t; want %d", v.from, v.to, q, known, 1000+v.whole&127)
		}
		if q, known := plain.Queue(local, remote); !known || q != 1000+int(v.addresses&127) {
			t.Errorf("%s to %s: by the addresses queue %d, %t; want %d", v.from, v.to, q, known, 1000+v.addresses&127)
		}
		mapped := netip.AddrPortFrom(netip.AddrFrom16(local.Addr().As16()), local.Port())
		if q, _ := s.Queue(mapped, remote); q != 1000+int(v.whole&127) {
			t.Errorf("%v as an IPv6 address: queue %d", mapped, q)
		}
	}
}

// With a transform both directions of a flow are on one queue, and without one they are not.
func TestSymmetric(t *testing.T) {
	for _, tt := range []struct {
		transform rss.Transform
		want      bool
	}{{0, false}, {rss.SymmetricXOR, true}, {rss.SymmetricORXOR, true}} {
		s := settings()
		s.Transform = tt.transform
		alike := true
		for _, v := range vectors {
			local, remote := netip.MustParseAddrPort(v.to), netip.MustParseAddrPort(v.from)
			there, _ := s.Queue(local, remote)
			back, known := s.Queue(remote, local)
			if !known {
				t.Fatalf("transform %d: not known", tt.transform)
			}
			alike = alike && there == back
		}
		if alike != tt.want {
			t.Errorf("transform %d: both directions are alike: %t", tt.transform, alike)
		}
	}
}

// What is not computed here is said not to be known, and nothing crashes.
func TestUnknown(t *testing.T) {
	for name, change := range map[string]func(s *rss.Settings){
		"nothing":               func(s *rss.Settings) { *s = rss.Settings{} },
		"another function":      func(s *rss.Settings) { s.Function = rss.XOR },
		"two functions":         func(s *rss.Settings) { s.Function |= rss.CRC32 },
		"no key":                func(s *rss.Settings) { s.Key = nil },
		"a short key":           func(s *rss.Settings) { s.Key = s.Key[:15] },
		"no table":              func(s *rss.Settings) { s.Table = nil },
		"a table of 48 entries": func(s *rss.Settings) { s.Table = s.Table[:48] },
		"another transform":     func(s *rss.Settings) { s.Transform = 4 },
		"both transforms":       func(s *rss.Settings) { s.Transform = 3 },
		"other fields": func(s *rss.Settings) {
			s.Fields4, s.Fields6 = rss.SourceIP, rss.Whole|1<<9
		},
	} {
		s := settings()
		change(&s)
		for _, v := range vectors {
			if q, known := s.Queue(netip.MustParseAddrPort(v.to), netip.MustParseAddrPort(v.from)); known {
				t.Errorf("%s: queue %d is known", name, q)
			}
		}
	}
	s := settings()
	for _, bad := range []netip.AddrPort{{}, netip.MustParseAddrPort("[::1]:80")} {
		if _, known := s.Queue(netip.MustParseAddrPort("10.0.0.1:80"), bad); known {
			t.Errorf("a queue is known for %v", bad)
		}
	}
	// A key that is long enough for one family may not be for the other.
	s.Key = key[:20]
	if !s.Known(true) || s.Known(false) {
		t.Errorf("with a key of 20 octets IPv4 is known: %t, and IPv6: %t", s.Known(true), s.Known(false))
	}
}

func BenchmarkQueue(b *testing.B) {
	s := settings()
	local, remote := netip.MustParseAddrPort(vectors[0].to), netip.MustParseAddrPort(vectors[0].from)
	b.ReportAllocs()
	for b.Loop() {
		s.Queue(local, remote)
	}
}
