package loader_test

import (
	"reflect"
	"testing"

	"github.com/millrace-tcp/millrace/loader"
)

// Each field of Counters has one name and each name one field: a counter that is added to
// the C enum alone does not go unseen.
func TestCountersAreAllNamed(t *testing.T) {
	var c loader.Counters
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetUint(uint64(i + 1))
	}
	seen := make(map[string]bool)
	next := uint64(1)
	for name, n := range c.All() {
		if name == "" || seen[name] {
			t.Errorf("counter %d is called %q, want a name of its own", n, name)
		}
		seen[name] = true
		if n != next {
			t.Errorf("%s = %d, want %d: the order of the fields is that of the enum", name, n, next)
		}
		next++
	}
	if len(seen) != v.NumField() {
		t.Errorf("%d names for %d fields", len(seen), v.NumField())
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{loader.Auto.String(), "auto"},
		{loader.Native.String(), "native"},
		{loader.Generic.String(), "generic"},
		{loader.Mode(9).String(), "mode(9)"},
		{loader.XDPFeatures(0).String(), "unknown"},
		{loader.XDPKnown.String(), "none"},
		{(loader.XDPKnown | loader.XDPBasic | loader.XDPZeroCopy).String(), "basic,zero-copy"},
		{(loader.XDPKnown | loader.XDPMultiTX).String(), "multi-tx"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
