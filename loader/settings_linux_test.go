package loader_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/millrace-tcp/millrace/internal/lab"
	"github.com/millrace-tcp/millrace/loader"
)

const steering = "queues/rx-0/rps_cpus"

// setting reads a setting, and wantSetting compares it, leading zeroes apart.
func setting(t *testing.T, h *lab.Host, name string) (value string) {
	t.Helper()
	err := h.Do(func() error {
		b, err := os.ReadFile(filepath.Join("/sys/class/net", h.Interface, name))
		value = strings.TrimLeft(strings.TrimSpace(string(b)), "0,")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func wantSetting(t *testing.T, h *lab.Host, name, want string) {
	t.Helper()
	if got := setting(t, h, name); got != want {
		t.Errorf("%s = %q, want %q", name, got, want)
	}
}

func set(t *testing.T, h *lab.Host, name, value string) {
	t.Helper()
	err := h.Do(func() error {
		return os.WriteFile(filepath.Join("/sys/class/net", h.Interface, name), []byte(value), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func tune(t *testing.T, h *lab.Host, dir string, want ...loader.Setting) (tuning *loader.Tuning) {
	t.Helper()
	err := h.Do(func() error {
		info, err := loader.Probe(h.Interface)
		if err == nil {
			tuning, err = loader.Tune(dir, info, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tuning
}

// wantChanges wants so many changes to be on record.
func wantChanges(t *testing.T, h *lab.Host, dir string, want int, wantRunning bool) {
	t.Helper()
	err := h.Do(func() error {
		info, err := loader.Probe(h.Interface)
		if err != nil {
			return err
		}
		changes, running, err := loader.Changes(dir, info)
		if len(changes) != want || running != wantRunning {
			t.Errorf("on record: %v, running %v, want %d and %v", changes, running, want, wantRunning)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func closeTuning(t *testing.T, tuning *loader.Tuning) {
	t.Helper()
	if err := tuning.Close(); err != nil {
		t.Error(err)
	}
}

// Only what nobody has set is changed, and what was changed is as before afterwards.
func TestSettingsAreGivenBack(t *testing.T) {
	l, dir := newLab(t, lab.Config{}), t.TempDir()
	set(t, l.A, "gro_flush_timeout", "12345")
	tuning := tune(t, l.A, dir, append(loader.PollSettings(), loader.Setting{Name: steering, Value: "1"})...)
	wantChanges(t, l.A, dir, 2, true)
	wantSetting(t, l.A, steering, "1")
	wantSetting(t, l.A, "napi_defer_hard_irqs", "2")
	wantSetting(t, l.A, "gro_flush_timeout", "12345")
	if got := tuning.Changes(); len(got) != 2 {
		t.Errorf("changes = %v, want two", got)
	}
	closeTuning(t, tuning)
	wantSetting(t, l.A, steering, "")
	wantSetting(t, l.A, "napi_defer_hard_irqs", "")
	wantSetting(t, l.A, "gro_flush_timeout", "12345")
	wantChanges(t, l.A, dir, 0, false)
}

// What somebody else sets meanwhile stays.
func TestOthersSettingsStay(t *testing.T) {
	l, dir := newLab(t, lab.Config{}), t.TempDir()
	tuning := tune(t, l.A, dir, loader.PollSettings()...)
	set(t, l.A, "napi_defer_hard_irqs", "7")
	closeTuning(t, tuning)
	wantSetting(t, l.A, "napi_defer_hard_irqs", "7")
	wantSetting(t, l.A, "gro_flush_timeout", "")
}

// The interface of the other namespace has the same name, and is not touched.
func TestSettingsOfTheRightNamespace(t *testing.T) {
	one, other, dir := newLab(t, lab.Config{}), newLab(t, lab.Config{}), t.TempDir()
	tuning := tune(t, one.A, dir, loader.Setting{Name: steering, Value: "1"})
	wantSetting(t, one.A, steering, "1")
	wantSetting(t, other.A, steering, "")
	wantChanges(t, other.A, dir, 0, false)
	closeTuning(t, tuning)
}

func TestSettingsOfAnInterfaceThatGoes(t *testing.T) {
	l, dir := newLab(t, lab.Config{}), t.TempDir()
	tuning := tune(t, l.A, dir, loader.Setting{Name: steering, Value: "1"})
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	closeTuning(t, tuning)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	l, dir := newLab(t, lab.Config{}), t.TempDir()
	err := l.A.Do(func() error {
		info, err := loader.Probe(l.A.Interface)
		if err != nil {
			return err
		}
		for _, s := range []loader.Setting{{Name: "../lo/gro_flush_timeout", Value: "1"}, {Name: steering, Value: "nonsense"}} {
			if _, err := loader.Tune(dir, info, []loader.Setting{s}); err == nil {
				t.Errorf("%+v was set", s)
			}
		}
		tuning, err := loader.Tune(dir, info, []loader.Setting{{Name: "of_another_kernel", Value: "1"}})
		if err != nil || len(tuning.Changes()) != 0 {
			t.Errorf("what the kernel does not know: %v", err)
			return err
		}
		return tuning.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	wantChanges(t, l.A, dir, 0, false)
}

const tunerEnv = "MILLRACE_TEST_TUNE"

// TestTuner is not a test but the process that TestSettingsOfAKilledProcess kills.
func TestTuner(t *testing.T) {
	name, dir, ok := strings.Cut(os.Getenv(tunerEnv), " ")
	if !ok {
		t.Skip("only as a child of TestSettingsOfAKilledProcess")
	}
	info, err := loader.Probe(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loader.Tune(dir, info, append(loader.PollSettings(), loader.Setting{Name: steering, Value: "1"})); err != nil {
		t.Fatal(err)
	}
	fmt.Println("tuned")
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

// A process that is killed leaves a record of what it changed, and the next one gives it back,
// also what it does not need itself.
func TestSettingsOfAKilledProcess(t *testing.T) {
	l, dir := newLab(t, lab.Config{}), t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	child := startChild(ctx, t, l.A, "TestTuner", fmt.Sprintf("%s=%s %s", tunerEnv, l.A.Interface, dir), "tuned\n")
	wantChanges(t, l.A, dir, 3, true)
	if err := child.Process.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the child ended with %v", err)
	}
	wantChanges(t, l.A, dir, 3, false)
	wantSetting(t, l.A, steering, "1")
	tuning := tune(t, l.A, dir, loader.Setting{Name: steering, Value: "1"})
	wantSetting(t, l.A, steering, "1")
	wantSetting(t, l.A, "napi_defer_hard_irqs", "")
	wantSetting(t, l.A, "gro_flush_timeout", "")
	closeTuning(t, tuning)
	wantSetting(t, l.A, steering, "")
	wantChanges(t, l.A, dir, 0, false)
}
