package bpf_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/bpf"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// What a program returns (enum xdp_action).
const (
	drop     = 1
	pass     = 2
	redirect = 4
)

// The claims of the fixture.
const (
	exactPort = 80   // listening on local4 and local6 alone
	wildPort  = 8080 // listening on both wildcards
	flowPort  = 40000
	peerPort  = 443 // flowPort on local to peerPort on remote is claimed
)

// fixture is the program, loaded but not attached, with claims and a socket for queue 0,
// which is the queue of every test run.
type fixture struct {
	testing.TB
	objs bpf.MillraceObjects
	seen map[bpf.MillraceCounter]uint64
}

func load(t testing.TB) *fixture {
	t.Helper()
	testutil.Privileged(t)
	f := &fixture{TB: t, seen: make(map[bpf.MillraceCounter]uint64)}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	if err := bpf.LoadMillraceObjects(&f.objs, nil); err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { f.objs.Close() })

	for _, a := range []netip.Addr{local4, local6} {
		f.put(f.objs.Addrs, key(a))
		f.put(f.objs.Listens, bpf.MillraceListen{Addr: key(a), Port: wirePort(exactPort)})
	}
	for _, s := range []string{"::", "::ffff:0.0.0.0"} {
		a := netip.MustParseAddr(s)
		f.put(f.objs.Listens, bpf.MillraceListen{Addr: key(a), Port: wirePort(wildPort)})
	}
	for _, pair := range [][2]netip.Addr{{local4, remote4}, {local6, remote6}} {
		f.put(f.objs.Flows, bpf.MillraceFlow{
			Local: key(pair[0]), LocalPort: wirePort(flowPort),
			Remote: key(pair[1]), RemotePort: wirePort(peerPort),
		})
	}
	return f
}

// withSocket enters an AF_XDP socket for queue 0. It need not be bound to be found.
func (f *fixture) withSocket() *fixture {
	f.Helper()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { unix.Close(fd) })
	if err := f.objs.Xsks.Put(uint32(0), uint32(fd)); err != nil {
		f.Fatal(err)
	}
	return f
}

func (f *fixture) put(m *ebpf.Map, key any) {
	f.Helper()
	if err := m.Put(key, uint8(1)); err != nil {
		f.Fatalf("%v: %v", m, err)
	}
}

// key is an address as the maps hold it: sixteen octets in the order of the wire.
func key(a netip.Addr) bpf.MillraceAddr {
	var k bpf.MillraceAddr
	b := a.As16()
	for i := range k.Word {
		k.Word[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return k
}

func wirePort(p int) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, uint16(p)))
}

func (f *fixture) run(frame []byte) uint32 {
	f.Helper()
	verdict, err := f.objs.Millrace.Run(&ebpf.RunOptions{Data: frame})
	if err != nil {
		f.Fatalf("run %d octets: %v", len(frame), err)
	}
	return verdict
}

// counted returns what has been added to the counters since it was last asked.
func (f *fixture) counted() map[bpf.MillraceCounter]uint64 {
	f.Helper()
	added := make(map[bpf.MillraceCounter]uint64)
	for c := range bpf.MillraceCounterCOUNTERS {
		var cpus []uint64
		if err := f.objs.Counters.Lookup(c, &cpus); err != nil {
			f.Fatal(err)
		}
		var sum uint64
		for _, n := range cpus {
			sum += n
		}
		if n := sum - f.seen[c]; n != 0 {
			added[c] = n
		}
		f.seen[c] = sum
	}
	return added
}

func (f *fixture) want(name string, frame []byte, verdict uint32, why bpf.MillraceCounter) {
	f.Helper()
	if got := f.run(frame); got != verdict {
		f.Errorf("%s: verdict = %d, want %d", name, got, verdict)
	}
	if got := f.counted(); len(got) != 1 || got[why] != 1 {
		f.Errorf("%s: counted %v, want one of %d", name, got, why)
	}
}

type row struct {
	name    string
	frame   []byte
	verdict uint32
	why     bpf.MillraceCounter
}

func (f *fixture) wantAll(rows []row) {
	f.Helper()
	for _, r := range rows {
		f.want(r.name, r.frame, r.verdict, r.why)
	}
}

func TestClaims(t *testing.T) {
	const (
		yes = bpf.MillraceCounterREDIRECTED
		no  = bpf.MillraceCounterPASSED_UNCLAIMED
	)
	elsewhere4, elsewhere6 := netip.MustParseAddr("10.9.9.9"), netip.MustParseAddr("fd09::9")
	load(t).withSocket().wantAll([]row{
		{"listen, exact, v4", in4(1234, exactPort), redirect, yes},
		{"listen, exact, v6", in6(1234, exactPort), redirect, yes},
		{"listen, wildcard, v4", in4(1234, wildPort), redirect, yes},
		{"listen, wildcard, v6", in6(1234, wildPort), redirect, yes},
		{"flow, v4", in4(peerPort, flowPort), redirect, yes},
		{"flow, v6", in6(peerPort, flowPort), redirect, yes},
		{"another port, v4", in4(1234, 81), pass, no},
		{"another port, v6", in6(1234, 81), pass, no},
		{"the claimed port as source", in4(exactPort, 1234), pass, no},
		{"a flow's port from another port", in4(peerPort+1, flowPort), pass, no},
		{"a flow's ports from another address",
			join(eth(0x0800), ip4(elsewhere4, local4, 6, 0, nil, tcp(peerPort, flowPort))), pass, no},
		{"the exact port of a forwarded address",
			join(eth(0x0800), ip4(remote4, elsewhere4, 6, 0, nil, tcp(1, exactPort))), pass, no},
		{"the wildcard port of a forwarded address, v4",
			join(eth(0x0800), ip4(remote4, elsewhere4, 6, 0, nil, tcp(1, wildPort))), pass, no},
		{"the wildcard port of a forwarded address, v6",
			join(eth(0x86dd), ip6(remote6, elsewhere6, 6, tcp(1, wildPort))), pass, no},
	})
}

func TestOneWildcardIsOneFamily(t *testing.T) {
	f := load(t).withSocket()
	if err := f.objs.Listens.Delete(bpf.MillraceListen{Port: wirePort(wildPort)}); err != nil {
		t.Fatal(err)
	}
	f.want("v4 stays", in4(1, wildPort), redirect, bpf.MillraceCounterREDIRECTED)
	f.want("v6 is gone", in6(1, wildPort), pass, bpf.MillraceCounterPASSED_UNCLAIMED)
}

// The kernel would answer with RST.
func TestWithoutSocketItIsDropped(t *testing.T) {
	load(t).wantAll([]row{
		{"segment", in4(1, exactPort), drop, bpf.MillraceCounterNO_SOCKET},
		{"error", join(eth(0x0800), ip4(remote4, local4, 1, 0, nil, icmp(3,
			ip4(local4, remote4, 6, 0, nil, tcp(exactPort, 1))))), drop, bpf.MillraceCounterNO_SOCKET},
	})
}

func TestHeaders(t *testing.T) {
	const (
		yes       = bpf.MillraceCounterREDIRECTED
		other     = bpf.MillraceCounterPASSED_PROTOCOL
		header    = bpf.MillraceCounterPASSED_HEADER
		malformed = bpf.MillraceCounterPASSED_MALFORMED
	)
	seg := tcp(1, exactPort)
	v4 := ip4(remote4, local4, 6, 0, nil, seg)
	v6 := func(next int, payload []byte) []byte {
		return join(eth(0x86dd), ip6(remote6, local6, next, payload))
	}
	group := in4(1, exactPort)
	group[0] |= 1
	version, ihl := in4(1, exactPort), in4(1, exactPort)
	version[14], ihl[14] = 0x55, 0x44
	// Two of these do not fit the first buffer of a test run, which is a page less its margins.
	longest := ext(60, 255, ext(6, 0, seg))
	load(t).withSocket().wantAll([]row{
		{"802.1Q", join(eth(0x0800, tag(0x8100, 5)), v4), redirect, yes},
		{"802.1ad", join(eth(0x0800, tag(0x88a8, 5)), v4), redirect, yes},
		{"802.1Q, v6", join(eth(0x86dd, tag(0x8100, 5)), ip6(remote6, local6, 6, seg)), redirect, yes},
		{"two tags", join(eth(0x0800, tag(0x88a8, 5), tag(0x8100, 6)), v4), pass, header},
		{"a group address", group, pass, bpf.MillraceCounterPASSED_GROUP},
		{"ARP", join(eth(0x0806), make([]byte, 28)), pass, other},
		{"IPv4 options", join(eth(0x0800), ip4(remote4, local4, 6, 0, make([]byte, 40), seg)), redirect, yes},
		{"IPv4 UDP", join(eth(0x0800), ip4(remote4, local4, 17, 0, nil, seg)), pass, other},
		{"IPv4 with ICMPv6", join(eth(0x0800), ip4(remote4, local4, 58, 0, nil, seg)), pass, other},
		{"IPv4 of version 5", version, pass, malformed},
		{"IPv4 header of 16 octets", ihl, pass, malformed},
		{"IPv6 of version 4", join(eth(0x86dd), v4, make([]byte, 20)), pass, malformed},
		{"IPv6 UDP", v6(17, seg), pass, other},
		{"IPv6 with ICMPv4", v6(1, seg), pass, other},
		{"hop-by-hop", v6(0, ext(6, 0, seg)), redirect, yes},
		{"destination options", v6(60, ext(6, 3, seg)), redirect, yes},
		{"both, one of the greatest length", v6(0, longest), redirect, yes},
		{"four headers", v6(0, ext(60, 0, ext(60, 0, ext(60, 0, ext(6, 0, seg))))), redirect, yes},
		{"five headers", v6(0, ext(60, 0, ext(60, 0, ext(60, 0, ext(60, 0, ext(6, 0, seg)))))), pass, header},
		{"routing header", v6(43, ext(6, 0, seg)), pass, header},
		{"authentication header", v6(51, ext(6, 1, seg)), pass, header},
		{"an option header longer than the packet", v6(60, ext(6, 0, seg)[:2]), pass, malformed},
	})
}

func TestFragments(t *testing.T) {
	const (
		dropped = bpf.MillraceCounterDROPPED_FRAGMENT
		passed  = bpf.MillraceCounterPASSED_FRAGMENT
		more    = 0x2000
		df      = 0x4000
	)
	v4 := func(frag, port int) []byte {
		return join(eth(0x0800), ip4(remote4, local4, 6, frag, nil, tcp(1, port)))
	}
	v6 := func(next int, payload []byte) []byte {
		return join(eth(0x86dd), ip6(remote6, local6, next, payload))
	}
	seg := tcp(1, wildPort)
	load(t).withSocket().wantAll([]row{
		{"don't fragment is no fragment", v4(df, exactPort), redirect, bpf.MillraceCounterREDIRECTED},
		{"v4, first", v4(more, exactPort), drop, dropped},
		{"v4, first, ports and no more", join(eth(0x0800), ip4(remote4, local4, 6, more, nil, tcp(1, wildPort)[:8])), drop, dropped},
		{"v4, first, unclaimed", v4(more, 81), pass, passed},
		{"v4, middle", v4(more|1, exactPort), pass, passed},
		{"v4, last", v4(185, exactPort), pass, passed},
		{"v6, first", v6(44, frag6(6, 0, true, seg)), drop, dropped},
		{"v6, the whole packet as a fragment", v6(44, frag6(6, 0, false, seg)), drop, dropped},
		{"v6, first, options around", v6(0, ext(44, 0, frag6(60, 0, true, ext(6, 0, seg)))), drop, dropped},
		{"v6, first, unclaimed", v6(44, frag6(6, 0, true, tcp(1, 81))), pass, passed},
		{"v6, later", v6(44, frag6(6, 185, false, seg)), pass, passed},
		{"v6, later, of options", v6(44, frag6(60, 185, false, seg)), pass, passed},
		{"v4, ICMP error", join(eth(0x0800), ip4(remote4, local4, 1, more, nil,
			icmp(3, ip4(local4, remote4, 6, 0, nil, tcp(exactPort, 1))))), pass, passed},
	})
}

func TestICMPErrors(t *testing.T) {
	const (
		yes = bpf.MillraceCounterREDIRECTED_ICMP
		no  = bpf.MillraceCounterPASSED_UNCLAIMED
		any = bpf.MillraceCounterPASSED_PROTOCOL
	)
	router4, router6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	v4 := func(kind int, quoted []byte) []byte {
		return join(eth(0x0800), ip4(router4, local4, 1, 0, nil, icmp(kind, quoted)))
	}
	v6 := func(kind int, quoted []byte) []byte {
		return join(eth(0x86dd), ip6(router6, local6, 58, icmp(kind, quoted)))
	}
	out4, out6 := tcp(flowPort, peerPort), tcp(flowPort, peerPort)
	mine4, mine6 := ip4(local4, remote4, 6, 0x4000, nil, out4), ip6(local6, remote6, 6, out6)
	var rows []row
	for _, kind := range []int{3, 11, 12} {
		rows = append(rows, row{"v4 error", v4(kind, mine4), redirect, yes})
	}
	for _, kind := range []int{1, 2, 3, 4} {
		rows = append(rows, row{"v6 error", v6(kind, mine6), redirect, yes})
	}
	for _, kind := range []int{0, 4, 5, 8, 13} {
		rows = append(rows, row{"v4, no error", v4(kind, mine4), pass, any})
	}
	for _, kind := range []int{0, 5, 128, 133, 135, 136} {
		rows = append(rows, row{"v6, no error", v6(kind, mine6), pass, any})
	}
	load(t).withSocket().wantAll(append(rows, []row{
		{"eight octets of TCP", v4(3, mine4[:28]), redirect, yes},
		{"seven octets of TCP", v4(3, mine4[:27]), pass, bpf.MillraceCounterPASSED_MALFORMED},
		{"of a listening port", v4(3, ip4(local4, remote4, 6, 0, nil, tcp(wildPort, 9))), redirect, yes},
		{"quoted options", v4(3, ip4(local4, remote4, 6, 0, make([]byte, 8), out4)), redirect, yes},
		{"quoted extension header", v6(2, ip6(local6, remote6, 60, ext(6, 0, out6))), redirect, yes},
		{"options before ICMPv6", join(eth(0x86dd), ip6(router6, local6, 0, ext(58, 0, icmp(2, mine6)))), redirect, yes},
		{"behind a tag", join(eth(0x0800, tag(0x8100, 1)), ip4(router4, local4, 1, 0, nil, icmp(3, mine4))), redirect, yes},
		{"unclaimed flow", v4(3, ip4(local4, remote4, 6, 0, nil, tcp(flowPort, peerPort+1))), pass, no},
		{"what the peer sent", v4(3, ip4(remote4, local4, 6, 0, nil, tcp(peerPort, flowPort))), pass, no},
		{"to another than the quoted source", join(eth(0x0800), ip4(router4, remote4, 1, 0, nil, icmp(3, mine4))), pass, no},
		{"quoted UDP", v4(3, ip4(local4, remote4, 17, 0, nil, out4)), pass, any},
		{"quoted later fragment", v4(3, ip4(local4, remote4, 6, 5, nil, out4)), pass, any},
		{"quoted first fragment", v4(3, ip4(local4, remote4, 6, 0x2000, nil, out4)), redirect, yes},
	}...))
}

// Cut short anywhere, a packet is the kernel's, and no cut makes the program misread.
func TestTruncated(t *testing.T) {
	f := load(t).withSocket()
	for _, tt := range []struct {
		name  string
		frame []byte
		need  int // octets up to which it is malformed
	}{
		{"v4", in4(1, exactPort), 14 + 20 + 20},
		{"v4 with tag and options", join(eth(0x0800, tag(0x8100, 1)),
			ip4(remote4, local4, 6, 0, make([]byte, 12), tcp(1, exactPort))), 18 + 32 + 20},
		{"v6 with options", join(eth(0x86dd),
			ip6(remote6, local6, 0, ext(60, 0, ext(6, 1, tcp(1, exactPort))))), 14 + 40 + 24 + 20},
		{"v4 error", join(eth(0x0800), ip4(remote4, local4, 1, 0, nil,
			icmp(3, ip4(local4, remote4, 6, 0, nil, tcp(exactPort, 1))))), 14 + 20 + 8 + 20 + 8},
		{"v6 error", join(eth(0x86dd), ip6(remote6, local6, 58,
			icmp(2, ip6(local6, remote6, 6, tcp(exactPort, 1))))), 14 + 40 + 8 + 40 + 8},
	} {
		// The kernel runs nothing on less than an Ethernet header.
		for n := 14; n < tt.need; n++ {
			f.want(tt.name, tt.frame[:n], pass, bpf.MillraceCounterPASSED_MALFORMED)
		}
		if got := f.run(tt.frame[:tt.need]); got != redirect {
			t.Errorf("%s: whole: verdict = %d, want redirect", tt.name, got)
		}
		f.counted()
	}
}

// Whatever comes, each packet leaves by one counted exit, and none aborts. Frames of pure
// noise hold no claimed flow and are passed.
func TestFlood(t *testing.T) {
	const packets = 20_000
	f := load(t).withSocket()
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	good := [][]byte{
		in4(1, exactPort), in6(1, wildPort),
		join(eth(0x86dd, tag(0x8100, 1)), ip6(remote6, local6, 0, ext(44, 1, frag6(60, 0, true, ext(6, 0, tcp(1, 80)))))),
		join(eth(0x86dd), ip6(remote6, local6, 58, icmp(2, ip6(local6, remote6, 60, ext(6, 0, tcp(80, 1)))))),
		join(eth(0x0800), ip4(remote4, local4, 1, 0, make([]byte, 4), icmp(3, ip4(local4, remote4, 6, 0, nil, tcp(80, 1))))),
	}
	verdicts := make(map[uint32]int)
	for i := range packets {
		frame := make([]byte, 14+rng.IntN(200))
		noise := i%4 == 0
		if noise {
			for j := range frame {
				frame[j] = byte(rng.Uint32())
			}
		} else {
			frame = append([]byte(nil), good[rng.IntN(len(good))]...)
			for range 1 + rng.IntN(4) {
				frame[rng.IntN(len(frame))] = byte(rng.Uint32())
			}
			frame = frame[:14+rng.IntN(len(frame)-13)]
		}
		got := f.run(frame)
		verdicts[got]++
		if noise && got != pass || got != pass && got != drop && got != redirect {
			t.Fatalf("seed %d: packet %d: verdict = %d of % x", seed, i, got, frame)
		}
	}
	var sum uint64
	for _, n := range f.counted() {
		sum += n
	}
	if sum != packets {
		t.Errorf("seed %d: counted %d, want %d", seed, sum, packets)
	}
	if verdicts[redirect] == 0 || verdicts[drop] == 0 {
		t.Errorf("seed %d: verdicts %v: the flood did not reach every exit", seed, verdicts)
	}
}

// A program that reads frags-aware packets is what lets jumbo MTUs attach.
func TestLoadsFragsAware(t *testing.T) {
	spec, err := bpf.LoadMillrace()
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Programs[bpf.MillraceProgMillrace].Flags; got&unix.BPF_F_XDP_HAS_FRAGS == 0 {
		t.Errorf("flags = %#x, want BPF_F_XDP_HAS_FRAGS", got)
	}
	if got := spec.Programs[bpf.MillraceProgMillrace].License; got != "Dual BSD/GPL" {
		t.Errorf("licence = %q", got)
	}
}

// What the program costs a packet, without the driver and the redirect itself.
func BenchmarkProgram(b *testing.B) {
	f := load(b).withSocket()
	for _, bb := range []struct {
		name  string
		frame []byte
	}{
		{"UDP", join(eth(0x0800), ip4(remote4, local4, 17, 0, nil, tcp(1, 2)))},
		{"unclaimed", in4(1, 81)},
		{"listen", in4(1, exactPort)},
		{"wildcard6", in6(1, wildPort)},
		{"flow", in4(peerPort, flowPort)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			_, perPacket, err := f.objs.Millrace.Benchmark(bb.frame, max(b.N, 1), b.ResetTimer)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(perPacket.Nanoseconds()), "ns/packet")
		})
	}
}
