package inspect

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/millrace-tcp/millrace/stack"
	"github.com/millrace-tcp/millrace/stack/engine"
	"github.com/millrace-tcp/millrace/stack/tcp"
)

type told Instance

func (t told) Instance() Instance { return Instance(t) }

// What an instance tells arrives, with its process, and nobody else may ask.
func TestAskAnswers(t *testing.T) {
	dir := t.TempDir()
	one := told{NIC: NIC{Name: "eth0", Queues: 2}, Listeners: 3, Connections: []Connection{{State: "ESTABLISHED", Cwnd: 14480}}}
	for range 2 { // a process may have two interfaces open
		s, err := Serve(dir, one)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(s.socket); err == nil {
				t.Errorf("%s is there after Close", s.socket)
			}
		})
		if info, err := os.Stat(s.socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("socket: %v, %v, want 0600", info, err)
		}
	}
	all, err := Instances(t.Context(), dir)
	if err != nil || len(all) != 2 {
		t.Fatalf("got %d instances, %v, want 2", len(all), err)
	}
	for _, i := range all {
		if i.PID != os.Getpid() || !slices.Equal(i.Command, os.Args) || i.NIC.Name != "eth0" || i.Listeners != 3 ||
			len(i.Connections) != 1 || i.Connections[0].Cwnd != 14480 {
			t.Errorf("got %+v", i)
		}
	}
}

// What a killed process left behind is cleared away, and foreign files are let alone.
func TestLeftoversGo(t *testing.T) {
	dir := t.TempDir()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketOf(dir, 4_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	foreign := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := Instances(t.Context(), dir); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v, want nothing", all, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "notes.txt" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// An instance that hangs does not hide the others.
func TestHangingInstance(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", socketOf(dir, 4_000_001, 0)) // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := Serve(dir, told{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := Instances(t.Context(), dir)
	if len(all) != 1 || err == nil {
		t.Errorf("got %d instances, error %v, want one of each", len(all), err)
	}
}

func TestNoDirectoryIsNoInstance(t *testing.T) {
	if all, err := Instances(t.Context(), filepath.Join(t.TempDir(), "none")); all != nil || err != nil {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestOwnerOf(t *testing.T) {
	for name, want := range map[string]int{"12.0.sock": 12, "12.sock": 12, "x.0.sock": 0, "-1.0.sock": 0, "12.0": 0, ".sock": 0} {
		if got := ownerOf(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

// Units are those of the names: bits for bps, milliseconds.
func TestConnectionOf(t *testing.T) {
	c := ConnectionOf(stack.ConnInfo{
		Local: netip.MustParseAddrPort("192.0.2.1:80"),
		Info: engine.Info{
			State: tcp.StateEstablished, RTT: 1500 * time.Microsecond, PacingRate: 1000,
			NotSent: 1, Flight: 2, Sacked: 4, LostOctets: 8,
		},
	})
	if c.RTT != 1.5 || c.PacingRate != 8000 || c.SendQueue != 15 || c.Local != "192.0.2.1:80" {
		t.Errorf("got %+v", c)
	}
}
