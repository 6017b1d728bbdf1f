package loader

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

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

// recordOf is a record of a driver, all of whose modes were measured.
func recordOf(driver, best string) ModeRecord {
	return ModeRecord{
		Driver: driver, Kernel: "6.18.0", Best: best, Link: "lab/mtu=1500/queues=1", Measured: time.Unix(1_700_000_000, 0).UTC(),
		Modes: []ModeFigures{
			{Mode: ZeroCopyMode, Refused: "operation not supported"}, {Mode: CopyMode, Receive: 2e9, Send: 1e9, Rate: 5000},
			{Mode: GenericMode, Receive: 3e9, Send: 1e9, Rate: 6000},
		},
	}
}

// What was measured on this machine and this kernel goes before all else.
func TestChooseByRecord(t *testing.T) {
	const native = XDPKnown | XDPBasic | XDPRedirect
	for _, tt := range []struct {
		best, kernel string
		want         Choice
	}{
		{CopyMode, "6.18.0", Choice{Mode: Auto, Measured: true}},
		{GenericMode, "6.18.0", Choice{Mode: Generic, Measured: true}},
		{ZeroCopyMode, "6.18.0", Choice{Mode: Auto, ZeroCopy: true, Measured: true}},
		{CopyMode, "6.19.0", Choice{Mode: Generic, Measured: true}},  // the table
		{"fastest", "6.18.0", Choice{Mode: Generic, Measured: true}}, // the table
	} {
		r := recordOf("veth", tt.best)
		nic := NICInfo{Driver: "veth", Veth: true, Pieces: true, XDP: native, Recorded: &r, Kernel: tt.kernel}
		got := nic.Choose()
		if tt.kernel != r.Kernel && !strings.Contains(got.Why, "measures it anew") {
			t.Errorf("another kernel's record: why is %q", got.Why)
		}
		got.Why = ""
		if got != tt.want {
			t.Errorf("%s measured, on %s: got %+v, want %+v", tt.best, tt.kernel, got, tt.want)
		}
	}
}

// Records are by driver, and outlive the process.
func TestRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	for _, r := range []ModeRecord{recordOf("veth", GenericMode), recordOf("igb", ZeroCopyMode), recordOf("veth", CopyMode)} {
		if err := RecordMode(dir, r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ModeRecords(dir)
	if err != nil || len(all) != 2 || all[0].Driver != "igb" || all[1].Best != CopyMode || len(all[1].Modes) != 3 {
		t.Errorf("got %+v, %v", all, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
	t.Setenv("STATE_DIRECTORY", dir+":/elsewhere")
	if got := StateDir(); got != dir {
		t.Errorf("the state is in %s, want %s", got, dir)
	}
	if err := os.WriteFile(filepath.Join(dir, modesFile), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if all, err := ModeRecords(dir); err == nil {
		t.Errorf("a broken file says %+v", all)
	}
	if all, err := ModeRecords(filepath.Join(dir, "none")); all != nil || err != nil {
		t.Errorf("no file says %+v, %v", all, err)
	}
}
