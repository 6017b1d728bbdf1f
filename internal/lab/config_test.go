package lab

import (
	"strings"
	"testing"
)

func TestUpRefusesABadConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"a path as the name", Config{Name: "../x"}, "use a-z"},
		{"capitals", Config{Name: "Lab"}, "use a-z"},
		{"a name too long", Config{Name: strings.Repeat("x", NameMax+1)}, "longer than 48"},
		{"an MTU too small", Config{MTU: 67}, "not from 68 to 65535"},
		{"an MTU too large", Config{MTU: 65536}, "not from 68 to 65535"},
		{"too few queues", Config{Queues: -1}, "not from 1 to 64"},
		{"too many queues", Config{Queues: 65}, "not from 1 to 64"},
	} {
		l, err := Up(tt.cfg)
		if err == nil {
			_ = l.Down()
			t.Errorf("%s: no error", tt.name)
			continue
		}
		if !strings.HasPrefix(err.Error(), "lab: make ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %q, want one that says %q", tt.name, err, tt.want)
		}
	}
	for _, err := range []error{Remove("/etc"), func() error { _, err := Find("/etc"); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "use a-z") {
			t.Errorf("error %v, want one about the name", err)
		}
	}
}

func TestCheckAddress(t *testing.T) {
	for address, ok := range map[string]bool{
		":80": true, "10.77.0.1:0": true, "[fd77::1]:443": true, "[fe80::1%veth-a]:1": true,
		"localhost:80": false, "example.org:80": false, "10.77.0.1": false,
	} {
		if err := checkAddress(address); (err == nil) != ok {
			t.Errorf("checkAddress(%q) = %v, want ok %v", address, err, ok)
		}
	}
}

func TestProcessOf(t *testing.T) {
	for name, want := range map[string]int{
		"test-123-4": 123, "lab": 0, "test-x-1": 0, "test--1": 0, "contest-5-1": 0,
	} {
		pid, ours := processOf("test-", name)
		if ours != (want > 0) || ours && pid != want {
			t.Errorf("processOf(%q) = %d, %v, want %d", name, pid, ours, want)
		}
	}
}
