package hostnet

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a netlink message of a kind, about an interface.
func message(kind uint16, index uint32) []byte {
	b := make([]byte, unix.NLMSG_HDRLEN+8)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint32(b[unix.NLMSG_HDRLEN+4:], index)
	return b
}

func TestConcerns(t *testing.T) {
	const mine, other = 7, 8
	for _, tt := range []struct {
		name string
		b    []byte
		want uint32
	}{
		{"nothing", nil, 0},
		{"a neighbour", message(unix.RTM_NEWNEIGH, mine), dirtyNeighbours},
		{"a neighbour that goes", message(unix.RTM_DELNEIGH, mine), dirtyNeighbours},
		{"a neighbour elsewhere", message(unix.RTM_NEWNEIGH, other), 0},
		{"the link", message(unix.RTM_NEWLINK, mine), dirtyAll},
		{"another link", message(unix.RTM_DELLINK, other), 0},
		{"an address", message(unix.RTM_DELADDR, mine), dirtyAll},
		{"an address elsewhere", message(unix.RTM_NEWADDR, other), 0},
		{"a route", message(unix.RTM_DELROUTE, other), dirtyAll},
		{"two messages", append(message(unix.RTM_NEWNEIGH, mine), message(unix.RTM_NEWROUTE, 0)...), dirtyNeighbours | dirtyAll},
		{"cut short", message(unix.RTM_NEWNEIGH, other)[:20], dirtyAll},
	} {
		if got := concerns(tt.b, mine); got != tt.want {
			t.Errorf("%s: concerns = %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Whatever is read, it is about something, about nothing, or about all; it never panics.
func FuzzConcerns(f *testing.F) {
	f.Add(message(unix.RTM_NEWNEIGH, 7))
	f.Add(append(message(unix.RTM_NEWLINK, 7), message(unix.RTM_NEWROUTE, 0)...))
	f.Add(message(unix.RTM_NEWADDR, 7)[:18])
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := concerns(b, 7); got&^(dirtyNeighbours|dirtyAll) != 0 {
			t.Errorf("concerns = %#x", got)
		}
	})
}
