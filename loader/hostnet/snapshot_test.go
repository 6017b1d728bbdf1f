package hostnet

import (
	"net"
	"net/netip"
	"testing"
)

var (
	addr   = netip.MustParseAddr
	prefix = netip.MustParsePrefix
)

// office is a host with two networks of each family, a router, and some odd routes.
func office() *snapshot {
	s := &snapshot{
		usable: true, mac: [6]byte{2, 0, 0, 0, 0, 1}, mtu: 1500,
		addrs: []address{
			{prefix("10.0.0.5/24"), false},
			{prefix("10.0.0.6/24"), true},
			{prefix("192.168.7.5/16"), false},
			{prefix("fe80::5/64"), false},
			{prefix("fd00::5/64"), false},
			{prefix("fd00::6/64"), true},
			{prefix("2001:db8::5/64"), false},
		},
		neighbours: map[netip.Addr]*neighbour{
			addr("10.0.0.1"): {mac: [6]byte{2, 0, 0, 0, 0, 9}},
			addr("fe80::1"):  {mac: [6]byte{2, 0, 0, 0, 0, 8}},
		},
	}
	for _, p := range []string{"10.0.0.5/32", "10.0.0.255/32", "127.0.0.0/8", "fd00::5/128"} {
		s.local.add(prefix(p), route{})
	}
	s.main.add(prefix("10.0.0.0/24"), route{src: addr("10.0.0.5")})
	s.main.add(prefix("192.168.0.0/16"), route{})
	s.main.add(prefix("0.0.0.0/0"), route{gateway: addr("10.0.0.1"), metric: 100})
	s.main.add(prefix("0.0.0.0/0"), route{gateway: addr("10.0.0.99"), metric: 200})
	s.main.add(prefix("172.16.0.0/12"), route{gateway: addr("10.0.0.99"), metric: 9})
	s.main.add(prefix("172.16.0.0/12"), route{gateway: addr("10.0.0.1"), metric: 8, mtu: 1400})
	s.main.add(prefix("172.16.9.0/24"), route{refused: true})
	s.main.add(prefix("172.16.9.7/32"), route{gateway: addr("fe80::1"), mtu: 9000})
	s.main.add(prefix("::/0"), route{gateway: addr("fe80::1")})
	s.main.add(prefix("fe80::/64"), route{})
	s.main.add(prefix("fd00::/64"), route{})
	return s
}

func TestHop(t *testing.T) {
	none := netip.Addr{}
	for _, tt := range []struct {
		name     string
		src, dst string
		status   Status
		next     string
		mtu      int
		wantSrc  string
	}{
		{"the router itself", "", "10.0.0.1", OK, "10.0.0.1", 1500, "10.0.0.5"},
		{"a neighbour not seen yet", "", "10.0.0.2", Unresolved, "10.0.0.2", 1500, "10.0.0.5"},
		{"by the default route of the lower metric", "", "8.8.8.8", OK, "10.0.0.1", 1500, "10.0.0.5"},
		{"a source that was asked for", "192.168.7.5", "8.8.8.8", OK, "10.0.0.1", 1500, "192.168.7.5"},
		{"the lower metric entered last, and the route's MTU", "", "172.16.0.1", OK, "10.0.0.1", 1400, "10.0.0.5"},
		{"an unreachable route inside", "", "172.16.9.1", Unreachable, "", 0, ""},
		{"a hole in that, by an IPv6 router, with an MTU above the link's", "", "172.16.9.7", OK, "fe80::1", 1500, "10.0.0.5"},
		{"the source of the next hop's network", "", "192.168.1.1", Unresolved, "192.168.1.1", 1500, "192.168.7.5"},
		{"itself", "", "10.0.0.5", Unreachable, "", 0, ""},
		{"broadcast", "", "10.0.0.255", Unreachable, "", 0, ""},
		{"loopback", "", "127.3.2.1", Unreachable, "", 0, ""},
		{"multicast", "", "224.0.0.1", Unreachable, "", 0, ""},
		{"multicast of IPv6", "", "ff02::1", Unreachable, "", 0, ""},
		{"by the IPv6 router", "", "2001:db8:9::1", OK, "fe80::1", 1500, "2001:db8::5"},
		{"the longest common prefix", "", "fd00::77", Unresolved, "fd00::77", 1500, "fd00::5"},
		{"link-local", "", "fe80::1", OK, "fe80::1", 1500, "fe80::5"},
		{"itself, IPv6", "", "fd00::5", Unreachable, "", 0, ""},
		{"nowhere", "", "0.0.0.0", Unreachable, "", 0, ""},
	} {
		src := none
		if tt.src != "" {
			src = addr(tt.src)
		}
		h, next, n, status := office().hop(src, addr(tt.dst))
		if status != tt.status {
			t.Errorf("%s: status = %v, want %v", tt.name, status, tt.status)
			continue
		}
		if status == Unreachable {
			continue
		}
		if next != addr(tt.next) || h.MTU != tt.mtu || h.Src != addr(tt.wantSrc) {
			t.Errorf("%s: next %v, MTU %d, source %v, want %s, %d, %s",
				tt.name, next, h.MTU, h.Src, tt.next, tt.mtu, tt.wantSrc)
		}
		if (n != nil) != (status == OK) || status == OK && h.RemoteMAC != n.mac {
			t.Errorf("%s: neighbour %v, MAC %x", tt.name, n, h.RemoteMAC)
		}
	}
	if _, _, _, status := office().hop(none, none); status != Unreachable {
		t.Errorf("no destination: status = %v", status)
	}
	down := office()
	down.usable = false
	if _, _, _, status := down.hop(none, addr("10.0.0.1")); status != Unreachable {
		t.Errorf("link down: status = %v", status)
	}
	mute := office()
	mute.addrs = mute.addrs[3:]
	if _, _, _, status := mute.hop(none, addr("8.8.8.8")); status != Unreachable {
		t.Errorf("no source address: status = %v", status)
	}
}

func TestAnswersAs(t *testing.T) {
	same := office()
	same.generation = 77
	same.neighbours[addr("10.0.0.1")].used.Store(5)
	if !same.answersAs(office()) {
		t.Error("a generation and a mark of use make a difference")
	}
	for name, change := range map[string]func(*snapshot){
		"down":              func(s *snapshot) { s.usable = false },
		"MAC":               func(s *snapshot) { s.mac[5]++ },
		"MTU":               func(s *snapshot) { s.mtu++ },
		"address":           func(s *snapshot) { s.addrs = s.addrs[1:] },
		"route":             func(s *snapshot) { s.main.add(prefix("1.0.0.0/8"), route{}) },
		"gateway":           func(s *snapshot) { s.main.add(prefix("::/0"), route{gateway: addr("fe80::2"), metric: -1}) },
		"local":             func(s *snapshot) { s.local.add(prefix("1.0.0.0/8"), route{}) },
		"neighbour":         func(s *snapshot) { delete(s.neighbours, addr("fe80::1")) },
		"neighbour's MAC":   func(s *snapshot) { s.neighbours[addr("fe80::1")].mac[0]++ },
		"another neighbour": func(s *snapshot) { s.neighbours[addr("10.0.0.2")] = &neighbour{} },
	} {
		s := office()
		change(s)
		if s.answersAs(office()) {
			t.Errorf("%s: the change makes no difference", name)
		}
	}
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		network, addr string
		want          binding
		bad           bool
	}{
		{"tcp", "0.0.0.0", binding{addr: netip.IPv6Unspecified(), dual: true}, false},
		{"tcp", "::", binding{addr: netip.IPv6Unspecified(), dual: true}, false},
		{"tcp", "", binding{addr: netip.IPv6Unspecified(), dual: true}, false},
		{"tcp4", "0.0.0.0", binding{addr: netip.IPv4Unspecified()}, false},
		{"tcp4", "", binding{addr: netip.IPv4Unspecified()}, false},
		{"tcp6", "::", binding{addr: netip.IPv6Unspecified()}, false},
		{"tcp", "10.0.0.1", binding{addr: addr("10.0.0.1")}, false},
		{"tcp", "::ffff:10.0.0.1", binding{addr: addr("10.0.0.1")}, false},
		{"tcp6", "fd00::1", binding{addr: addr("fd00::1")}, false},
		{"tcp4", "fd00::1", binding{}, true},
		{"tcp6", "10.0.0.1", binding{}, true},
		{"udp", "10.0.0.1", binding{}, true},
	} {
		a, _ := netip.ParseAddr(tt.addr)
		got, err := plan(tt.network, a)
		if (err != nil) != tt.bad || got != tt.want {
			t.Errorf("plan(%s, %s) = %+v, %v, want %+v", tt.network, tt.addr, got, err, tt.want)
		}
	}
	if _, err := plan("udp", netip.Addr{}); err != net.UnknownNetworkError("udp") {
		t.Errorf("udp: error = %v", err)
	}
}
