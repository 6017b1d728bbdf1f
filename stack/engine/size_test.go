package engine

import (
	"reflect"
	"testing"

	"github.com/millrace-tcp/millrace/stack/tcp"
)

// TestSizes shows where the octets of a connection go, and keeps them below what the limits
// reckon with. The runtime puts a word before a Conn, since it is large and has pointers, and
// rounds both up to the next of its classes, 2304 or 2688: one field too many costs 384 octets.
func TestSizes(t *testing.T) {
	for _, s := range []struct {
		of   reflect.Type
		most uintptr
	}{
		{reflect.TypeFor[Conn](), 2304 - 8},
		{reflect.TypeFor[half](), 128},
		{reflect.TypeFor[resting](), 112},
		{reflect.TypeFor[tcp.Request](), 48},
	} {
		t.Logf("%-14v %5d octets", s.of, s.of.Size())
		if s.of.Size() > s.most {
			t.Errorf("%v has %d octets, want at most %d", s.of, s.of.Size(), s.most)
		}
	}
	logFields(t, reflect.TypeFor[Conn](), "  ")
}

// logFields logs the fields of a struct that are worth it.
func logFields(t *testing.T, of reflect.Type, indent string) {
	t.Helper()
	const worth = 64
	for i := range of.NumField() {
		f := of.Field(i)
		if f.Type.Size() < worth {
			continue
		}
		t.Logf("%s%-12s %5d", indent, f.Name, f.Type.Size())
		if f.Type.Kind() == reflect.Struct {
			logFields(t, f.Type, indent+"  ")
		}
	}
}
