package doctor

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace/loader"
)

// good is an interface that nothing is wrong with.
func good() (loader.NICInfo, knobs) {
	return loader.NICInfo{
		Name: "eth0", Driver: "ice", MTU: 1500, Up: true, Carrier: true,
		RXQueues: 1, TXQueues: 1, RXQueuesMax: 1, RXRing: 2048, RXRingMax: 4096,
		XDP: loader.XDPKnown | loader.XDPBasic | loader.XDPRedirect | loader.XDPZeroCopy,
	}, knobs{deferIRQs: 0, groTimeout: 0, addresses: []string{"192.0.2.1/24"}}
}

// Each trouble shows in one check, whose remedy names the interface.
func TestNICTroubles(t *testing.T) {
	i, k := good()
	for _, c := range nic(i, k) {
		if c.Status != OK {
			t.Errorf("good interface: %+v", c)
		}
	}
	for _, tt := range []struct {
		check  string
		spoil  func(*loader.NICInfo, *knobs)
		want   Status
		remedy string
	}{
		{"interface", func(i *loader.NICInfo, _ *knobs) { i.Up = false }, Fail, "ip link set eth0 up"},
		{"interface", func(i *loader.NICInfo, _ *knobs) { i.Carrier = false }, Warn, "cable"},
		{"driver", func(i *loader.NICInfo, _ *knobs) { i.Driver = "igb" }, Note, ""},
		{"driver", func(_ *loader.NICInfo, k *knobs) { k.wireless = true }, Note, ""},
		{"XDP", func(i *loader.NICInfo, _ *knobs) { i.XDPProgram = 77 }, Fail, "ip link set dev eth0 xdp off"},
		{"master", func(_ *loader.NICInfo, k *knobs) { k.bondMember = true }, Warn, ""},
		{"master", func(_ *loader.NICInfo, k *knobs) { k.bridgePort = true }, Warn, ""},
		{"addresses", func(_ *loader.NICInfo, k *knobs) { k.addresses = nil }, Warn, "dev eth0"},
		{"mode", func(i *loader.NICInfo, _ *knobs) { i.XDP = 0 }, Note, ""},
		{"mode", func(i *loader.NICInfo, _ *knobs) { i.XDP = loader.XDPKnown }, Note, "a NIC whose driver has XDP"},
		{"mode", func(i *loader.NICInfo, _ *knobs) { i.XDP &^= loader.XDPZeroCopy }, Note, "zero-copy"},
		{"mode", func(_ *loader.NICInfo, k *knobs) { k.direct = true }, Note, "iommu_platform=on"},
		{"queues", func(i *loader.NICInfo, _ *knobs) { i.RXQueues = 4096 }, Note, "ethtool -L eth0 combined"},
		{"rings", func(i *loader.NICInfo, _ *knobs) { i.RXRing = 64 }, Note, "ethtool -G eth0 rx 512"},
		{"MTU", func(i *loader.NICInfo, _ *knobs) { i.MTU = 9000 }, Warn, "ip link set eth0 mtu 3498"},
		{"deferral", func(_ *loader.NICInfo, k *knobs) { k.groTimeout = 200000 }, Note, "/sys/class/net/eth0/gro_flush_timeout"},
		{"settings", func(_ *loader.NICInfo, k *knobs) {
			k.changes = []loader.Change{{Setting: loader.Setting{Name: "gro_flush_timeout", Value: "9"}, Before: "0"}}
		}, Note, "echo 0 > /sys/class/net/eth0/gro_flush_timeout"},
		{"settings", func(_ *loader.NICInfo, k *knobs) {
			k.changes, k.running = []loader.Change{{Setting: loader.Setting{Name: "gro_flush_timeout", Value: "9"}, Before: "0"}}, true
		}, OK, ""},
		{"offloads", func(i *loader.NICInfo, _ *knobs) { i.Veth = true }, Note, "ethtool -K DEV tx off"},
	} {
		i, k := good()
		tt.spoil(&i, &k)
		for _, c := range nic(i, k) {
			want := OK
			if c.Name == tt.check {
				want = tt.want
				if !strings.Contains(c.Remedy, tt.remedy) {
					t.Errorf("%s: the remedy %q lacks %q", tt.check, c.Remedy, tt.remedy)
				}
			}
			if c.Status != want {
				t.Errorf("%s spoilt: %+v, want %s", tt.check, c, want)
			}
		}
	}
}

func TestKernels(t *testing.T) {
	for release, want := range map[string]Status{
		"6.18.2": OK, "7.0-rc1": OK, "6.8.0-45-generic": Note, "5.15.0": Note, "5.4.0": Fail, "not Linux": Fail,
	} {
		if c := kernelCheck(parseVersion(release)); c.Status != want || (want == OK) != (c.Remedy == "") {
			t.Errorf("%s: %+v, want %s", release, c, want)
		}
	}
	c := kernelCheck(parseVersion("6.6.1"))
	if strings.Contains(c.Found, "several buffers") || !strings.Contains(c.Found, "checksums by the NIC on transmission (6.8)") {
		t.Errorf("6.6.1: %+v", c)
	}
}

func TestMachineTroubles(t *testing.T) {
	for _, tt := range []struct {
		got  Check
		want Status
	}{
		{rights(nil), OK},
		{rights([]string{"CAP_BPF to load the program"}), Fail},
		{program(nil), OK},
		{program(errors.New("loader: refused")), Fail},
		{sockets(nil), OK},
		{sockets(errors.New("doctor: EPERM")), Fail},
		{jit(1), OK},
		{jit(0), Warn},
		{jit(-1), Note},
	} {
		if tt.got.Status != tt.want || tt.want == Fail && tt.got.Remedy == "" {
			t.Errorf("got %+v, want %s", tt.got, tt.want)
		}
	}
}

// One failed check makes it unusable, warnings do not.
func TestVerdict(t *testing.T) {
	r := Report{Checks: []Check{{Status: OK}, {Status: Note}, {Status: Warn}}}
	if !r.judged().Usable {
		t.Error("warnings forbid nothing")
	}
	r.add(Check{Status: Fail})
	if r.judged().Usable {
		t.Error("a failure forbids")
	}
}

func TestNoSuchInterface(t *testing.T) {
	r := Examine("millrace-none")
	if last := r.Checks[len(r.Checks)-1]; r.Usable || last.Name != "interface" || last.Status != Fail {
		t.Errorf("got %+v", r)
	}
}
