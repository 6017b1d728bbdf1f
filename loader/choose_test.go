package loader

import "testing"

// What was measured of a driver goes before what it promises, and that before trying.
func TestChoose(t *testing.T) {
	const native = XDPKnown | XDPBasic | XDPRedirect
	for _, tt := range []struct {
		name string
		nic  NICInfo
		want Choice
	}{
		{"veth", NICInfo{Driver: "veth", Veth: true, Pieces: true, XDP: native}, Choice{Mode: Generic, Measured: true}},
		{"veth of an older kernel", NICInfo{Driver: "veth", Veth: true, XDP: native}, Choice{Mode: Auto, Measured: true}},
		{"zero-copy", NICInfo{Driver: "ice", XDP: native | XDPZeroCopy}, Choice{Mode: Auto, ZeroCopy: true}},
		{"copy", NICInfo{Driver: "ena", XDP: native}, Choice{Mode: Auto}},
		{"no redirect", NICInfo{Driver: "old", XDP: XDPKnown | XDPBasic}, Choice{Mode: Generic}},
		{"none", NICInfo{Driver: "e1000e", XDP: XDPKnown}, Choice{Mode: Generic}},
		{"not told", NICInfo{Driver: "ice"}, Choice{Mode: Auto, ZeroCopy: true}},
	} {
		got := tt.nic.Choose()
		if got.Why == "" {
			t.Errorf("%s: no reason is given", tt.name)
		}
		got.Why = ""
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
