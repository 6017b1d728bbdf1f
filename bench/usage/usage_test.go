package usage

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const stat = "cpu  100 20 300 4000 50 6 70 8 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
	got, err := parseStat([]byte(stat))
	want := Machine{
		User: 1200 * time.Millisecond, System: 3 * time.Second, Idle: 40500 * time.Millisecond,
		IRQ: 60 * time.Millisecond, SoftIRQ: 700 * time.Millisecond, Steal: 80 * time.Millisecond,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.Busy() != 4960*time.Millisecond || got.Sub(want) != (Machine{}) {
		t.Errorf("busy %v, less itself %+v", got.Busy(), got.Sub(want))
	}
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8\n", "cpu 1 2 3\n", "cpu 1 2 x 4 5 6 7 8\n"} {
		if _, err := parseStat([]byte(bad)); err == nil || !strings.Contains(err.Error(), "/proc/stat") {
			t.Errorf("%q: %v, want an error", bad, err)
		}
	}
}

// spin keeps one processor busy for a time of the process's own.
func spin(t *testing.T, d time.Duration) Process {
	t.Helper()
	from, err := Self(false)
	if err != nil {
		t.Fatal(err)
	}
	for {
		now, err := Self(false)
		if err != nil {
			t.Fatal(err)
		}
		if used := now.Sub(from); used.Busy() >= d {
			return used
		}
	}
}

// What a process used, the machine used too: both readings are of the same thing.
func TestTheMachineHasWhatTheProcessUsed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc: run it there")
	}
	before, err := ReadMachine()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	used := spin(t, 400*time.Millisecond)
	took := time.Since(start)
	after, err := ReadMachine()
	if err != nil {
		t.Fatal(err)
	}
	all := after.Sub(before)
	// Each of the counters is cut to ticks, at both ends.
	slack := time.Duration(2*6*runtime.NumCPU()) * tick
	if all.Busy() < used.Busy()-slack {
		t.Errorf("the machine was busy for %v, this process alone for %v", all.Busy(), used.Busy())
	}
	most := time.Duration(runtime.NumCPU()) * took
	if sum := all.Busy() + all.Idle + all.Steal; sum > most+slack || sum < most-slack {
		t.Errorf("all that the processors did is %v, want %v: %d of them for %v", sum, most, runtime.NumCPU(), took)
	}
}

func TestMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux's /proc: run it there")
	}
	before, err := Self(true)
	if err != nil {
		t.Fatal(err)
	}
	const size = 64 << 20
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i)
	}
	after, err := Self(true)
	if err != nil {
		t.Fatal(err)
	}
	more := after.Sub(before)
	if more.Live < size*9/10 || more.Live > size*11/10 || more.Resident < size*9/10 {
		t.Errorf("%d octets more are live and %d resident, want %d", more.Live, more.Resident, size)
	}
	runtime.KeepAlive(b)
	if left, err := MemoryAvailable(); err != nil || left < 1<<20 {
		t.Errorf("%d octets available, %v", left, err)
	}
}
