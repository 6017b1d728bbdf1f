package millrace_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace-tcp/millrace"
	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/internal/testutil"
)

// While a veth is open in generic mode its flows are steered, if that is asked for, and with busy
// polling interrupts are put off; afterwards the interface is as before. KeepSettings leaves it alone.
func TestSettingsWhileOpen(t *testing.T) {
	testutil.Privileged(t)
	const steering, deferral = "queues/rx-0/rps_cpus", "napi_defer_hard_irqs"
	l := lab.ForTest(t, lab.Config{})
	isSet := func(name string) (set bool) {
		t.Helper()
		err := l.A.Do(func() error {
			b, err := os.ReadFile(filepath.Join("/sys/class/net", l.A.Interface, name))
			set = strings.Trim(string(b), "0,\n") != ""
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	several := runtime.NumCPU() > 1
	for _, tt := range []struct {
		name           string
		cfg            millrace.Config
		steers, defers bool
	}{
		{"generic", millrace.Config{Mode: millrace.ModeGeneric}, false, false},
		{"steered", millrace.Config{Mode: millrace.ModeGeneric, SteerFlows: true}, several, false},
		{"busy polling", millrace.Config{Mode: millrace.ModeCopy, BusyPoll: true}, false, true},
		{"kept", millrace.Config{Mode: millrace.ModeGeneric, BusyPoll: true, KeepSettings: true, SteerFlows: true}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Run("open", func(t *testing.T) {
				nic := open(t, l.A, tt.cfg)
				if isSet(steering) != tt.steers || isSet(deferral) != tt.defers {
					t.Errorf("steers %v, defers %v, want %v, %v", isSet(steering), isSet(deferral), tt.steers, tt.defers)
				}
				told := strings.Contains(strings.Join(nic.Info().Notes, "\n"), "until it is closed")
				if told != (tt.steers || tt.defers) {
					t.Errorf("notes %q", nic.Info().Notes)
				}
			})
			if isSet(steering) || isSet(deferral) {
				t.Errorf("afterwards: steers %v, defers %v", isSet(steering), isSet(deferral))
			}
		})
	}
}
